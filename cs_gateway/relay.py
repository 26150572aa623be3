"""Sends the outbox to the prefecture (Act Art. 30-6), in order, and keeps its receipts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from cs_gateway.metrics import GatewayMetrics
from cs_gateway.outbox import Outbox, OutboxRun
from cs_gateway.ports import Clock, ReceiptVerifier, Upstream
from cs_gateway.progress import Progress
from cs_gateway.signing import StreamSigner
from juki.domain.envelope import notification_digest
from juki.domain.errors import JukiError, Reason
from juki.v1 import intake_pb2, notification_pb2

_LOG: Final = structlog.get_logger(__name__)
_IDLE_SECONDS: Final = 1.0
_HEAD_CHECK_MICROSECONDS: Final = 10_000_000
"""How often an idle gateway asks what the prefecture holds, which may have been restored."""


class Relay:
    """One round sends one run, or waits for one."""

    def __init__(
        self,
        *,
        municipality: str,
        prefecture_identity: str,
        outbox: Outbox,
        signer: StreamSigner,
        upstream: Upstream,
        verify: ReceiptVerifier,
        clock: Clock,
        progress: Progress,
        metrics: GatewayMetrics,
        halt: Callable[[Reason], None] = lambda _: None,
    ) -> None:
        """`halt` is told when the stream must not go on, since the prefecture holds more of it."""
        self._municipality = municipality
        self._prefecture = prefecture_identity
        self._outbox = outbox
        self._signer = signer
        self._upstream = upstream
        self._verify = verify
        self._clock = clock
        self._progress = progress
        self._metrics = metrics
        self._halt = halt
        standing = progress.standing
        self._epoch = standing.prefecture_epoch
        self._sequence = standing.prefecture_through
        self._certificates_sent: list[bytes] = []
        self._signer_is_new = False
        """Whether notifications may wait that a revoked predecessor of the key has signed."""
        self._head_checked_at: int | None = None
        self._oldest_issued_at: int | None = None
        metrics.oldest_unacknowledged.set_function(self._age_of_oldest)

    def check_head(self) -> None:
        """Makes sure that the prefecture holds no more of the stream than was issued here.

        It does after this gateway was restored from a backup: then a new epoch must be started
        (`cs_gateway.epoch`) before another event is taken in. Where it holds less than it
        receipted, the prefecture was restored, and is sent the rest again.

        Raises:
            JukiError: EPOCH_SUPERSEDED, and the stream is halted; UPSTREAM_UNAVAILABLE.
        """
        held = self._upstream.get_stream_head(self._municipality)
        standing = self._progress.standing
        digest = self._outbox.digest(held.epoch, held.sequence)
        ahead = (held.epoch, held.sequence) > (standing.epoch, standing.issued_through)
        # A digest of an earlier epoch may be unknown here: the new epoch's start said so.
        differs = digest is not None and held.digest != digest
        if held.epoch and (ahead or differs):
            _LOG.critical("prefecture_holds_more", sequence=held.sequence, hint="start a new epoch")
            self._halt(Reason.EPOCH_SUPERSEDED)
            raise JukiError(
                Reason.EPOCH_SUPERSEDED, "the prefecture holds more than this gateway issued"
            )
        self._head_checked_at = self._clock()
        if (held.epoch, held.sequence) < (self._epoch, self._sequence):
            self._go_back(max(held.epoch, 1), held.sequence)

    def work(self) -> None:
        """Sends the next run and stores its receipts; returns at once or within a second.

        Raises:
            JukiError: The run could not be handed over; the next round tries again.
        """
        checked_at = self._head_checked_at
        if checked_at is None:
            self.check_head()
        version = self._progress.version
        run = self._outbox.run_after(self._epoch, self._sequence)
        if run is None:
            self._oldest_issued_at = None
            self._progress.wait(version, _IDLE_SECONDS)
            if checked_at is not None and self._clock() - checked_at >= _HEAD_CHECK_MICROSECONDS:
                self.check_head()
            return
        self._oldest_issued_at = run.oldest_issued_at
        try:
            self._send(run)
        except JukiError as error:
            if error.reason is Reason.UNKNOWN_SIGNING_KEY and self._certificates_sent:
                self._certificates_sent = []
                return
            if error.reason is Reason.SIGNER_REVOKED and not self._signer_is_new:
                # What waited here when the key was revoked is signed by its successor, if it is
                # one: a key that is itself revoked is refused again.
                self._signer_is_new = True
                return
            if error.reason in (Reason.SEQUENCE_CONFLICT, Reason.EPOCH_SUPERSEDED):
                # Another history of this stream is held there: this one is a restored backup.
                _LOG.critical("stream_diverges_from_the_prefecture", reason=error.reason.value)
                self._halt(Reason.EPOCH_SUPERSEDED)
            if error.reason in (Reason.SEQUENCE_GAP, Reason.EPOCH_UNKNOWN):
                self._rewind(error)
                return
            raise

    def _send(self, run: OutboxRun) -> None:
        certificates = self._signer.certificates
        known = certificates == self._certificates_sent
        notifications = run.notifications
        if self._signer_is_new:
            notifications = self._signed_anew(notifications)
        response = self._upstream.submit_notifications(
            intake_pb2.SubmitNotificationsRequest(
                notifications=notifications, certificates=[] if known else certificates
            )
        )
        self._certificates_sent = certificates
        receipts = [
            (self._check(run, signed, list(response.certificates)), signed.SerializeToString())
            for signed in response.receipts
        ]
        if not receipts:
            raise JukiError(Reason.INTERNAL, "the prefecture gave no receipt")
        through = max(receipt.last_sequence for receipt, _ in receipts)
        self._outbox.store_prefecture_receipts(receipts, run.epoch, through, self._clock())
        self._epoch, self._sequence = run.epoch, through
        standing = self._progress.standing
        if (run.epoch, through) > (standing.prefecture_epoch, standing.prefecture_through):
            self._progress.move(prefecture_epoch=run.epoch, prefecture_through=through)
        if response.HasField("refusal"):
            _LOG.warning("run_refused_in_part", accepted_through=through)

    def _signed_anew(
        self, notifications: list[notification_pb2.SignedNotification]
    ) -> list[notification_pb2.SignedNotification]:
        """The same notifications under the present key: a signature is no part of the chain."""
        key_id, signatures = self._signer.sign(
            [notification_digest(one.notification) for one in notifications]
        )
        return [
            notification_pb2.SignedNotification(
                notification=one.notification, key_id=key_id, signature=signature
            )
            for one, signature in zip(notifications, signatures, strict=True)
        ]

    def _check(
        self,
        run: OutboxRun,
        signed: notification_pb2.SignedReceipt,
        certificates: list[bytes],
    ) -> notification_pb2.Receipt:
        """The receipt, which must speak of this stream as it was issued here."""
        receipt = self._verify(signed, certificates, self._prefecture)
        if (
            receipt.issuer != self._prefecture
            or receipt.municipality != self._municipality
            or receipt.epoch != run.epoch
            or receipt.last_sequence < run.first_sequence
            or receipt.last_digest != self._outbox.digest(run.epoch, receipt.last_sequence)
        ):
            raise JukiError(
                Reason.TAMPERING_DETECTED, "the prefecture's receipt does not fit the stream"
            )
        return receipt

    def _rewind(self, gap: JukiError) -> None:
        """Goes back (or forward) to what the prefecture expects.

        Raises:
            JukiError: EPOCH_SUPERSEDED when the prefecture holds more than was ever issued here.
        """
        try:
            epoch = int(gap.metadata["expected_epoch"])
            sequence = int(gap.metadata["expected_sequence"])
        except (KeyError, ValueError):
            raise gap from None
        standing = self._progress.standing
        if epoch == standing.epoch and sequence > standing.issued_through + 1:
            _LOG.critical("prefecture_holds_more", expected=sequence, hint="start a new epoch")
            self._halt(Reason.EPOCH_SUPERSEDED)
            raise JukiError(
                Reason.EPOCH_SUPERSEDED, "the prefecture holds more than this gateway issued"
            )
        if (epoch, sequence - 1) == (self._epoch, self._sequence):
            raise gap
        self._go_back(epoch, sequence - 1)

    def _go_back(self, epoch: int, sequence: int) -> None:
        """The next run follows this place of the stream."""
        standing = self._progress.standing
        if (epoch, sequence) < (standing.prefecture_epoch, standing.prefecture_through):
            _LOG.critical(
                "prefecture_has_lost_notifications",
                held_epoch=epoch,
                held_through=sequence,
                acknowledged_epoch=standing.prefecture_epoch,
                acknowledged_through=standing.prefecture_through,
            )
            self._metrics.lost_upstream.inc()
        self._epoch, self._sequence = epoch, sequence

    def _age_of_oldest(self) -> float:
        issued_at = self._oldest_issued_at
        return 0.0 if issued_at is None else max(0.0, (self._clock() - issued_at) / 1_000_000)
