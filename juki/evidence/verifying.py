"""Verifies an evidence record as an outsider does: with the network's roots and nothing else.

Each signature is judged at the time that the next one proves, the last at the verifier's own: a
certificate that has ended, or a hash function that is broken now, takes nothing from what was
stamped anew before (RFC 4998 section 5.3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from juki.custody.verify import verify_chain, verify_signature
from juki.domain.envelope import notification_digest
from juki.domain.errors import JukiError, Reason
from juki.evidence.hashing import HashAlgorithm, extend_chain, root_of_path
from juki.evidence.leaves import certificate_leaf, head_leaf, stamp_leaf
from juki.evidence.stamping import time_stamp_digest
from juki.v1 import evidence_pb2, notification_pb2


@dataclass(frozen=True)
class Proved:
    """What a record proves."""

    municipality: str
    epoch: int
    sequence: int
    signer: str
    """URI identity of who signed the notification."""

    witness: str
    """URI identity of the server that stamped it."""

    existed_at: datetime
    """It was signed and held at this instant, at the latest."""

    hash_algorithms: tuple[HashAlgorithm, ...]
    """Those it was stamped under, the oldest first."""


class RecordVerifier:
    """Knows the roots, and who may sign and stamp what."""

    def __init__(
        self,
        roots_der: Sequence[bytes],
        gateway_identity: Callable[[str], str],
        witnesses: Callable[[str], frozenset[str]],
        weak_since: Mapping[HashAlgorithm, datetime] | None = None,
    ) -> None:
        """By municipality: its gateway's identity, and the servers whose time stamps count.

        A hash function that is weak since some instant proves only what was stamped anew before.
        """
        self._roots = list(roots_der)
        self._gateway_identity = gateway_identity
        self._witnesses = witnesses
        self._weak_since = dict(weak_since or {})

    def verify(self, record: evidence_pb2.EvidenceRecord, now: datetime) -> Proved:
        """What the record proves at `now` (aware).

        Raises:
            JukiError: TAMPERING_DETECTED, SIGNATURE_INVALID, UNKNOWN_SIGNING_KEY or SIGNER_MISMATCH
                for the first thing that does not hold.
        """
        notification = notification_pb2.Notification.FromString(record.notification.notification)
        municipality = notification.municipality
        if not record.streams or not record.certificates:
            raise _broken("proves nothing")
        for place, part in enumerate(record.streams):
            self._check_stream(part, record.notification, notification)
            self._check_stamps(part.stamps, _head(part), municipality, now)
            later = record.streams[place + 1 :]
            self._check_strength(
                _algorithm(part.head.hash_algorithm), _first(later[0]) if later else now
            )
        existed_at = _first(record.streams[0])
        self._check_stamps(
            record.certificate_stamps,
            lambda algorithm: certificate_leaf(algorithm, record.certificates[0]),
            municipality,
            now,
        )
        signer = verify_chain(
            list(record.certificates),
            self._roots,
            existed_at,
            self._gateway_identity(municipality),
        )
        digest = notification_digest(record.notification.notification)
        if signer.key_id != record.notification.key_id or not verify_signature(
            signer.public_key, digest, record.notification.signature
        ):
            raise JukiError(Reason.SIGNATURE_INVALID, "the notification's signature does not hold")
        return Proved(
            municipality,
            notification.epoch,
            notification.sequence,
            signer.identity,
            _stamp(record.streams[0].stamps.stamps[0]).issuer,
            existed_at,
            tuple(HashAlgorithm(part.head.hash_algorithm) for part in record.streams),
        )

    def _check_stream(
        self,
        part: evidence_pb2.StreamEvidence,
        signed: notification_pb2.SignedNotification,
        notification: notification_pb2.Notification,
    ) -> None:
        algorithm = _algorithm(part.head.hash_algorithm)
        hashes = [algorithm.digest(signed.SerializeToString()), *part.following]
        digest = part.digest_before
        for one in hashes:
            digest = extend_chain(algorithm, digest, one)
        if digest != part.head.digest or part.head.municipality != notification.municipality:
            raise _broken("does not lead from the notification to the stamped head")

    def _check_stamps(
        self,
        chain: evidence_pb2.StampChain,
        leaf: Callable[[HashAlgorithm], bytes],
        municipality: str,
        now: datetime,
    ) -> None:
        if not chain.stamps:
            raise _broken("is not time-stamped")
        stamps = [_stamp(one) for one in chain.stamps]
        made = [one.made_at.ToDatetime(UTC) for one in stamps]
        allowed = self._witnesses(municipality)
        for place, (stamped, stamp) in enumerate(zip(chain.stamps, stamps, strict=True)):
            algorithm = _algorithm(stamp.hash_algorithm)
            root = root_of_path(
                algorithm,
                leaf(algorithm),
                stamped.path.index,
                stamp.tree_size,
                stamped.path.siblings,
            )
            if root != stamp.root:
                raise _broken("does not stand under its time stamp")
            if stamp.issuer not in allowed:
                raise JukiError(Reason.SIGNER_MISMATCH, "a time stamp is of a server unknown here")
            judged_at = made[place + 1] if place + 1 < len(made) else now
            if judged_at < made[place]:
                raise _broken("was renewed before it was made")
            signer = verify_chain(list(stamped.certificates), self._roots, judged_at, stamp.issuer)
            digest = time_stamp_digest(stamped.stamp.time_stamp)
            if signer.key_id != stamped.stamp.key_id or not verify_signature(
                signer.public_key, digest, stamped.stamp.signature
            ):
                raise JukiError(Reason.SIGNATURE_INVALID, "a time stamp's signature does not hold")
            self._check_strength(algorithm, judged_at)
            leaf = _leaf_of(stamped.stamp)

    def _check_strength(self, algorithm: HashAlgorithm, relied_on_until: datetime) -> None:
        weak_since = self._weak_since.get(algorithm)
        if weak_since is not None and relied_on_until >= weak_since:
            raise _broken("relies on a hash function that was weak by then")


def _leaf_of(signed: evidence_pb2.SignedTimeStamp) -> Callable[[HashAlgorithm], bytes]:
    return lambda algorithm: stamp_leaf(algorithm, signed)


def _head(part: evidence_pb2.StreamEvidence) -> Callable[[HashAlgorithm], bytes]:
    return lambda algorithm: head_leaf(algorithm, part.head)


def _stamp(stamped: evidence_pb2.StampedLeaf) -> evidence_pb2.TimeStamp:
    return evidence_pb2.TimeStamp.FromString(stamped.stamp.time_stamp)


def _first(part: evidence_pb2.StreamEvidence) -> datetime:
    """When the head was first stamped."""
    return _stamp(part.stamps.stamps[0]).made_at.ToDatetime(UTC)


def _algorithm(value: int) -> HashAlgorithm:
    try:
        return HashAlgorithm(value)
    except ValueError:
        raise _broken("is kept under an unknown hash function") from None


def _broken(what: str) -> JukiError:
    return JukiError(Reason.TAMPERING_DETECTED, f"the evidence record {what}")
