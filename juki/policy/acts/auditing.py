"""Holds the register against the audit log: acts recorded and gone, or put in unrecorded."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from juki.audit.archive import ARCHIVE_SUFFIX, open_segment_records
from juki.audit.segment import segments
from juki.policy.acts.replay import History
from juki.policy.acts.wire import digest
from juki.v1 import audit_pb2


@dataclass(frozen=True, slots=True)
class Comparison:
    """Digests of acts, each in hexadecimal."""

    gone: tuple[str, ...]
    """Recorded as accepted, and neither in the register nor among the proposals."""

    unrecorded: tuple[str, ...]
    """In the register without a record."""


def compare(audit_directory: Path, history: History, waiting: Set[bytes]) -> Comparison:
    """Reads the whole audit log; `waiting` holds the digests of the acts among the proposals.

    An act recorded just before a crash is still a proposal. The log itself is for `juki audit
    verify` to verify. Raises Tampered, OSError.
    """
    recorded: dict[bytes, None] = {}
    archived = sorted(audit_directory.glob(f"*{ARCHIVE_SUFFIX}"))
    for path in (*archived, *segments(audit_directory)):
        for _, data in open_segment_records(path):
            if found := audit_pb2.AuditRecord.FromString(data).act_digest:
                recorded[found] = None
    kept = [digest(one.signed.act) for one in history.acts]
    return Comparison(
        tuple(one.hex() for one in recorded if one not in kept and one not in waiting),
        tuple(one.hex() for one in kept if one not in recorded),
    )
