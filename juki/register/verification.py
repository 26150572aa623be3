"""Verifies the envelopes of a run: who signed what, and where in the stream it claims to stand."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from protovalidate import Validator

from juki.domain.envelope import (
    DIGEST_LENGTH,
    StreamLink,
    notification_digest,
    receipt_digest,
)
from juki.domain.errors import JukiError, Reason
from juki.register.signers import Signer, SignerDirectory, check_signature
from juki.register.values import RecordChange, record_change
from juki.v1 import intake_pb2, notification_pb2

_LAST_EPOCH: Final = 2**31 - 1
_LAST_SEQUENCE: Final = 2**63 - 1
_VALIDATOR: Final = Validator()


@dataclass(frozen=True, slots=True)
class VerifiedNotification:
    """A notification whose envelope holds: parsed, its signature verified."""

    envelope: bytes
    """The serialised `SignedNotification` as it came."""

    link: StreamLink
    change: RecordChange | None
    """`None` for an epoch start."""


@dataclass(frozen=True, slots=True)
class VerifiedRun:
    """What of a run holds, from its beginning."""

    notifications: list[VerifiedNotification]
    signers: dict[bytes, Signer]
    """By key id: those who signed them."""

    refusal: JukiError | None
    """Why the notification after them does not hold, if there is one."""


class RunVerifier:
    """Verifies runs against the certificates of the municipalities' gateways."""

    def __init__(
        self,
        signers: SignerDirectory,
        identity_of: Callable[[str], str],
        receipted_by: Callable[[str], str] | None = None,
    ) -> None:
        """`identity_of` gives the URI identity of a municipality's gateway.

        `receipted_by` gives that of the server which hands its notifications on, whose receipts say
        when they arrived; None where they come from the gateway itself.
        """
        self._signers = signers
        self._identity_of = identity_of
        self._receipted_by = receipted_by

    def verify(
        self, request: intake_pb2.SubmitNotificationsRequest, municipality: str
    ) -> VerifiedRun:
        """The part of the run that holds, and why the rest does not."""
        identity = self._identity_of(municipality)
        verified: list[VerifiedNotification] = []
        signers: dict[bytes, Signer] = {}
        try:
            arrivals = self._arrivals(request, municipality)
        except JukiError as error:
            return VerifiedRun(verified, signers, error)
        for signed in request.notifications:
            try:
                notification = parse_notification(signed.notification)
                if notification.municipality != municipality or (
                    verified and notification.epoch != verified[0].link.epoch
                ):
                    raise JukiError(
                        Reason.INVALID_FIELD, "a run is of one municipality and one epoch"
                    )
                signer = None if arrivals else signers.get(signed.key_id)
                if signer is None:
                    signer = self._signers.find(
                        signed.key_id,
                        identity,
                        request.certificates,
                        _arrival(arrivals, notification),
                    )
                digest = notification_digest(signed.notification)
                check_signature(signer, digest, signed.signature)
                verified.append(_verified(signed, notification, digest))
                signers[signer.key_id] = signer
            except JukiError as error:
                return VerifiedRun(verified, signers, error)
        return VerifiedRun(verified, signers, None)

    def _arrivals(
        self, request: intake_pb2.SubmitNotificationsRequest, municipality: str
    ) -> list[notification_pb2.Receipt]:
        """What the receipts that came along say; each is held against its signer."""
        if self._receipted_by is None or not request.receipts:
            return []
        issuer = self._receipted_by(municipality)
        arrivals = []
        for signed in request.receipts:
            signer = self._signers.find(signed.key_id, issuer, request.certificates)
            check_signature(signer, receipt_digest(signed.receipt), signed.signature)
            receipt = notification_pb2.Receipt.FromString(signed.receipt)
            if receipt.issuer != issuer or receipt.municipality != municipality:
                raise JukiError(Reason.SIGNER_MISMATCH, "a receipt speaks of another stream")
            arrivals.append(receipt)
        return arrivals


def parse_notification(serialised: bytes) -> notification_pb2.Notification:
    """The notification, held against the contract by hand but for what a record change says.

    Its municipality is held against the caller's identity elsewhere.

    Raises:
        JukiError: MALFORMED_MESSAGE or INVALID_FIELD.
    """
    try:
        notification = notification_pb2.Notification.FromString(serialised)
    except Exception:  # protobuf raises its own DecodeError, whose text may quote the bytes
        raise JukiError(Reason.MALFORMED_MESSAGE, "the bytes are not a notification") from None
    if (
        len(notification.predecessor_digest) != DIGEST_LENGTH
        or not 1 <= notification.epoch <= _LAST_EPOCH
        or not 1 <= notification.sequence <= _LAST_SEQUENCE
        or notification.WhichOneof("content") is None
        or not notification.HasField("issued_at")
    ):
        raise JukiError(Reason.INVALID_FIELD, "the notification has no place in a stream")
    if notification.HasField("epoch_start") and (
        notification.epoch_start.previous_epoch != notification.epoch - 1
        or _VALIDATOR.collect_violations(notification.epoch_start, fail_fast=True)
    ):
        # Rare, and not content that a register could state wrongly: no need to hold it disputed.
        raise JukiError(Reason.INVALID_FIELD, "the start of an epoch breaks the contract")
    return notification


def _arrival(
    receipts: list[notification_pb2.Receipt], notification: notification_pb2.Notification
) -> datetime.datetime | None:
    for receipt in receipts:
        if receipt.epoch == notification.epoch and (
            receipt.first_sequence <= notification.sequence <= receipt.last_sequence
        ):
            return receipt.received_at.ToDatetime(datetime.UTC)
    return None


def _verified(
    signed: notification_pb2.SignedNotification,
    notification: notification_pb2.Notification,
    digest: bytes,
) -> VerifiedNotification:
    starts = notification.WhichOneof("content") == "epoch_start"
    link = StreamLink(
        notification.epoch,
        notification.sequence,
        notification.predecessor_digest,
        digest,
        starts_epoch=starts,
        last_known_sequence=notification.epoch_start.last_known_sequence if starts else 0,
    )
    return VerifiedNotification(
        signed.SerializeToString(), link, None if starts else record_change(notification)
    )
