"""Writes custody's TOML file for a provisioned host."""

from __future__ import annotations

import json
from pathlib import Path

from hsm.plan import Host


def custody_toml(host: Host, module: Path, allowed_uids: tuple[int, ...], token_serial: str) -> str:
    """The configuration of a host's custody; paths are relative to the file.

    Custody refuses that of a host where nginx opens the token: it has no socket.
    """
    lines = [
        f"health_key = {_text(host.signing_labels()[0])}",
        'certificates = "certificates"',
        "",
        "[token]",
        f"module = {_text(str(module))}",
        f"label = {_text(host.name)}",
        f"serial = {_text(token_serial)}",
        'pin_file = "pin"',
        'softhsm_configuration = "softhsm2.conf"',
    ]
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
            f"allowed_uids = {json.dumps(list(allowed_uids))}",
        ]
        for key, operations in grants:
            lines += [
                "[[sockets.permissions]]",
                f"key = {_text(key)}",
                f"operations = {json.dumps([str(one) for one in operations])}",
            ]
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    """A TOML basic string; JSON's escapes are a subset of TOML's (TOML 1.0, String)."""
    return json.dumps(value, ensure_ascii=False)
