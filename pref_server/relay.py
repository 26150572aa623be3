"""Relays every municipality's notifications to the nation, as received, in order (Art. 30-7)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

import grpc
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge
from sqlalchemy import Engine, or_, select, update

from juki.domain.envelope import notification_digest, receipt_digest
from juki.domain.errors import JukiError, Reason
from juki.register import tables as t
from juki.register.archive import read_following
from juki.register.returns import ReturnBox
from juki.register.signers import SignerDirectory, check_signature, stored_certificates
from juki.register.streams import read_receipts
from juki.rpc.errors import details_of, raise_from_rpc, refusals_of_peer
from juki.rpc.reasons import reason_of_number
from juki.store.sealing import Sealer
from juki.v1 import intake_pb2, intake_pb2_grpc, notification_pb2

_RUN: Final = 500
_CALL_SECONDS: Final = 30.0
_IDLE_SECONDS: Final = 1.0
_HEAD_CHECK_SECONDS: Final = 10.0
"""How often an idle relay asks what the nation holds, which may have been restored."""

_RELAYED: Final = select(
    t.stream.c.municipality, t.stream.c.relayed_epoch, t.stream.c.relayed_sequence
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Pending:
    municipality: str
    epoch: int
    """Last relayed."""

    sequence: int


class RelayMetrics:
    """How the relay to the nation is doing."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.relayed = Counter(
            "juki_relay_notifications_total",
            "Notifications for which the nation's receipt is held.",
            registry=registry,
        )
        self.refused = Counter(
            "juki_relay_refused_total",
            "Runs the nation refused, by reason.",
            ["reason"],
            registry=registry,
        )
        self.backlog = Gauge(
            "juki_relay_backlog_streams",
            "Streams with notifications that the nation has not receipted.",
            registry=registry,
        )


class Relay:
    """Sends what is stored and not yet receipted by the nation; `work` is a worker's round."""

    def __init__(
        self,
        *,
        engine: Engine,
        sealer: Sealer,
        nation: intake_pb2_grpc.NotificationIntakeServiceStub,
        nation_identity: str,
        signers: SignerDirectory,
        own_certificates: Callable[[Collection[bytes]], list[bytes]],
        sign_receipt: Callable[[bytes], notification_pb2.SignedReceipt],
        returns: ReturnBox,
        confirm_grants: Callable[[], None],
        metrics: RelayMetrics,
    ) -> None:
        """`own_certificates` gives those of the keys (ids) under this tier's receipts,
        and `sign_receipt` signs one anew with the key in use.

        `confirm_grants` tells the nation what the prefecture holds of its grants.
        """
        self._engine = engine
        self._sealer = sealer
        self._nation = nation
        self._nation_identity = nation_identity
        self._signers = signers
        self._own_certificates = own_certificates
        self._sign_receipt = sign_receipt
        self._returns = returns
        self._confirm_grants = confirm_grants
        self._metrics = metrics
        self._wake = threading.Event()
        self._presented: set[bytes] = set()
        self._heads_checked_at = -_HEAD_CHECK_SECONDS

    def wake(self) -> None:
        """Says that something new is stored, or that the worker is to end."""
        self._wake.set()

    def failed(self, reason: Reason) -> None:
        """Counts a round that failed."""
        self._metrics.refused.labels(reason).inc()

    def work(self) -> None:
        """One round over every stream that has something; waits when there is nothing.

        Raises:
            JukiError: What stands in the way of a stream; UPSTREAM_UNAVAILABLE ends the round.
        """
        self._wake.clear()
        pending = self._pending()
        self._metrics.backlog.set(len(pending))
        failed: JukiError | None = None
        for stream in pending:
            try:
                self._relay_stream(stream)
            except JukiError as error:
                # One municipality's trouble does not hold up the others.
                if error.reason is Reason.UPSTREAM_UNAVAILABLE:
                    raise
                failed = failed or error
        if failed is not None:
            raise failed
        if pending:
            return
        if time.monotonic() - self._heads_checked_at >= _HEAD_CHECK_SECONDS:
            self._check_heads()
        else:
            self._wake.wait(_IDLE_SECONDS)

    def _pending(self) -> list[_Pending]:
        table = t.stream
        statement = _RELAYED.where(
            or_(
                table.c.relayed_epoch != table.c.epoch,
                table.c.relayed_sequence != table.c.sequence,
            )
        )
        with self._engine.connect().execution_options(read_only=True) as connection:
            return [_Pending(*row) for row in connection.execute(statement)]

    def _check_heads(self) -> None:
        """Sends again, of each stream, what the nation receipted and holds no longer."""
        with self._engine.connect().execution_options(read_only=True) as connection:
            streams = [_Pending(*row) for row in connection.execute(_RELAYED)]
        for stream in streams:
            request = intake_pb2.GetStreamHeadRequest(municipality=stream.municipality)
            try:
                with refusals_of_peer():
                    head = self._nation.GetStreamHead(request, timeout=_CALL_SECONDS)
            except JukiError as error:
                if error.reason is not Reason.GRANTS_NOT_CONFIRMED:
                    raise
                self._confirm_grants()
                return
            if (head.epoch, head.sequence) < (stream.epoch, stream.sequence):
                self._go_back(stream, max(head.epoch, 1), head.sequence)
        self._heads_checked_at = time.monotonic()

    def _relay_stream(self, stream: _Pending) -> None:
        _, _, run = read_following(
            self._engine, self._sealer, stream.municipality, stream.epoch, stream.sequence, _RUN
        )
        if not run:
            return
        request = intake_pb2.SubmitNotificationsRequest(
            notifications=run, certificates=self._certificates_for(run)
        )
        if self._signers.need_vouching({signed.key_id for signed in run}):
            # The nation would refuse what arrived here before the revocation, or the end of the
            # certificate, but for our receipts: signed anew, since their own key may have ended.
            self._presented.clear()
            request.ClearField("certificates")
            request.certificates.extend(self._certificates_for(run))
            receipts = [
                self._sign_receipt(one.receipt)
                for one in self._receipts_for(stream.municipality, run)
            ]
            request.receipts.extend(receipts)
            request.certificates.extend(self._own_certificates({one.key_id for one in receipts}))
        try:
            response = self._nation.SubmitNotifications(request, timeout=_CALL_SECONDS)
        except grpc.RpcError as error:
            refusal = details_of(error)
            if refusal.reason is Reason.UNKNOWN_SIGNING_KEY:
                self._presented.clear()
            if refusal.reason in (Reason.SEQUENCE_GAP, Reason.EPOCH_UNKNOWN):
                self._rewind(stream, refusal.metadata)
                return
            if refusal.reason is Reason.GRANTS_NOT_CONFIRMED:
                # The nation was started anew; the next round of this worker sends the run again.
                self._confirm_grants()
                return
            raise_from_rpc(error)
        self._presented.update(signed.key_id for signed in run)
        taken = response.refusal.index if response.HasField("refusal") else len(run)
        if taken:
            self._keep(stream, run[:taken], response)
        if response.HasField("refusal"):
            raise JukiError(
                reason_of_number(response.refusal.reason), "the nation refused a notification"
            )

    def _certificates_for(self, run: list[notification_pb2.SignedNotification]) -> list[bytes]:
        unknown = {signed.key_id for signed in run} - self._presented
        with self._engine.connect().execution_options(read_only=True) as connection:
            return stored_certificates(connection, unknown)

    def _receipts_for(
        self, municipality: str, run: list[notification_pb2.SignedNotification]
    ) -> list[notification_pb2.SignedReceipt]:
        """The receipts that this tier gave for the run."""
        first, last = (
            notification_pb2.Notification.FromString(one.notification) for one in (run[0], run[-1])
        )
        table = t.notification
        statement = (
            select(table.c.receipt_id)
            .distinct()
            .where(
                table.c.municipality == municipality,
                table.c.epoch == first.epoch,
                table.c.sequence.between(first.sequence, last.sequence),
            )
        )
        with self._engine.connect().execution_options(read_only=True) as connection:
            return read_receipts(connection, connection.scalars(statement))

    def _keep(
        self,
        stream: _Pending,
        run: list[notification_pb2.SignedNotification],
        response: intake_pb2.SubmitNotificationsResponse,
    ) -> None:
        """Verifies the nation's receipts, stores them for the gateway, and moves on."""
        certificates = list(response.certificates)
        receipts = [
            self._verified_receipt(signed, stream, certificates) for signed in response.receipts
        ]
        items = [
            (
                stream.municipality,
                intake_pb2.FollowReturnsResponse(
                    national_receipt=signed, certificates=certificates
                ),
            )
            for signed in response.receipts
        ]
        covered = max((receipt.last_sequence for receipt in receipts), default=0)
        last = notification_pb2.Notification.FromString(run[-1].notification)
        newest = receipts[-1]
        if covered < last.sequence or (
            newest.last_sequence == last.sequence
            and newest.last_digest != notification_digest(run[-1].notification)
        ):
            raise JukiError(Reason.SIGNATURE_INVALID, "a receipt does not cover what was sent")
        with self._engine.begin() as connection:
            connection.execute(
                update(t.stream)
                .where(t.stream.c.municipality == stream.municipality)
                .values(relayed_epoch=last.epoch, relayed_sequence=last.sequence)
            )
            self._returns.put(connection, items)
        self._returns.wake()
        self._metrics.relayed.inc(len(run))

    def _verified_receipt(
        self,
        signed: notification_pb2.SignedReceipt,
        stream: _Pending,
        certificates: list[bytes],
    ) -> notification_pb2.Receipt:
        signer = self._signers.find(signed.key_id, self._nation_identity, certificates)
        check_signature(signer, receipt_digest(signed.receipt), signed.signature)
        receipt = notification_pb2.Receipt.FromString(signed.receipt)
        if receipt.municipality != stream.municipality or receipt.issuer != self._nation_identity:
            raise JukiError(Reason.SIGNER_MISMATCH, "a receipt speaks of another stream")
        return receipt

    def _rewind(self, stream: _Pending, metadata: Mapping[str, str]) -> None:
        """The nation holds less than it receipted (restored from a backup): send it again."""
        epoch = int(metadata.get("expected_epoch", "1"))
        sequence = int(metadata.get("expected_sequence", "1")) - 1
        if (epoch, sequence) >= (max(stream.epoch, 1), stream.sequence):
            raise JukiError(Reason.SEQUENCE_GAP, "the nation expects what is not held here")
        self._go_back(stream, epoch, sequence)

    def _go_back(self, stream: _Pending, epoch: int, sequence: int) -> None:
        log.error("relay.nation_lost_notifications", municipality=stream.municipality)
        with self._engine.begin() as connection:
            connection.execute(
                update(t.stream)
                .where(t.stream.c.municipality == stream.municipality)
                .values(relayed_epoch=epoch, relayed_sequence=sequence)
            )
