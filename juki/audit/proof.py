"""The proof that one person's entry stands in the log, as JSON that anyone can check.

It shows the facts of one call and one person's entry of it, with their salts, the path from the
entry to the record's leaf and from there to a signed checkpoint. Of the other persons of the call
it shows nothing but hashes. `docs/verify/` checks it without any code of ours.
"""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Final

from juki.audit.checkpoint import SignedCheckpoint, read_checkpoint
from juki.audit.encoding import RecordParts, decode, split
from juki.audit.leaves import SALT_BYTES, inner_proof, leaf_data, salts
from juki.audit.persons.port import RecordReader
from juki.audit.port import PSEUDONYM_BYTES
from juki.audit.reading import LogRecords
from juki.audit.tiles import PUBLIC_DIRECTORY, FileTiles
from juki.audit.tree import TileNodes, inclusion_proof, leaf_hash, proves_inclusion
from juki.domain.errors import JukiError, Reason

PROOF_FORMAT: Final = "juki audit proof, version 1"


def prove(directory: Path, records: RecordReader, sequence: int, index: int) -> dict[str, object]:
    """The proof of person `index` (from 0) of the record `sequence` (from 1), under the checkpoint
    that the log has now.

    Raises:
        JukiError: RECORD_NOT_FOUND, there is no such entry or no checkpoint covers it yet;
            TAMPERING_DETECTED, what is published is not what the record gives.
        InvalidValue: The record has no such person.
        OSError: The log cannot be read.
    """
    signed = read_checkpoint(directory / PUBLIC_DIRECTORY)
    if signed is None or not 1 <= sequence <= signed.checkpoint.size:
        raise JukiError(Reason.RECORD_NOT_FOUND, "no checkpoint covers such an entry")
    record = records.record(sequence)
    return prove_record(directory / PUBLIC_DIRECTORY, record, sequence, index, signed)


def prove_record(
    public: Path, record: bytes, sequence: int, index: int, signed: SignedCheckpoint
) -> dict[str, object]:
    """As `prove`, for a record already read and any checkpoint that covers it."""
    parts = split(record)
    salt, inner_path = inner_proof(parts, index)
    size = signed.checkpoint.size
    path = inclusion_proof(TileNodes(FileTiles(public), size), sequence - 1, size)
    leaf = leaf_hash(leaf_data(parts))
    if not proves_inclusion(leaf, sequence - 1, size, path, signed.checkpoint.root):
        raise JukiError(
            Reason.TAMPERING_DETECTED, f"what is published does not hold record {sequence}"
        )
    return {
        "format": PROOF_FORMAT,
        "sequence": sequence,
        "facts": b64encode(parts.facts).decode(),
        "facts_salt": salts(parts.seed, 0)[:SALT_BYTES].hex(),
        "persons": len(parts.outcomes),
        "person": _person(parts, index, salt, inner_path),
        "path": [one.hex() for one in path],
        "checkpoint": signed.note,
    }


def _person(
    parts: RecordParts, index: int, salt: bytes, inner_path: list[bytes]
) -> dict[str, object]:
    start = PSEUDONYM_BYTES * index
    return {
        "index": index,
        "salt": salt.hex(),
        "pseudonym": parts.pseudonyms[start : start + PSEUDONYM_BYTES].hex(),
        "outcome": parts.outcomes[index],
        "path": [one.hex() for one in inner_path],
    }


def find_request(records: LogRecords, request_id: str) -> list[int]:
    """Sequences of the records of a request, by reading the whole log; raises Tampered, OSError."""
    return [
        sequence
        for sequence, record in records.records_from(1)
        if decode(record).request_id == request_id
    ]
