"""The rule of a witness: it co-signs what continues what it co-signed before, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from cryptography.hazmat.primitives.asymmetric import ec

from juki.audit.checkpoint import NoteKey, NoteSignature, SignedCheckpoint, signed_by
from juki.audit.tree import proves_consistency
from juki.audit.witness.cosignature import with_cosignature
from juki.audit.witness.records import Alarm, WitnessRecords
from juki.domain.errors import InvalidValue, JukiError, Reason

WITNESSED_SIZE: Final = "witnessed_size"
"""Metadata key of WITNESS_ELSEWHERE."""

_LOG: Final = structlog.get_logger(__name__)

_WHAT: Final = {
    Reason.LOG_SHORTENED: "the log shows fewer entries than were co-signed",
    Reason.LOG_REWRITTEN: "the log shows another root than was co-signed for its size",
    Reason.LOG_FORKED: "the log does not prove that it continues what was co-signed",
}


class SigningKeys(Protocol):
    """Finds whose key signed, by the certificates that came along."""

    def __call__(self, certificates: Sequence[bytes], identity: str) -> ec.EllipticCurvePublicKey:
        """The key of the first certificate (DER, leaf first), which must be the identity's.

        Raises JukiError where the chain does not hold, is another's or is revoked.
        """
        ...


class Cosigning(Protocol):
    """Signs for the witness; see `juki.audit.witness.cosignature.Cosigner`."""

    def cosign(self, text: str) -> tuple[NoteSignature, tuple[bytes, ...]]:
        """The line of a checkpoint's text, and the certificates of the key that signed."""
        ...


@dataclass(frozen=True, slots=True)
class WatchedLog:
    """A log that this witness watches."""

    origin: str
    identity: str
    """Whose log it is: its checkpoints are signed by that server's key."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a log shows: a checkpoint and how it continues an earlier one."""

    old_size: int
    """From where the proof leads; 0 where the log believes that the witness saw nothing yet."""

    proof: Sequence[bytes]
    checkpoint: bytes
    """The signed note."""

    certificates: Sequence[bytes]
    """DER certificates of the log's signing key, leaf first, without the root."""


@dataclass(frozen=True, slots=True)
class Cosigned:
    """What is handed to the log, durable at the witness."""

    checkpoint: SignedCheckpoint
    line: NoteSignature
    certificates: tuple[bytes, ...]


class Witness:
    """Co-signs the checkpoints of the logs that it watches; safe for threads.

    What it co-signs is on its disk before anybody is given the cosignature, so that it cannot be
    led back by a crash.
    """

    def __init__(
        self,
        *,
        records: WitnessRecords,
        cosigner: Cosigning,
        find_key: SigningKeys,
        clock: Callable[[], int],
        alarmed: Callable[[Reason], None] = lambda _: None,
        cosigned: Callable[[SignedCheckpoint], None] = lambda _: None,
    ) -> None:
        """`clock` gives nanoseconds since 1970-01-01 UTC.

        `alarmed` is told each alarm, `cosigned` each checkpoint with the cosignature at its end.
        """
        self._records = records
        self._cosigner = cosigner
        self._find_key = find_key
        self._clock = clock
        self._alarmed = alarmed
        self._cosigned = cosigned
        self._lock = threading.Lock()

    def witnessed_size(self, log: WatchedLog) -> int:
        """Size of the tree last co-signed; 0 for a log never seen. Raises as `WitnessRecords`."""
        latest = self._records.latest(log.origin)
        return 0 if latest is None else latest.checkpoint.size

    def cosign(self, log: WatchedLog, offer: Offer) -> Cosigned:
        """Checks what a log shows, keeps it and co-signs it.

        Raises:
            JukiError: SIGNATURE_INVALID unless the log signed it, or what stands against its
                certificates; WITNESS_ELSEWHERE where another size was co-signed than the log
                believes; LOG_SHORTENED, LOG_REWRITTEN or LOG_FORKED with the alarm raised;
                STORE_UNAVAILABLE where it cannot be kept; what custody raises.
        """
        signed = self._verified(log, offer)
        with self._lock:
            seen = self._records.latest(log.origin)
            seen_size = 0 if seen is None else seen.checkpoint.size
            if offer.old_size != seen_size:
                raise JukiError(
                    Reason.WITNESS_ELSEWHERE,
                    "the witness last co-signed another size",
                    {WITNESSED_SIZE: str(seen_size)},
                )
            if seen is not None:
                self._check_continues(seen, signed, offer.proof)
            line, certificates = self._cosigner.cosign(signed.checkpoint.text)
            kept = with_cosignature(signed, line)
            self._records.keep(kept)
        self._cosigned(kept)
        return Cosigned(kept, line, certificates)

    def check(self) -> None:
        """Raises while an alarm stands: its evidence is with the records until taken away."""
        alarms = self._records.alarms()
        if alarms:
            raise JukiError(
                Reason.TAMPERING_DETECTED,
                "a watched log showed what no honest log shows",
                {"alarms": str(len(alarms))},
            )

    def _verified(self, log: WatchedLog, offer: Offer) -> SignedCheckpoint:
        try:
            signed = SignedCheckpoint.parse(offer.checkpoint.decode())
        except ValueError:
            raise InvalidValue("this is no checkpoint") from None
        if signed.checkpoint.origin != log.origin:
            raise InvalidValue("the checkpoint is of another log")
        key = NoteKey(log.origin, self._find_key(offer.certificates, log.identity))
        try:
            own = [one for one in signed.signatures if one.key_id == key.key_id][:1]
            signed = SignedCheckpoint(signed.checkpoint, tuple(own))
            if signed_by(signed, [key]):
                return signed
        except InvalidValue:
            pass
        raise JukiError(Reason.SIGNATURE_INVALID, "the log did not sign this checkpoint")

    def _check_continues(
        self, seen: SignedCheckpoint, offered: SignedCheckpoint, proof: Sequence[bytes]
    ) -> None:
        old, new = seen.checkpoint, offered.checkpoint
        reason = None
        if new.size < old.size:
            reason = Reason.LOG_SHORTENED
        elif new.size == old.size:
            reason = None if new.root == old.root else Reason.LOG_REWRITTEN
        elif old.size and not proves_consistency(old.size, new.size, old.root, new.root, proof):
            reason = Reason.LOG_FORKED
        if reason is None:
            return
        alarm = Alarm(reason, self._clock() // 1_000_000_000, seen, offered, tuple(proof))
        evidence = self._records.raise_alarm(alarm)
        self._alarmed(reason)
        _LOG.error(
            "audit_log_not_as_witnessed",
            reason=reason.value,
            origin=new.origin,
            witnessed_size=old.size,
            size=new.size,
            evidence="kept before" if evidence is None else evidence.name,
        )
        raise JukiError(
            reason, _WHAT[reason], {WITNESSED_SIZE: str(old.size), "size": str(new.size)}
        )
