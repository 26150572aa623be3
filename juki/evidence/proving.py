"""Builds the record that proves one notification to outsiders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, select, tuple_

from juki.domain.errors import JukiError, Reason
from juki.evidence.chains import ChainPosition, start_of_chain
from juki.evidence.hashing import HashAlgorithm, tree_path
from juki.evidence.leaves import Leaves, head_of, read_leaves
from juki.register import tables as t
from juki.register.archive import read_following, read_run
from juki.register.signers import split_der
from juki.store.sealing import Sealer
from juki.v1 import evidence_pb2

_PAGE: Final = 1000

Place = Callable[[Leaves], int]
"""Where something stands among a time stamp's leaves."""


class EvidenceArchive:
    """What a server's database proves; it only reads."""

    def __init__(self, engine: Engine, sealer: Sealer) -> None:
        self._engine = engine
        self._sealer = sealer

    def prove(self, municipality: str, epoch: int, sequence: int) -> evidence_pb2.EvidenceRecord:
        """The record of one notification.

        Raises:
            JukiError: RECORD_NOT_FOUND where it is not held or not stamped yet.
        """
        run = read_run(self._engine, self._sealer, municipality, epoch, sequence, 1)
        if not run:
            raise JukiError(Reason.RECORD_NOT_FOUND, "no such notification is held")
        record = evidence_pb2.EvidenceRecord(notification=run[0])
        with self._engine.connect().execution_options(read_only=True) as connection:
            self._add_certificate(connection, record, run[0].key_id)
            for algorithm in HashAlgorithm:
                head = self._first_head(connection, municipality, algorithm, epoch, sequence)
                if head is not None:
                    part = self._stream(connection, head, epoch, sequence)
                    record.streams.append(part)
        if not record.streams:
            raise JukiError(Reason.RECORD_NOT_FOUND, "the notification is not time-stamped yet")
        record.streams.sort(key=lambda one: _serial(one.stamps.stamps[0]))
        return record

    def _add_certificate(
        self, connection: Connection, record: evidence_pb2.EvidenceRecord, key_id: bytes
    ) -> None:
        table = t.archived_certificate
        rows = connection.execute(
            select(table)
            .where(table.c.key_id == key_id, table.c.stamped_by.is_not(None))
            .order_by(table.c.stamped_by)
        ).all()
        if not rows:
            raise JukiError(Reason.RECORD_NOT_FOUND, "the signer's certificate is not stamped yet")
        row = rows[0]
        chain = [bytes(row.certificate), *split_der(bytes(row.issuer_certificates))]
        record.certificates.extend(chain)
        print_ = bytes(row.fingerprint)
        stamps = self._stamps(connection, row.stamped_by, lambda one: one.certificates[print_])
        record.certificate_stamps.CopyFrom(stamps)

    def _first_head(
        self,
        connection: Connection,
        municipality: str,
        algorithm: HashAlgorithm,
        epoch: int,
        sequence: int,
    ) -> Row[Any] | None:
        """The first stamped head that covers the notification."""
        table = t.evidence_head
        return connection.execute(
            select(table)
            .where(
                table.c.municipality == municipality,
                table.c.hash_algorithm == int(algorithm),
                table.c.stamped_by.is_not(None),
                tuple_(table.c.epoch, table.c.sequence) >= (epoch, sequence),
            )
            .order_by(table.c.epoch, table.c.sequence)
            .limit(1)
        ).first()

    def _stream(
        self, connection: Connection, row: Row[Any], epoch: int, sequence: int
    ) -> evidence_pb2.StreamEvidence:
        head = head_of(row)
        algorithm = HashAlgorithm(head.hash_algorithm)
        position = self._last_head_before(connection, head.municipality, algorithm, epoch, sequence)
        part = evidence_pb2.StreamEvidence(head=head)
        while (position.epoch, position.sequence) != (head.epoch, head.sequence):
            for at, envelope in self._following(head.municipality, position):
                if at > (head.epoch, head.sequence):
                    break
                if at == (epoch, sequence):
                    part.digest_before = position.digest
                elif at > (epoch, sequence):
                    part.following.append(algorithm.digest(envelope))
                position = position.after(*at, envelope)
        if position.digest != head.digest:
            raise JukiError(Reason.TAMPERING_DETECTED, "the archive does not fit its time stamp")
        key = (head.municipality, int(algorithm), head.epoch, head.sequence)
        stamped_by: int = row.stamped_by
        part.stamps.CopyFrom(self._stamps(connection, stamped_by, lambda one: one.heads[key]))
        return part

    def _last_head_before(
        self,
        connection: Connection,
        municipality: str,
        algorithm: HashAlgorithm,
        epoch: int,
        sequence: int,
    ) -> ChainPosition:
        table = t.evidence_head
        row = connection.execute(
            select(table)
            .where(
                table.c.municipality == municipality,
                table.c.hash_algorithm == int(algorithm),
                tuple_(table.c.epoch, table.c.sequence) < (epoch, sequence),
            )
            .order_by(table.c.epoch.desc(), table.c.sequence.desc())
            .limit(1)
        ).first()
        if row is None:
            return start_of_chain(algorithm)
        return ChainPosition(algorithm, row.epoch, row.sequence, bytes(row.digest))

    def _following(
        self, municipality: str, position: ChainPosition
    ) -> list[tuple[tuple[int, int], bytes]]:
        epoch, first, run = read_following(
            self._engine, self._sealer, municipality, position.epoch, position.sequence, _PAGE
        )
        if not run:
            raise JukiError(Reason.TAMPERING_DETECTED, "the archive ends before its time stamp")
        return [
            ((epoch, first + place), signed.SerializeToString()) for place, signed in enumerate(run)
        ]

    def _stamps(self, connection: Connection, serial: int, place: Place) -> evidence_pb2.StampChain:
        """The first time stamp over a leaf, and those that renewed it."""
        chain = evidence_pb2.StampChain()
        while True:
            row = connection.execute(
                select(t.time_stamp).where(t.time_stamp.c.serial == serial)
            ).one()
            algorithm = HashAlgorithm(row.hash_algorithm)
            leaves = read_leaves(connection, algorithm, serial)
            index = place(leaves)
            chain.stamps.append(
                evidence_pb2.StampedLeaf(
                    path=evidence_pb2.TreePath(
                        index=index, siblings=tree_path(algorithm, leaves.hashes, index)
                    ),
                    stamp=evidence_pb2.SignedTimeStamp.FromString(bytes(row.signed)),
                    certificates=self._certificates(connection, row.certificate_fingerprint),
                )
            )
            if row.renewed_by is None:
                return chain
            place = _place_of_stamp(serial)
            serial = row.renewed_by

    def _certificates(self, connection: Connection, print_: bytes) -> list[bytes]:
        table = t.archived_certificate
        row = connection.execute(select(table).where(table.c.fingerprint == bytes(print_))).one()
        return [bytes(row.certificate), *split_der(bytes(row.issuer_certificates))]


def _place_of_stamp(serial: int) -> Place:
    return lambda leaves: leaves.stamps[serial]


def _serial(stamped: evidence_pb2.StampedLeaf) -> int:
    return evidence_pb2.TimeStamp.FromString(stamped.stamp.time_stamp).serial
