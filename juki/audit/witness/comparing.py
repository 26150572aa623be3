"""Holds a log against what witnesses co-signed of it: where they disagree, history was rewritten.

A log that its operator rewrote and signed anew is good in itself. What it was before is known to
those who co-signed it: their records have its older roots, under its own signature.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from juki.audit.checkpoint import (
    CHECKPOINT_FILE,
    NoteKey,
    SignedCheckpoint,
    read_checkpoint,
    signed_by,
)
from juki.audit.tiles import PUBLIC_DIRECTORY, FileTiles
from juki.audit.tree import TileNodes, tree_root
from juki.audit.verify import Problem
from juki.audit.witness.cosignature import cosigned_at
from juki.audit.witness.records import read_records
from juki.domain.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class Witnessed:
    """One checkpoint that a witness co-signed."""

    witness: str
    origin: str
    size: int
    root: bytes
    seconds: int
    """When, since 1970-01-01 UTC."""

    checkpoint: SignedCheckpoint


@dataclass(slots=True)
class Comparison:
    """What witnesses say of a log."""

    origin: str
    size: int
    """Entries of the log as it is."""

    compared: int = 0
    """Checkpoints that witnesses co-signed of it."""

    witnesses: tuple[str, ...] = ()
    agreed: int = 0
    """Up to so many entries the log is as every witness saw it."""

    problem: Problem | None = None


def read_witnessed(records: Iterable[Path]) -> list[Witnessed]:
    """Everything in witnesses' directories, the smallest size first.

    Raises OSError, and JukiError (TAMPERING_DETECTED) for what cannot be read.
    """
    found = [
        Witnessed(
            note.signatures[-1].name,
            note.checkpoint.origin,
            note.checkpoint.size,
            note.checkpoint.root,
            cosigned_at(note.signatures[-1]),
            note,
        )
        for directory in records
        for note in read_records(directory)
    ]
    return sorted(found, key=lambda one: (one.origin, one.size, one.seconds))


def compare(
    log_directory: Path,
    records: Sequence[Path],
    keys: Sequence[ec.EllipticCurvePublicKey] = (),
) -> Comparison:
    """Holds the published tree of a verified log against the records of witnesses.

    With `keys` only what one of them signed counts against the log: a witness alone can accuse
    nobody. Raises as `read_witnessed`, and Tampered or JukiError where the log cannot be read.
    """
    public = log_directory / PUBLIC_DIRECTORY
    signed = read_checkpoint(public)
    if signed is None:
        raise InvalidValue("the log has no checkpoint that could be compared")
    origin, size = signed.checkpoint.origin, signed.checkpoint.size
    nodes = TileNodes(FileTiles(public), size)
    result = Comparison(origin, size)
    names = set()
    for one in read_witnessed(records):
        if one.origin != origin or not _is_signed(one.checkpoint, keys):
            continue
        names.add(one.witness)
        result.compared += 1
        if one.size > size:
            what = f"{one.witness} co-signed {one.size} entries, the log has {size}"
            entry = max(result.agreed, size) + 1
        elif tree_root(nodes, one.size) != one.root:
            what = (
                f"{one.witness} co-signed another log of {one.size} entries: "
                f"rewritten between entry {result.agreed + 1} and {one.size}"
            )
            entry = result.agreed + 1
        else:
            result.agreed = one.size
            continue
        path = f"{PUBLIC_DIRECTORY}/{CHECKPOINT_FILE}"
        result.problem = Problem(path, 0, what, entry)
        break
    result.witnesses = tuple(sorted(names))
    return result


def _is_signed(signed: SignedCheckpoint, keys: Sequence[ec.EllipticCurvePublicKey]) -> bool:
    if not keys:
        return True
    try:
        return bool(signed_by(signed, [NoteKey(signed.checkpoint.origin, key) for key in keys]))
    except InvalidValue:
        return False
