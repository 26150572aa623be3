"""Serves `juki.v1.ResidentRegisterService` to the municipality's own resident register."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import select

from cs_gateway.group import Written
from cs_gateway.intake import Intake
from cs_gateway.progress import Progress, Standing
from cs_gateway.store import GatewayStore
from cs_gateway.tables import DISPUTE
from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.rpc.call import current_identity
from juki.rpc.identity import Identity, IdentityKind
from juki.rpc.reasons import reason_number
from juki.v1 import notification_pb2, register_pb2, register_pb2_grpc

SERVICE: Final = "juki.v1.ResidentRegisterService"
RAW_METHODS: Final = frozenset({f"{SERVICE}/RecordEvents"})
"""Unparsed on arrival: the intake checks each event by itself, so that one broken event is refused
alone, and the contract's rules need not be run twice."""

ALLOWED_CALLERS: Final = frozenset({IdentityKind.RESIDENT_REGISTER})
_MOST_EVENTS: Final = 1000
_PAGE: Final = 100
_PAGE_TOKEN: Final = re.compile("[0-9]{0,18}")
"""A position of the table of disputes, below 2**63."""

_WAIT_SECONDS: Final = 5.0
"""How soon a follower that hung up is noticed; changes are told at once."""


class RegisterService(register_pb2_grpc.ResidentRegisterServiceServicer):
    """The handlers; only the municipality's own register may call them."""

    def __init__(
        self,
        municipality: LocalGovernmentCode,
        store: GatewayStore,
        intake: Intake,
        progress: Progress,
        *,
        identity: Callable[[], Identity] = current_identity,
    ) -> None:
        self._municipality = municipality
        self._store = store
        self._intake = intake
        self._progress = progress
        self._identity = identity
        self._closed = False

    def close(self) -> None:
        """Ends the streams."""
        self._closed = True
        self._progress.close()

    def RecordEvents(  # type: ignore[override]  # noqa: N802 - name of the contract; raw bytes
        self, request: bytes, context: grpc.ServicerContext
    ) -> register_pb2.RecordEventsResponse:
        """Takes in events; see the contract."""
        self._check_caller()
        try:
            events = register_pb2.RecordEventsRequest.FromString(request).events
        except DecodeError:
            raise JukiError(Reason.MALFORMED_MESSAGE, "the bytes are no request") from None
        if not 1 <= len(events) <= _MOST_EVENTS:
            raise InvalidValue("a request holds 1 to 1,000 events")
        outcomes = self._intake.hand_in(events, "rpc").wait()
        return register_pb2.RecordEventsResponse(
            outcomes=[
                self._outcome(event.event_id, written)
                for event, written in zip(events, outcomes, strict=True)
            ]
        )

    def GetEvent(  # noqa: N802 - name of the contract
        self, request: register_pb2.GetEventRequest, context: grpc.ServicerContext
    ) -> register_pb2.GetEventResponse:
        """Tells what became of an event; RECORD_NOT_FOUND when it was never taken in."""
        self._check_caller()
        taken = self._store.taken_event(self._store.sealer.blind("event_id", request.event_id))
        if taken is None:
            raise JukiError(Reason.RECORD_NOT_FOUND, "no such event was taken in")
        resident = self._store.resident(taken.record_key)
        written = Written(
            epoch=taken.epoch,
            sequence=taken.sequence,
            code=resident.information.resident_record_code if resident else "",
            number=resident.information.individual_number if resident else "",
        )
        standing = self._progress.standing
        position = (taken.epoch, taken.sequence)
        nation = (standing.nation_epoch, standing.nation_through)
        # The nation's receipt may overtake the prefecture's, and says more.
        prefecture = max(nation, (standing.prefecture_epoch, standing.prefecture_through))
        return register_pb2.GetEventResponse(
            outcome=self._outcome(request.event_id, written),
            known_to_prefecture=position <= prefecture,
            known_nationally=position <= nation,
        )

    def FollowProgress(  # noqa: N802 - name of the contract
        self, request: register_pb2.FollowProgressRequest, context: grpc.ServicerContext
    ) -> Iterator[register_pb2.FollowProgressResponse]:
        """Streams the standing at each change."""
        self._check_caller()
        seen, standing = self._progress.version, self._progress.standing
        yield _progress(standing)
        while context.is_active() and not self._closed:
            version, standing = self._progress.wait(seen, _WAIT_SECONDS)
            if version != seen:
                seen = version
                yield _progress(standing)

    def ListDisputes(  # noqa: N802 - name of the contract
        self, request: register_pb2.ListDisputesRequest, context: grpc.ServicerContext
    ) -> register_pb2.ListDisputesResponse:
        """Lists disputes, oldest first."""
        self._check_caller()
        if not _PAGE_TOKEN.fullmatch(request.page_token):
            raise InvalidValue("the page token is not one of ours")
        after = int(request.page_token or "0")
        size = request.page_size or _PAGE
        statement = select(DISPUTE.c.position, DISPUTE.c.report).where(DISPUTE.c.position > after)
        if not request.include_resolved:
            statement = statement.where(~DISPUTE.c.resolved)
        with self._store.read() as connection:
            rows = connection.execute(statement.order_by(DISPUTE.c.position).limit(size + 1)).all()
        return register_pb2.ListDisputesResponse(
            disputes=[
                notification_pb2.DisputeReport.FromString(bytes(row.report)) for row in rows[:size]
            ],
            next_page_token=str(rows[size - 1].position) if len(rows) > size else "",
        )

    def _check_caller(self) -> None:
        identity = self._identity()
        if identity.kind is not IdentityKind.RESIDENT_REGISTER:
            raise JukiError(Reason.IDENTITY_NOT_PERMITTED, "only a resident register may call")
        if identity.municipality != self._municipality:
            raise JukiError(Reason.NOT_OWN_MUNICIPALITY, "this gateway is another municipality's")

    def _outcome(self, event_id: str, written: Written) -> register_pb2.EventOutcome:
        if written.refusal is not None:
            return register_pb2.EventOutcome(
                event_id=event_id,
                refusal=reason_number(written.refusal),
            )
        return register_pb2.EventOutcome(
            event_id=event_id,
            notification=notification_pb2.NotificationReference(
                municipality=self._municipality.digits,
                epoch=written.epoch,
                sequence=written.sequence,
            ),
            resident_record_code=written.code,
            individual_number=written.number,
        )


def _progress(standing: Standing) -> register_pb2.FollowProgressResponse:
    response = register_pb2.FollowProgressResponse(
        epoch=standing.epoch,
        issued_through=standing.issued_through,
        # Positions of an earlier epoch say nothing of this one.
        prefecture_through=(
            standing.prefecture_through if standing.prefecture_epoch == standing.epoch else 0
        ),
        nation_through=standing.nation_through if standing.nation_epoch == standing.epoch else 0,
        numbers_pending=standing.numbers_pending,
        codes_available=standing.codes_available,
    )
    if standing.nation_receipt_at is not None:
        at = standing.nation_receipt_at
        response.nation_receipt_at.CopyFrom(
            Timestamp(seconds=at // 1_000_000, nanos=at % 1_000_000 * 1000)
        )
    return response
