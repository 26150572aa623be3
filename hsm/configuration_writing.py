"""Writes custody's TOML file for a provisioned host, and tells what differs from an older one."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hsm.plan import Host
from juki.custody.port import TLS_CLIENT

_OPERATORS_TOKEN_KEYS = ("pin_credential", "silence_seconds", "patience_seconds", "workers")


@dataclass(frozen=True)
class OperatorSettings:
    """What an operator has set in a host's configuration and no ceremony decides; it stays."""

    token: Mapping[str, Any] = field(default_factory=dict)
    revocation: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, configuration: str) -> OperatorSettings:
        """Those of a configuration; none where it cannot be read."""
        try:
            values = tomllib.loads(configuration)
            token = {k: values["token"][k] for k in _OPERATORS_TOKEN_KEYS if k in values["token"]}
            return cls(token, dict(values.get("revocation", {})))
        except (ValueError, KeyError, TypeError):
            return cls()


def custody_toml(
    host: Host,
    module: Path,
    allowed_uids: tuple[int, ...],
    uids_of: Mapping[str, tuple[int, ...]] | None = None,
    token_serial: str | None = None,
    *,
    settings: OperatorSettings | None = None,
) -> str:
    """The configuration of a host's custody; paths are relative to the file.

    `uids_of` names the users of those sockets that others than `allowed_uids` may call. Custody
    refuses the configuration of a host where nginx opens the token: it has no socket.
    """
    signing = host.signing_labels()
    serial = [f"serial = {_text(token_serial)}"] if token_serial else []
    settings = settings or OperatorSettings()
    pin = [] if "pin_credential" in settings.token else ['pin_file = "pin"']
    lines = [
        f"health_key = {_text(TLS_CLIENT if TLS_CLIENT in signing else signing[0])}",
        'certificates = "certificates"',
        "",
        "[token]",
        f"module = {_text(str(module))}",
        f"label = {_text(host.name)}",
        *serial,
        *pin,
        'softhsm_configuration = "softhsm2.conf"',
        *_assignments(settings.token),
    ]
    if settings.revocation:
        lines += ["", "[revocation]", *_assignments(settings.revocation)]
    if host.dns and not host.ends_tls:
        lines += [
            "",
            "[server_leaf]",
            f"identity = {_text(host.identity)}",
            f"dns_names = {json.dumps(list(host.dns))}",
        ]
    for path, grants in host.sockets().items():
        lines += [
            "",
            "[[sockets]]",
            f"path = {_text(path)}",
            'mode = "0600"',
            f"allowed_uids = {json.dumps(list((uids_of or {}).get(path, allowed_uids)))}",
        ]
        for key, operations in grants:
            lines += [
                "[[sockets.permissions]]",
                f"key = {_text(key)}",
                f"operations = {json.dumps([str(one) for one in operations])}",
            ]
    return "\n".join(lines) + "\n"


def changes(before: str, after: str) -> list[str]:
    """What differs between two configurations, a fact a line: `- …` is gone, `+ …` is new.

    A configuration that cannot be read counts as empty.
    """
    old, new = _facts(before), _facts(after)
    return [*(f"- {one}" for one in sorted(old - new)), *(f"+ {one}" for one in sorted(new - old))]


def _facts(text: str) -> set[str]:
    try:
        values = tomllib.loads(text)
        facts = {
            f"{name}: {json.dumps(value)}" for name, value in values.items() if name != "sockets"
        }
        for socket in values["sockets"]:
            path = socket["path"]
            users = ", ".join(map(str, socket["allowed_uids"]))
            facts |= {f"{path}: mode {socket['mode']}, users {users}"}
            facts |= {
                f"{path}: {grant['key']}: {', '.join(sorted(grant['operations']))}"
                for grant in socket["permissions"]
            }
    except (ValueError, KeyError, TypeError, AttributeError):
        return set()
    return facts


def _assignments(settings: Mapping[str, Any]) -> list[str]:
    # Text and numbers only: JSON writes them as TOML does.
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in settings.items()]


def _text(value: str) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's (TOML 1.0, String)."""
    return json.dumps(value, ensure_ascii=False)
