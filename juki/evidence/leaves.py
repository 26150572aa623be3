"""What stands under a time stamp: heads, certificates and earlier time stamps, in a fixed order."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, select

from juki.evidence.hashing import HashAlgorithm, leaf_hash
from juki.register import tables as t
from juki.v1 import evidence_pb2

_HEAD: Final = b"juki.v1.EvidenceHead\0"
_CERTIFICATE: Final = b"juki.v1.Certificate\0"
_STAMP: Final = b"juki.v1.SignedTimeStamp\0"


def head_leaf(algorithm: HashAlgorithm, head: evidence_pb2.EvidenceHead) -> bytes:
    """Leaf of a head; `algorithm` is the tree's. The encoding is written out, so that it stays."""
    content = b"|".join(
        (
            head.municipality.encode(),
            b"%d" % head.epoch,
            b"%d" % head.sequence,
            b"%d" % head.hash_algorithm,
            head.digest,
        )
    )
    return leaf_hash(algorithm, _HEAD + content)


def certificate_leaf(algorithm: HashAlgorithm, certificate: bytes) -> bytes:
    """Leaf of a DER certificate."""
    return leaf_hash(algorithm, _CERTIFICATE + certificate)


def stamp_leaf(algorithm: HashAlgorithm, signed: evidence_pb2.SignedTimeStamp) -> bytes:
    """Leaf of an earlier time stamp, its signature included."""
    content = b"|".join((signed.time_stamp, signed.key_id, signed.signature))
    return leaf_hash(algorithm, _STAMP + content)


class Leaves:
    """The leaves of one time stamp, with where each stands."""

    def __init__(self, algorithm: HashAlgorithm) -> None:
        self._algorithm = algorithm
        self.hashes: list[bytes] = []
        self.heads: dict[tuple[str, int, int, int], int] = {}
        """By municipality, hash algorithm, epoch and sequence."""

        self.certificates: dict[bytes, int] = {}
        """By fingerprint."""

        self.stamps: dict[int, int] = {}
        """By serial."""

    def add_head(self, head: evidence_pb2.EvidenceHead) -> None:
        """Heads come first, by municipality, hash algorithm, epoch and sequence."""
        key = (head.municipality, int(head.hash_algorithm), head.epoch, head.sequence)
        self.heads[key] = len(self.hashes)
        self.hashes.append(head_leaf(self._algorithm, head))

    def add_certificate(self, fingerprint: bytes, certificate: bytes) -> None:
        """Certificates follow, by fingerprint."""
        self.certificates[fingerprint] = len(self.hashes)
        self.hashes.append(certificate_leaf(self._algorithm, certificate))

    def add_stamp(self, serial: int, signed: bytes) -> None:
        """Earlier time stamps are last, by serial."""
        self.stamps[serial] = len(self.hashes)
        stamp = evidence_pb2.SignedTimeStamp.FromString(signed)
        self.hashes.append(stamp_leaf(self._algorithm, stamp))


def read_leaves(connection: Connection, algorithm: HashAlgorithm, serial: int) -> Leaves:
    """The leaves of a time stamp that was made."""
    leaves = Leaves(algorithm)
    heads, certificates, stamps = t.evidence_head, t.archived_certificate, t.time_stamp
    for row in connection.execute(
        select(heads)
        .where(heads.c.stamped_by == serial)
        .order_by(heads.c.municipality, heads.c.hash_algorithm, heads.c.epoch, heads.c.sequence)
    ):
        leaves.add_head(head_of(row))
    for row in connection.execute(
        select(certificates.c.fingerprint, certificates.c.certificate)
        .where(certificates.c.stamped_by == serial)
        .order_by(certificates.c.fingerprint)
    ):
        leaves.add_certificate(bytes(row.fingerprint), bytes(row.certificate))
    for row in connection.execute(
        select(stamps.c.serial, stamps.c.signed)
        .where(stamps.c.renewed_by == serial)
        .order_by(stamps.c.serial)
    ):
        leaves.add_stamp(row.serial, bytes(row.signed))
    return leaves


def head_of(row: object) -> evidence_pb2.EvidenceHead:
    """A row of `evidence_head` as a message."""
    return evidence_pb2.EvidenceHead(
        municipality=row.municipality,  # type: ignore[attr-defined]
        epoch=row.epoch,  # type: ignore[attr-defined]
        sequence=row.sequence,  # type: ignore[attr-defined]
        hash_algorithm=row.hash_algorithm,  # type: ignore[attr-defined]
        digest=bytes(row.digest),  # type: ignore[attr-defined]
    )
