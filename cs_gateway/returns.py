"""Takes in what flows back: the nation's receipts and reports of dispute (Act Art. 30-8)."""

from __future__ import annotations

from typing import Final

import structlog
from sqlalchemy import func, insert, select, update

from cs_gateway.metrics import GatewayMetrics
from cs_gateway.outbox import NATION, Outbox, advance_nation, store_receipt
from cs_gateway.ports import Clock, ReceiptVerifier, Upstream
from cs_gateway.progress import Progress
from cs_gateway.store import GatewayStore
from cs_gateway.tables import DISPUTE, GATEWAY_STATE
from juki.domain.errors import JukiError, Reason
from juki.v1 import intake_pb2, notification_pb2

_LOG: Final = structlog.get_logger(__name__)


class Returns:
    """One round follows the prefecture's stream of returns until it breaks."""

    def __init__(
        self,
        *,
        municipality: str,
        national_identity: str,
        store: GatewayStore,
        outbox: Outbox,
        upstream: Upstream,
        verify: ReceiptVerifier,
        clock: Clock,
        progress: Progress,
        metrics: GatewayMetrics,
    ) -> None:
        self._municipality = municipality
        self._nation = national_identity
        self._store = store
        self._outbox = outbox
        self._upstream = upstream
        self._verify = verify
        self._clock = clock
        self._progress = progress
        self._metrics = metrics
        self._count_disputes()

    def work(self) -> None:
        """Follows from the durable cursor on.

        Raises:
            JukiError: The stream broke before anything came or holds something that cannot be; the
                next round begins again at the last cursor that was stored.
        """
        taken = False
        try:
            for item in self._upstream.follow_returns(self._cursor()):
                self._take(item)
                taken = True
        except JukiError as error:
            # What has brought something worked: the next round follows at once, without a pause
            # that grows each time the prefecture is started anew.
            if not taken:
                raise
            _LOG.warning("returns_interrupted", reason=error.reason.value)

    def _cursor(self) -> int:
        with self._store.read() as connection:
            return connection.scalar(select(GATEWAY_STATE.c.returns_cursor)) or 0

    def _take(self, item: intake_pb2.FollowReturnsResponse) -> None:
        kind = item.WhichOneof("item")
        if kind == "national_receipt":
            self._take_receipt(item)
        elif kind == "dispute":
            self._take_dispute(item)
        else:
            # A kind of a later version of the contract: it is passed over, not waited for.
            _LOG.warning("unknown_return_passed_over")
            with self._store.write() as connection:
                connection.execute(update(GATEWAY_STATE).values(returns_cursor=item.cursor))

    def _take_receipt(self, item: intake_pb2.FollowReturnsResponse) -> None:
        signed = item.national_receipt
        receipt = self._verify(signed, list(item.certificates), self._nation)
        self._check(receipt)
        now = self._clock()
        with self._store.write() as connection:
            store_receipt(connection, NATION, receipt, signed.SerializeToString(), now)
            advance_nation(connection, receipt.epoch, receipt.last_sequence, now)
            connection.execute(update(GATEWAY_STATE).values(returns_cursor=item.cursor))
        standing = self._progress.standing
        known = standing.nation_through if standing.nation_epoch == receipt.epoch else 0
        if (receipt.epoch, receipt.last_sequence) <= (standing.nation_epoch, known):
            return
        first = max(known + 1, receipt.first_sequence)
        for issued_at in self._outbox.issue_instants(receipt.epoch, first, receipt.last_sequence):
            self._metrics.propagation.observe(max(0, now - issued_at) / 1_000_000)
        self._progress.move(
            nation_epoch=receipt.epoch,
            nation_through=receipt.last_sequence,
            nation_receipt_at=now,
        )

    def _check(self, receipt: notification_pb2.Receipt) -> None:
        digest = self._outbox.digest(receipt.epoch, receipt.last_sequence)
        if digest is None and receipt.municipality == self._municipality:
            # A gateway restored without the prefecture's help does not know the lost tail.
            _LOG.warning("receipt_for_an_unknown_notification", sequence=receipt.last_sequence)
            return
        if (
            receipt.issuer != self._nation
            or receipt.municipality != self._municipality
            or receipt.last_digest != digest
        ):
            raise JukiError(
                Reason.TAMPERING_DETECTED, "the nation's receipt does not fit the stream"
            )

    def _take_dispute(self, item: intake_pb2.FollowReturnsResponse) -> None:
        report = item.dispute
        values = {
            "report": report.SerializeToString(),
            "resolved": report.HasField("resolved_at"),
        }
        with self._store.write() as connection:
            changed = connection.execute(
                update(DISPUTE).where(DISPUTE.c.dispute_id == report.dispute_id).values(**values)
            )
            if changed.rowcount == 0:
                connection.execute(insert(DISPUTE).values(dispute_id=report.dispute_id, **values))
            connection.execute(update(GATEWAY_STATE).values(returns_cursor=item.cursor))
        self._count_disputes()

    def _count_disputes(self) -> None:
        statement = select(func.count()).select_from(DISPUTE).where(~DISPUTE.c.resolved)
        with self._store.read() as connection:
            self._metrics.disputes_open.set(connection.scalar(statement) or 0)
