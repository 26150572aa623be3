"""A disclosure as a person reads it: the same lines for the web page and for paper."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from juki.disclosure import japanese, words
from juki.v1 import disclosure_pb2, identification_pb2, lookup_pb2

_SEXES: Final = {1: "男", 2: "女", 3: "記載なし"}
_HEADLINE: Final = re.compile(r"([^（）による]{2,40}?(?:法律|法|条例))(?=（|による|第|の規定)")
_GIVEN_NOTHING: Final = "該当の記録が市町村間で確認中のため、提供されていません"

Row = tuple[str, str]
View = dict[str, Any]
"""Strings, lists and dictionaries of strings only: it travels to the typesetter as JSON."""


def view(disclosure: disclosure_pb2.Disclosure) -> View:
    """Everything that page and paper show, in their order."""
    changes = disclosure.changes
    return {
        "request_id": disclosure.request_id,
        "discloser": disclosure.discloser,
        "disclosed_at": japanese.instant(disclosure.disclosed_at),
        "held": disclosure.held,
        "residency": disclosure.residency_words,
        "records": [_record(one) for one in disclosure.records],
        "changes": [
            _change(one, changes[at + 1] if at + 1 < len(changes) else None)
            for at, one in enumerate(changes)
        ],
        "changes_complete": disclosure.changes_complete,
        "provisions": [_provision(one) for one in disclosure.provisions],
        "more": bool(disclosure.next_page_token),
        "complete_to": str(disclosure.complete_to),
    }


def _record(record: disclosure_pb2.HeldRecord) -> View:
    return {
        "municipality": record.municipality_name,
        "state": record.state_words,
        "current": record.is_current,
        "rows": [
            *_rows(record.information, record.address_municipality_name),
            ("最終の異動", _last_change(record.information.change)),
        ],
    }


def _rows(
    information: identification_pb2.IdentificationInformation, municipality: str
) -> list[Row]:
    name, address = information.name, information.address
    rows = [
        ("氏名", name.written),
        ("振り仮名", name.reading),
        ("ローマ字氏名", name.alphabet),
        ("通称", name.common_name),
        ("旧氏", name.former_surname),
        ("生年月日", japanese.birth_date(information.birth_date)),
        ("性別", _SEXES.get(information.sex, "")),
        ("住所", f"{municipality}{address.town}{address.remainder}"),
        ("個人番号", japanese.grouped(information.individual_number)),
        ("住民票コード", japanese.grouped(information.resident_record_code)),
        ("変更前の個人番号", japanese.grouped(information.change.former_individual_number)),
        ("変更前の住民票コード", japanese.grouped(information.change.former_resident_record_code)),
    ]
    return [(label, value) for label, value in rows if value]


def _last_change(change: identification_pb2.ChangeInformation) -> str:
    reason = {int(one): text for one, text in words.REASONS.items()}.get(change.reason, "")
    return f"{japanese.calendar_date(change.event_date)}　{reason}"


def _change(
    change: disclosure_pb2.DisclosedChange, before: disclosure_pb2.DisclosedChange | None
) -> View:
    rows = _rows(change.information, change.address_municipality_name)
    if before is not None:
        earlier = set(_rows(before.information, before.address_municipality_name))
        rows = [row for row in rows if row not in earlier]
    return {
        "day": japanese.calendar_date(change.information.change.event_date),
        "reason": change.reason_words,
        "municipality": change.municipality_name,
        "moved": change.moved_between,
        "disputed": change.disputed,
        "received_at": japanese.instant(change.received_at),
        "mark": f"第{change.epoch}期 第{change.sequence}号",
        "rows": rows,
        "first": before is None,
    }


def _provision(provision: disclosure_pb2.DisclosedProvision) -> View:
    found = _HEADLINE.match(provision.affair_words)
    given: Sequence[str] = list(provision.field_words)
    nothing = "" if provision.outcome == lookup_pb2.LOOKUP_OUTCOME_FOUND else _GIVEN_NOTHING
    return {
        "time": japanese.instant(provision.time),
        "body": provision.body_name,
        "office": provision.office,
        "operator": provision.operator,
        "article": provision.article_words,
        "row": words.row(provision.affair) if provision.affair else "",
        "headline": found[1] if found else "",
        "affair": provision.affair_words or _OWN_WORDS.get(provision.article, ""),
        "fields": given,
        "nothing": nothing,
        "entry": f"{provision.log_sequence}-{provision.log_index}",
        "proved": provision.HasField("proof"),
    }


_OWN_WORDS: Final = {
    "30-32": "ご本人からの開示請求に応じた、この情報の開示",
}
"""What a provision without an affair of its own is about."""
