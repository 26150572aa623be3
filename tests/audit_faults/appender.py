"""A process that appends to an audit log and tells what became of each record.

    python -m tests.audit_faults.appender DIRECTORY KEY.PEM FIRST COUNT DESCRIPTOR

It speaks over a socket, so that no `write` of its own is among those under injection.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from juki.audit.log import FileAuditLog
from juki.audit.port import AuditRecord
from juki.domain.errors import JukiError
from tests.audit_faults.logs import SEGMENT_BYTES, numbered_record
from tests.audit_keys import signing_with


def main(directory: str, key_file: str, first: str, count: str, descriptor: str) -> None:
    """Opens the log, appends `count` records numbered from `first`, closes it."""
    with socket.socket(fileno=int(descriptor)) as teller:

        def tell(*words: object) -> None:
            teller.sendall((" ".join(map(str, words)) + "\n").encode())

        key = serialization.load_pem_private_key(Path(key_file).read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        try:
            log = FileAuditLog(
                Path(directory), signing=signing_with(key), segment_bytes=SEGMENT_BYTES
            )
        except JukiError as refused:
            tell("unopened", refused.reason.value)
            return
        tell("opened")
        for number in range(int(first), int(first) + int(count)):
            _append(log, number, numbered_record(number), tell)
        with suppress(OSError):  # a file that does not close well: everything is durable by then
            log.close()
        tell("closed")


def _append(log: FileAuditLog, number: int, record: AuditRecord, tell: Callable[..., None]) -> None:
    try:
        position = log.append(record)
    except JukiError as refused:
        tell("refused", number, refused.reason.value)
    else:
        tell("answered", number, position.sequence)


if __name__ == "__main__":
    main(*sys.argv[1:])
