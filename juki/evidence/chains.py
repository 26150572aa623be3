"""The chain over a stream's envelopes, kept beside the stream: what time stamps speak of.

A chain that is missing (the stream is older than this table) or kept under an earlier hash function
is built anew by `juki.evidence.renewal` while notifications go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from juki.evidence.hashing import HashAlgorithm, extend_chain
from juki.register import tables as t
from juki.store.upsert import upsert


@dataclass(frozen=True, slots=True)
class ChainPosition:
    """A chain's head."""

    algorithm: HashAlgorithm
    epoch: int
    sequence: int
    digest: bytes

    def after(self, epoch: int, sequence: int, envelope: bytes) -> ChainPosition:
        """The head after one more envelope."""
        digest = extend_chain(self.algorithm, self.digest, self.algorithm.digest(envelope))
        return ChainPosition(self.algorithm, epoch, sequence, digest)


def start_of_chain(algorithm: HashAlgorithm) -> ChainPosition:
    """The head of an empty stream's chain."""
    return ChainPosition(algorithm, 0, 0, algorithm.genesis)


def read_chain(connection: Connection, municipality: str) -> ChainPosition | None:
    """The chain's head; `None` where there is no chain (yet)."""
    table = t.evidence_chain
    row = connection.execute(select(table).where(table.c.municipality == municipality)).first()
    if row is None:
        return None
    return ChainPosition(
        HashAlgorithm(row.hash_algorithm), row.epoch, row.sequence, bytes(row.digest)
    )


def write_chain(connection: Connection, municipality: str, head: ChainPosition) -> None:
    """Moves the chain's head."""
    upsert(connection, t.evidence_chain, [chain_row(municipality, head)])


def chain_row(municipality: str, head: ChainPosition) -> dict[str, object]:
    """The head as a row."""
    return {
        "municipality": municipality,
        "hash_algorithm": int(head.algorithm),
        "epoch": head.epoch,
        "sequence": head.sequence,
        "digest": head.digest,
    }


def append_envelopes(
    connection: Connection,
    municipality: str,
    algorithm: HashAlgorithm,
    envelopes: Sequence[tuple[int, int, bytes]],
    *,
    begins_stream: bool,
) -> None:
    """Extends the chain by a run of envelopes (epoch, sequence, bytes), in its transaction.

    `algorithm` is that of new streams' chains.
    """
    head = start_of_chain(algorithm) if begins_stream else read_chain(connection, municipality)
    if head is None:
        return
    for epoch, sequence, envelope in envelopes:
        head = head.after(epoch, sequence, envelope)
    write_chain(connection, municipality, head)
