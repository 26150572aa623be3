"""Time stamps over the evidence: made hourly in the token, renewed before they could be doubted."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from prometheus_client import CollectorRegistry, Counter, Gauge
from sqlalchemy import Connection, Engine, func, insert, or_, select, update

from juki.custody.port import SIGNING, Custody
from juki.custody.verify import fingerprint
from juki.evidence.hashing import HashAlgorithm, tree_root
from juki.evidence.leaves import Leaves, head_of
from juki.register import tables as t
from juki.register.signers import archive_certificate
from juki.store.engine import now_microseconds
from juki.store.upsert import upsert
from juki.v1 import evidence_pb2

_PREFIX: Final = b"juki.v1.TimeStamp\0"
_LOOK_SECONDS: Final = 1.0
CURRENT: Final = HashAlgorithm.SHA_256
"""What is used unless the configuration says otherwise."""


def time_stamp_digest(time_stamp: bytes) -> bytes:
    """SHA-256 over the domain prefix and the time stamp's bytes: what is signed."""
    return hashlib.sha256(_PREFIX + time_stamp).digest()


class EvidenceMetrics:
    """How old the newest proof of time is."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.stamps = Counter(
            "juki_evidence_time_stamps_total", "Time stamps made.", registry=registry
        )
        self.made_at = Gauge(
            "juki_evidence_last_time_stamp_seconds",
            "When the last time stamp was made, in seconds since 1970.",
            registry=registry,
        )
        self.renewing = Gauge(
            "juki_evidence_renewal_streams",
            "Streams whose evidence is not yet kept under the configured hash function.",
            registry=registry,
        )


@dataclass(frozen=True, slots=True)
class _Signer:
    key_id: bytes
    certificates: Sequence[bytes]
    expires_at: int

    @property
    def fingerprint(self) -> bytes:
        return hashlib.sha256(self.certificates[0]).digest()


class TimeStamper:
    """Makes the time stamps of one server; one at a time. `work` is a worker's round."""

    def __init__(
        self,
        *,
        engine: Engine,
        custody: Custody,
        issuer: str,
        metrics: EvidenceMetrics,
        algorithm: HashAlgorithm = CURRENT,
        interval_seconds: float = 3600.0,
    ) -> None:
        """`issuer` is the server's URI identity; `algorithm` that of the trees."""
        self._engine = engine
        self._custody = custody
        self._issuer = issuer
        self._metrics = metrics
        self._algorithm = algorithm
        self._interval = interval_seconds
        self._due_at = time.monotonic()
        self._woken = threading.Event()

    def wake(self) -> None:
        """Ends the pause of a round."""
        self._woken.set()

    def work(self) -> None:
        """Makes a time stamp when the interval has passed and there is something to stamp.

        Raises:
            JukiError: CUSTODY_UNAVAILABLE or STORE_UNAVAILABLE; the next round tries again.
        """
        if time.monotonic() < self._due_at:
            self._woken.wait(_LOOK_SECONDS)
            return
        self.stamp()
        self._due_at = time.monotonic() + self._interval

    def stamp(self) -> int | None:
        """Stamps what is new since the last time stamp, and renews what is due; its serial.

        `None` where there is nothing. The heads that are stamped are those at this moment:
        notifications may go on meanwhile.

        Raises:
            JukiError: CUSTODY_UNAVAILABLE or STORE_UNAVAILABLE; nothing is changed then.
        """
        signer = self._signer()
        now = now_microseconds()
        with self._engine.connect().execution_options(read_only=True) as connection:
            serial = (connection.scalar(select(func.max(t.time_stamp.c.serial))) or 0) + 1
            heads = self._due_heads(connection)
            certificates = self._due_certificates(connection)
            stamps = self._due_stamps(connection, signer, now)
        if not heads and not certificates and not stamps:
            return None
        leaves = Leaves(self._algorithm)
        for head in heads:
            leaves.add_head(head)
        for print_, certificate in certificates:
            leaves.add_certificate(print_, certificate)
        for earlier, signed in stamps:
            leaves.add_stamp(earlier, signed)
        stamp = self._sign(serial, now, leaves, signer)
        with self._engine.begin() as connection:
            self._keep(connection, serial, now, signer, stamp)
            upsert(connection, t.evidence_head, [_head_row(head, serial) for head in heads])
            for table, column, keys in (
                (t.archived_certificate, "fingerprint", [one for one, _ in certificates]),
                (t.time_stamp, "serial", [one for one, _ in stamps]),
            ):
                mark = "renewed_by" if table is t.time_stamp else "stamped_by"
                for start in range(0, len(keys), 500):
                    chunk = keys[start : start + 500]
                    connection.execute(
                        update(table).where(table.c[column].in_(chunk)).values({mark: serial})
                    )
        self._metrics.stamps.inc()
        self._metrics.made_at.set(now / 1e6)
        return serial

    def _signer(self) -> _Signer:
        """The present signing key, its certificates archived."""
        certificates = self._custody.certificate_chain(SIGNING)
        ends = [x509.load_der_x509_certificate(one).not_valid_after_utc for one in certificates]
        key_id = fingerprint(certificates[0])
        with self._engine.begin() as connection:
            archive_certificate(connection, key_id, certificates[0], b"".join(certificates[1:]))
        return _Signer(key_id, certificates, int(min(ends).timestamp() * 1e6))

    def _due_heads(self, connection: Connection) -> list[evidence_pb2.EvidenceHead]:
        """Heads not stamped yet: of each chain, and those that a renewal left on its way."""
        chain, head = t.evidence_chain, t.evidence_head
        stamped = (
            select(head.c.municipality)
            .where(
                head.c.municipality == chain.c.municipality,
                head.c.hash_algorithm == chain.c.hash_algorithm,
                head.c.epoch == chain.c.epoch,
                head.c.sequence == chain.c.sequence,
            )
            .exists()
        )
        rows = [
            *connection.execute(select(head).where(head.c.stamped_by.is_(None))),
            *connection.execute(select(chain).where(~stamped)),
        ]
        return sorted(
            map(head_of, rows),
            key=lambda one: (one.municipality, one.hash_algorithm, one.epoch, one.sequence),
        )

    def _due_certificates(self, connection: Connection) -> list[tuple[bytes, bytes]]:
        table = t.archived_certificate
        statement = (
            select(table.c.fingerprint, table.c.certificate)
            .where(table.c.stamped_by.is_(None))
            .order_by(table.c.fingerprint)
        )
        return [(bytes(one), bytes(der)) for one, der in connection.execute(statement)]

    def _due_stamps(
        self, connection: Connection, signer: _Signer, now: int
    ) -> list[tuple[int, bytes]]:
        """Those whose certificate has a third of its time left, or whose hash function is not ours.

        A key that would end no later could prove nothing longer.
        """
        table = t.time_stamp
        aged = (now - table.c.made_at) * 3 >= (table.c.expires_at - table.c.made_at) * 2
        outlived = aged & (table.c.expires_at < signer.expires_at)
        statement = (
            select(table.c.serial, table.c.signed)
            .where(
                table.c.renewed_by.is_(None),
                or_(outlived, table.c.hash_algorithm != int(self._algorithm)),
            )
            .order_by(table.c.serial)
        )
        return [(row.serial, bytes(row.signed)) for row in connection.execute(statement)]

    def _sign(
        self, serial: int, now: int, leaves: Leaves, signer: _Signer
    ) -> evidence_pb2.SignedTimeStamp:
        stamp = evidence_pb2.TimeStamp(
            issuer=self._issuer,
            serial=serial,
            hash_algorithm=evidence_pb2.HashAlgorithm.ValueType(int(self._algorithm)),
            tree_size=len(leaves.hashes),
            root=tree_root(self._algorithm, leaves.hashes),
        )
        stamp.made_at.FromMicroseconds(now)
        serialised = stamp.SerializeToString()
        (signature,) = self._custody.sign(SIGNING, [time_stamp_digest(serialised)])
        return evidence_pb2.SignedTimeStamp(
            time_stamp=serialised, key_id=signer.key_id, signature=signature
        )

    def _keep(
        self,
        connection: Connection,
        serial: int,
        now: int,
        signer: _Signer,
        stamp: evidence_pb2.SignedTimeStamp,
    ) -> None:
        connection.execute(
            insert(t.time_stamp).values(
                serial=serial,
                signed=stamp.SerializeToString(),
                hash_algorithm=int(self._algorithm),
                certificate_fingerprint=signer.fingerprint,
                made_at=now,
                expires_at=signer.expires_at,
            )
        )


def _head_row(head: evidence_pb2.EvidenceHead, serial: int) -> dict[str, Any]:
    return {
        "municipality": head.municipality,
        "hash_algorithm": int(head.hash_algorithm),
        "epoch": head.epoch,
        "sequence": head.sequence,
        "digest": head.digest,
        "stamped_by": serial,
    }
