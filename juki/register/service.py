"""The intake service as the prefectural and the national server both serve it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import grpc
from prometheus_client import CollectorRegistry, Counter, Histogram
from sqlalchemy import Engine

from juki.domain.errors import JukiError, Reason
from juki.register.archive import read_run
from juki.register.intake import NotificationIntake, Submission
from juki.register.returns import ReturnBox
from juki.register.streams import read_position
from juki.rpc.call import current_identity
from juki.rpc.identity import Identity
from juki.store.sealing import Sealer
from juki.v1 import intake_pb2, intake_pb2_grpc, notification_pb2

_RUN_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class IntakeMetrics:
    """Counters of one tier's intake; labels are outcomes and reasons only."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.notifications = Counter(
            "juki_intake_notifications_total",
            "Notifications received, by outcome: accepted, duplicate, disputed.",
            ["outcome"],
            registry=registry,
        )
        self.refused = Counter(
            "juki_intake_refused_total",
            "Runs refused, in whole or from some notification on, by reason.",
            ["reason"],
            registry=registry,
        )
        self.run_size = Histogram(
            "juki_intake_run_notifications",
            "Notifications a call of SubmitNotifications brought.",
            buckets=_RUN_BUCKETS,
            registry=registry,
        )


class NotificationIntakeServicer(intake_pb2_grpc.NotificationIntakeServiceServicer):
    """Takes runs in for the municipalities that the caller may speak for."""

    def __init__(
        self,
        *,
        intake: NotificationIntake,
        engine: Engine,
        sealer: Sealer,
        returns: ReturnBox,
        metrics: IntakeMetrics,
        check_caller: Callable[[Identity, str], None],
        recipient_of: Callable[[Identity], str],
    ) -> None:
        """`check_caller` raises unless the identity may speak for the municipality (six digits)."""
        self._intake = intake
        self._engine = engine
        self._sealer = sealer
        self._returns = returns
        self._metrics = metrics
        self._check_caller = check_caller
        self._recipient_of = recipient_of

    def SubmitNotifications(  # noqa: N802 - the name of the contract
        self, request: intake_pb2.SubmitNotificationsRequest, context: grpc.ServicerContext
    ) -> intake_pb2.SubmitNotificationsResponse:
        """Durable before it is answered; safe to repeat."""
        self._metrics.run_size.observe(len(request.notifications))
        try:
            municipality = _municipality_of(request)
            self._check_caller(current_identity(), municipality)
            submission = self._intake.submit(request, municipality)
        except JukiError as error:
            self._metrics.refused.labels(error.reason).inc()
            raise
        self._count(submission)
        return submission.response

    def GetStreamHead(  # noqa: N802
        self, request: intake_pb2.GetStreamHeadRequest, context: grpc.ServicerContext
    ) -> intake_pb2.GetStreamHeadResponse:
        """How far the municipality's stream is held here."""
        self._check_caller(current_identity(), request.municipality)
        with self._engine.connect().execution_options(read_only=True) as connection:
            position = read_position(connection, request.municipality)
        return intake_pb2.GetStreamHeadResponse(
            epoch=position.epoch,
            sequence=position.sequence,
            digest=position.digest if position.epoch else b"",
        )

    def FetchNotifications(  # noqa: N802
        self, request: intake_pb2.FetchNotificationsRequest, context: grpc.ServicerContext
    ) -> intake_pb2.FetchNotificationsResponse:
        """A stream's notifications as they were received."""
        self._check_caller(current_identity(), request.municipality)
        run = read_run(
            self._engine,
            self._sealer,
            request.municipality,
            request.epoch,
            request.first_sequence,
            request.limit,
        )
        return intake_pb2.FetchNotificationsResponse(notifications=run)

    def FollowReturns(  # noqa: N802
        self, request: intake_pb2.FollowReturnsRequest, context: grpc.ServicerContext
    ) -> Iterator[intake_pb2.FollowReturnsResponse]:
        """What flows back to the caller, from the cursor on, without end."""
        recipient = self._recipient_of(current_identity())
        yield from self._returns.follow(recipient, request.after_cursor, context.is_active)

    def _count(self, submission: Submission) -> None:
        metrics = self._metrics
        metrics.notifications.labels("accepted").inc(submission.accepted)
        metrics.notifications.labels("duplicate").inc(submission.duplicates)
        metrics.notifications.labels("disputed").inc(submission.disputed)
        if submission.refused is not None:
            metrics.refused.labels(submission.refused.reason).inc()


def _municipality_of(request: intake_pb2.SubmitNotificationsRequest) -> str:
    """The municipality that the run's first notification names; verified with the rest later."""
    try:
        first = notification_pb2.Notification.FromString(request.notifications[0].notification)
    except Exception:  # protobuf's DecodeError, whose text may quote the bytes
        raise JukiError(Reason.MALFORMED_MESSAGE, "the bytes are not a notification") from None
    return first.municipality
