"""What the index holds of an entry: 16 bytes, the beginning of the pseudonym and the position.

Pseudonyms are AES blocks, evenly spread, so 8 of their 16 bytes tell persons apart all but always;
every entry found is compared with the record itself, so that a collision gives no false one. The
position is one number: sequence times 2^20 plus index. No record holds 2^20 persons (16 MiB at 17
bytes each), and 2^44 records are 10,000 years of the nation's look-ups one by one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from juki.audit.persons.port import EntryPosition
from juki.audit.port import PSEUDONYM_BYTES
from juki.domain.errors import JukiError, Reason
from juki.domain.outcome import Outcome
from juki.v1 import audit_pb2

Numbers = NDArray[np.uint64]

INDEX_BITS: Final = 20
_INDEX_MASK: Final = (1 << INDEX_BITS) - 1
_PREFIX: Final = np.dtype(">u8")

OF_NOBODY: Final = bytes([Outcome.NOT_FOUND, Outcome.AMBIGUOUS])
"""Outcomes that name no one person: they all stand under the pseudonym of ordinal 0."""

_IS_OF_SOMEBODY: Final = np.array([value not in OF_NOBODY for value in range(256)])


def prefix_of(pseudonym: bytes) -> int:
    """The part of a pseudonym that the index holds."""
    return int.from_bytes(pseudonym[:8], "big")


def pack_position(position: EntryPosition) -> int:
    """The position as one number, ordered as positions are."""
    return position.sequence << INDEX_BITS | position.index


def unpack_position(number: int) -> EntryPosition:
    """The reverse of `pack_position`."""
    return EntryPosition(number >> INDEX_BITS, number & _INDEX_MASK)


def rows_of(records: Iterable[tuple[int, bytes]]) -> tuple[Numbers, Numbers]:
    """Prefixes and packed positions of the entries of records (sequence, bytes), in their order.

    Raises JukiError (TAMPERING_DETECTED) for bytes that are no record.
    """
    pseudonyms: list[bytes] = []
    outcomes: list[bytes] = []
    bases: list[int] = []
    for sequence, data in records:
        try:
            record = audit_pb2.AuditRecord.FromString(data)
        except DecodeError:
            raise _not_a_record(sequence) from None
        if len(record.pseudonyms) != PSEUDONYM_BYTES * len(record.outcomes):
            raise _not_a_record(sequence)
        if record.outcomes:
            pseudonyms.append(record.pseudonyms)
            outcomes.append(record.outcomes)
            bases.append(sequence << INDEX_BITS)
    prefixes = np.frombuffer(b"".join(pseudonyms), dtype=_PREFIX)[::2].astype(np.uint64)
    counts = np.fromiter(map(len, outcomes), dtype=np.int64, count=len(outcomes))
    starts = np.cumsum(counts) - counts
    within = np.arange(len(prefixes), dtype=np.int64) - np.repeat(starts, counts)
    positions = np.repeat(np.array(bases, dtype=np.uint64), counts) + within.astype(np.uint64)
    somebody = _IS_OF_SOMEBODY[np.frombuffer(b"".join(outcomes), dtype=np.uint8)]
    if somebody.all():
        return prefixes, positions
    return prefixes[somebody], positions[somebody]


def _not_a_record(sequence: int) -> JukiError:
    return JukiError(
        Reason.TAMPERING_DETECTED,
        "a record of the audit log cannot be decoded",
        {"sequence": str(sequence)},
    )
