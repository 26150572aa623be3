"""The transcript of a key ceremony as its officers read it: Japanese first, English beside it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone

Fact = str | int | list[str]

_JAPAN = timezone(timedelta(hours=9), "JST")

_STEPS = {
    "ceremony opened": "鍵セレモニー開始",
    "ceremony resumed": "中断した鍵セレモニーの再開",
    "token discarded": "未完成トークンの破棄",
    "token made": "トークン作成",
    "key made": "鍵生成",
    "certificate signed": "証明書発行",
    "custody configured": "鍵の使用許可の設定",
    "resharing begun": "鍵管理者の交代の開始",
    "shares made anew": "新しい分散鍵の作成（旧分散鍵は無効）",
    "PINs changed": "トークンPINの変更",
    "ceremony closed": "鍵セレモニー終了",
}
"""Titles of the steps; one that is missing here is shown by its English name alone."""

_NAMES = {
    "trust_domain": "信頼ドメイン",
    "ceremony_file_sha256": "セレモニー定義ファイルのSHA-256",
    "officers_present": "出席した鍵管理者",
    "officers_needed": "必要な鍵管理者数",
    "software": "ソフトウェア",
    "pkcs11_module_sha256": "PKCS#11モジュールのSHA-256",
    "networks_up": "接続中のネットワーク",
    "token": "トークン",
    "fingerprint": "公開鍵の指紋",
    "serial": "証明書のシリアル番号",
    "subject": "主体者",
    "issuer": "発行者",
    "names": "名前",
    "may_name": "証明できる名前の範囲",
    "not_after": "有効期限",
    "changes": "変更点",
    "officers_before": "これまでの鍵管理者",
    "needed_before": "これまでの必要人数",
    "officers": "鍵管理者",
}
_OWN_FIELDS = ("step", "time", "previous", "host", "key", "kind")
_TOTALS = ("token discarded", "token made", "key made", "certificate signed", "custody configured")
_DIGEST = "最終行のSHA-256 (digest of the last line): "
_GROUP = 8


def transcript_text(number: int, lines: Sequence[bytes], last_digest: str) -> str:
    """The whole text; it ends with the digest that binds it to the JSON lines."""
    steps: list[Mapping[str, Fact]] = [json.loads(line) for line in lines]
    written = [f"鍵セレモニー記録 第{number}号 (transcript of key ceremony no. {number})", ""]
    for values in steps:
        written += _step(values)
    count = Counter(str(values["step"]) for values in steps)
    written += ["", "合計 (totals)"]
    written += [f"    {_STEPS[step]} ({step}): {count[step]}" for step in _TOTALS if count[step]]
    written += ["", "署名欄 (signatures of those present)"]
    present = {
        name: None
        for values in steps
        if isinstance(named := values.get("officers_present"), list)
        for name in named
    }
    written += [f"    {name}: ____________________" for name in (*present, "立会人 (witness)")]
    return "\n".join([*written, "", f"{_DIGEST}{last_digest}", ""])


def digest_in(text: str) -> str:
    """The digest (hex) that a text ends with; empty where it has none."""
    last = text.rstrip("\n").rpartition("\n")[2]
    return last.removeprefix(_DIGEST) if last.startswith(_DIGEST) else ""


def _step(values: Mapping[str, Fact]) -> list[str]:
    step = str(values["step"])
    time = datetime.fromisoformat(str(values["time"])).astimezone(_JAPAN)
    title = f"{_STEPS[step]} ({step})" if step in _STEPS else step
    place = " / ".join(str(values[name]) for name in ("host", "key") if name in values)
    heading = [f"{time:%Y-%m-%d %H:%M:%S %Z}", title, place, str(values.get("kind", ""))]
    written = ["  ".join(part for part in heading if part)]
    for name, value in values.items():
        if name in _OWN_FIELDS:
            continue
        label = name.replace("_", " ")
        label = f"{_NAMES[name]} ({label})" if name in _NAMES else label
        if name == "changes" and isinstance(value, list):
            written += [f"    {label}:", *(f"        {one}" for one in value)]
        else:
            written.append(f"    {label}: {_shown(name, value)}")
    return written


def _shown(name: str, value: Fact) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    if name == "fingerprint" and isinstance(value, str):  # read out aloud, compared by eye
        return " ".join(value[at : at + _GROUP] for at in range(0, len(value), _GROUP))
    if name == "not_after":
        return f"{datetime.fromisoformat(str(value)).astimezone(_JAPAN):%Y-%m-%d %H:%M:%S %Z}"
    return str(value)
