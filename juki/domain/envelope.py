"""Envelopes of notifications, receipts, grants: what is hashed and signed, how a stream chains."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from juki.domain.errors import JukiError, Reason

DIGEST_LENGTH: Final = 32
"""SHA-256, in bytes."""

GENESIS_DIGEST: Final = bytes(DIGEST_LENGTH)
"""Predecessor of the first notification of epoch 1."""

_NOTIFICATION_PREFIX: Final = b"juki.v1.Notification\0"
_RECEIPT_PREFIX: Final = b"juki.v1.Receipt\0"
_GRANT_PREFIX: Final = b"juki.v1.Grant\0"


def notification_digest(notification: bytes) -> bytes:
    """SHA-256 over the domain prefix and the notification's bytes: signed, chained, referred to."""
    return hashlib.sha256(_NOTIFICATION_PREFIX + notification).digest()


def receipt_digest(receipt: bytes) -> bytes:
    """SHA-256 over the domain prefix and the receipt's bytes: what a hop signs."""
    return hashlib.sha256(_RECEIPT_PREFIX + receipt).digest()


def grant_digest(grant: bytes) -> bytes:
    """SHA-256 over the domain prefix and the grant's bytes: what the nation signs."""
    return hashlib.sha256(_GRANT_PREFIX + grant).digest()


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """How far a municipality's stream is held: the head's epoch, sequence and digest."""

    epoch: int = 0
    """0 when nothing is held."""

    sequence: int = 0
    digest: bytes = GENESIS_DIGEST


@dataclass(frozen=True, slots=True)
class StreamLink:
    """What one notification says of its place in the stream."""

    epoch: int
    sequence: int
    predecessor_digest: bytes
    digest: bytes
    starts_epoch: bool
    """Whether its content is an epoch start."""

    last_known_sequence: int = 0
    """For an epoch start: the last sequence of the previous epoch that its issuer still knew."""


def follow(position: StreamPosition, link: StreamLink) -> StreamPosition:
    """The position after appending `link`, which must be new.

    Raises:
        JukiError: SEQUENCE_GAP (with what is expected), PREDECESSOR_MISMATCH, EPOCH_UNKNOWN or
            EPOCH_SUPERSEDED. Whether a sequence already held is a duplicate or a SEQUENCE_CONFLICT
            the store decides, which knows the digests.
    """
    expected_epoch = max(position.epoch, 1)
    if link.epoch < expected_epoch:
        raise JukiError(
            Reason.EPOCH_SUPERSEDED,
            "a later epoch of this municipality has begun",
            {"expected_epoch": str(expected_epoch)},
        )
    if link.epoch == expected_epoch:
        return _follow_within_epoch(position, link)
    starts_next = link.epoch == expected_epoch + 1 and link.sequence == 1 and link.starts_epoch
    if not starts_next or position.epoch == 0:
        raise JukiError(
            Reason.EPOCH_UNKNOWN,
            "the epoch has not been started by a signed epoch start",
            _expected(expected_epoch, position.sequence + 1),
        )
    if link.last_known_sequence > position.sequence:
        # The gateway knows more than we hold: the rest of the old epoch has to come first.
        raise JukiError(
            Reason.SEQUENCE_GAP,
            "the previous epoch is not held as far as its issuer knows it",
            _expected(expected_epoch, position.sequence + 1),
        )
    return StreamPosition(link.epoch, link.sequence, link.digest)


def _follow_within_epoch(position: StreamPosition, link: StreamLink) -> StreamPosition:
    if link.sequence != position.sequence + 1:
        raise JukiError(
            Reason.SEQUENCE_GAP,
            "the sequence leaves a gap",
            _expected(max(position.epoch, 1), position.sequence + 1),
        )
    if link.predecessor_digest != position.digest or link.starts_epoch:
        raise JukiError(
            Reason.PREDECESSOR_MISMATCH,
            "the notification does not follow the one held before it",
            _expected(max(position.epoch, 1), position.sequence + 1),
        )
    return StreamPosition(link.epoch, link.sequence, link.digest)


def _expected(epoch: int, sequence: int) -> dict[str, str]:
    return {"expected_epoch": str(epoch), "expected_sequence": str(sequence)}
