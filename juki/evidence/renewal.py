"""Builds chains under another hash function from the archive, while notifications go on.

An earlier function's heads and time stamps stay: together they prove that what the new chain covers
stood there before the earlier function could be doubted (RFC 4998 section 5.3).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

import structlog
from sqlalchemy import Connection, Engine, delete, or_, select

from juki.evidence.chains import (
    ChainPosition,
    chain_row,
    read_chain,
    start_of_chain,
    write_chain,
)
from juki.evidence.hashing import HashAlgorithm
from juki.evidence.stamping import EvidenceMetrics
from juki.register import tables as t
from juki.register.archive import read_following
from juki.register.streams import read_position
from juki.store.sealing import Sealer
from juki.store.upsert import upsert

_PAGE: Final = 500
_HEAD_EVERY: Final = 1000
"""Envelopes between two heads that are stamped, so that no proof holds a whole stream's hashes."""

_IDLE_SECONDS: Final = 1.0

_LOG = structlog.get_logger(__name__)


class EvidenceRenewal:
    """One round moves one stream's new chain a page on; resumed where it was after any stop."""

    def __init__(
        self,
        *,
        engine: Engine,
        sealer: Sealer,
        algorithm: HashAlgorithm,
        intake_paused: Callable[[], AbstractContextManager[None]],
        metrics: EvidenceMetrics,
        page: int = _PAGE,
        head_every: int = _HEAD_EVERY,
    ) -> None:
        """`intake_paused` keeps notifications out while a new chain takes the old one's place."""
        self._engine = engine
        self._sealer = sealer
        self._algorithm = algorithm
        self._intake_paused = intake_paused
        self._metrics = metrics
        self._page = page
        self._head_every = head_every
        self._woken = threading.Event()

    def work(self) -> None:
        """One page of the first stream that is behind; waits a second when none is.

        Raises:
            JukiError: STORE_UNAVAILABLE, or TAMPERING_DETECTED in an envelope.
        """
        if not self.advance():
            self._woken.wait(_IDLE_SECONDS)

    def wake(self) -> None:
        """Ends the pause of a round."""
        self._woken.set()

    def advance(self) -> bool:
        """Moves one stream on; false where every chain is under the wanted hash function."""
        behind = self._behind()
        self._metrics.renewing.set(len(behind))
        if not behind:
            return False
        municipality = behind[0]
        with self._engine.connect().execution_options(read_only=True) as connection:
            head = self._progress(connection, municipality)
        following = self._following(municipality, head)
        if following is None:
            self._take_over(municipality)
        else:
            self._keep(municipality, head, following)
        return True

    def _behind(self) -> list[str]:
        stream, chain = t.stream, t.evidence_chain
        statement = (
            select(stream.c.municipality)
            .outerjoin(chain, chain.c.municipality == stream.c.municipality)
            .where(
                or_(
                    chain.c.municipality.is_(None),
                    chain.c.hash_algorithm != int(self._algorithm),
                )
            )
            .order_by(stream.c.municipality)
        )
        with self._engine.connect().execution_options(read_only=True) as connection:
            return list(connection.scalars(statement))

    def _progress(self, connection: Connection, municipality: str) -> ChainPosition:
        table = t.evidence_renewal
        row = connection.execute(
            select(table).where(
                table.c.municipality == municipality,
                table.c.hash_algorithm == int(self._algorithm),
            )
        ).first()
        if row is None:
            return start_of_chain(self._algorithm)
        return ChainPosition(self._algorithm, row.epoch, row.sequence, bytes(row.digest))

    def _following(
        self, municipality: str, head: ChainPosition
    ) -> list[tuple[int, int, bytes]] | None:
        """The next envelopes after the head; `None` at the end of the stream."""
        epoch, first, run = read_following(
            self._engine, self._sealer, municipality, head.epoch, head.sequence, self._page
        )
        return [
            (epoch, first + place, signed.SerializeToString()) for place, signed in enumerate(run)
        ] or None

    def _keep(
        self, municipality: str, head: ChainPosition, envelopes: list[tuple[int, int, bytes]]
    ) -> None:
        heads = []
        for epoch, sequence, envelope in envelopes:
            head = head.after(epoch, sequence, envelope)
            if sequence % self._head_every == 0:
                heads.append({**chain_row(municipality, head), "stamped_by": None})
        with self._engine.begin() as connection:
            upsert(connection, t.evidence_head, heads)
            upsert(connection, t.evidence_renewal, [chain_row(municipality, head)])

    def _take_over(self, municipality: str) -> None:
        with self._intake_paused(), self._engine.begin() as connection:
            head = self._progress(connection, municipality)
            position = read_position(connection, municipality)
            if (head.epoch, head.sequence) != (position.epoch, position.sequence):
                return
            former = read_chain(connection, municipality)
            write_chain(connection, municipality, head)
            connection.execute(
                delete(t.evidence_renewal).where(t.evidence_renewal.c.municipality == municipality)
            )
        _LOG.info(
            "evidence_chain_renewed",
            municipality=municipality,
            former=former.algorithm.name if former else None,
            algorithm=self._algorithm.name,
        )
