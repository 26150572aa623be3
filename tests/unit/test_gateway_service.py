"""What the gateway's service tells its own register, and nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from cs_gateway.service import RegisterService
from cs_gateway.tables import DISPUTE
from juki.domain.change import ChangeReason
from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import JukiError, Reason
from juki.rpc.identity import Identity, IdentityKind
from juki.store.engine import open_engine
from juki.v1 import errors_pb2, notification_pb2, register_pb2
from tests.gateway_fixtures import (
    MUNICIPALITY,
    OTHER_MUNICIPALITY,
    GatewayCore,
    four_items,
    register_event,
)

NO_CONTEXT: Any = None


def register_of(municipality: str) -> Identity:
    return Identity(
        IdentityKind.RESIDENT_REGISTER,
        prefecture=municipality[:2],
        municipality=LocalGovernmentCode(municipality),
    )


class Served:
    """The service over a gateway's core, called as whoever `caller` is."""

    def __init__(self, directory: Path) -> None:
        self.caller = register_of(MUNICIPALITY)
        self.engine = open_engine(f"sqlite:///{directory / 'gateway.db'}")
        self.core = GatewayCore(self.engine)
        self.service = RegisterService(
            LocalGovernmentCode(MUNICIPALITY),
            self.core.store,
            self.core.intake,
            self.core.progress,
            identity=lambda: self.caller,
        )

    def record(self, *events: register_pb2.RegisterEvent) -> list[register_pb2.EventOutcome]:
        request = register_pb2.RecordEventsRequest(events=events)
        return list(self.service.RecordEvents(request.SerializeToString(), NO_CONTEXT).outcomes)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.core.close()
    served.engine.dispose()


def test_one_broken_event_of_a_call_is_refused_alone(served: Served) -> None:
    broken = register_event("", "r1", ChangeReason.BIRTH)
    worse = register_event("e2", "r2", ChangeReason.BIRTH, items=four_items(""))
    outcomes = served.record(broken, worse, register_event("e3", "r3", ChangeReason.BIRTH))
    invalid = errors_pb2.ERROR_REASON_INVALID_FIELD
    assert [o.refusal for o in outcomes] == [invalid, invalid, 0]
    assert outcomes[2].notification.sequence == 1


def test_the_register_of_another_municipality_is_refused(served: Served) -> None:
    served.caller = register_of(OTHER_MUNICIPALITY)
    with pytest.raises(JukiError) as refused:
        served.record(register_event("e1", "r1", ChangeReason.BIRTH))
    assert refused.value.reason is Reason.NOT_OWN_MUNICIPALITY


@pytest.mark.parametrize(
    ("request_bytes", "reason"),
    [(b"\xff", Reason.MALFORMED_MESSAGE), (b"", Reason.INVALID_FIELD)],
)
def test_bytes_that_are_no_request_are_refused(
    served: Served, request_bytes: bytes, reason: Reason
) -> None:
    with pytest.raises(JukiError) as refused:
        served.service.RecordEvents(request_bytes, NO_CONTEXT)
    assert refused.value.reason is reason


def test_an_event_tells_the_codes_as_they_stand_now(served: Served) -> None:
    served.record(register_event("e1", "r1", ChangeReason.BIRTH))
    [changed] = served.record(register_event("e2", "r1", ChangeReason.CODE_CHANGE_REQUEST))
    event = served.service.GetEvent(register_pb2.GetEventRequest(event_id="e1"), NO_CONTEXT)
    assert event.outcome.notification.sequence == 1
    assert event.outcome.resident_record_code == changed.resident_record_code
    assert not event.known_to_prefecture


def test_disputes_are_listed_page_by_page_and_resolved_ones_on_request(served: Served) -> None:
    with served.core.store.write() as connection:
        for number in range(5):
            report = notification_pb2.DisputeReport(dispute_id=f"d{number}")
            connection.execute(
                insert(DISPUTE).values(
                    dispute_id=report.dispute_id,
                    report=report.SerializeToString(),
                    resolved=number == 1,
                )
            )

    def pages(**parameters: Any) -> Iterator[list[str]]:
        token = ""
        while True:
            request = register_pb2.ListDisputesRequest(page_token=token, **parameters)
            response = served.service.ListDisputes(request, NO_CONTEXT)
            yield [dispute.dispute_id for dispute in response.disputes]
            token = response.next_page_token
            if not token:
                return

    assert list(pages(page_size=2)) == [["d0", "d2"], ["d3", "d4"]]
    assert list(pages(include_resolved=True)) == [["d0", "d1", "d2", "d3", "d4"]]


@pytest.mark.parametrize("token", ["x", "１", "-"])
def test_a_page_token_of_another_making_is_refused(served: Served, token: str) -> None:
    with pytest.raises(JukiError) as refused:
        served.service.ListDisputes(register_pb2.ListDisputesRequest(page_token=token), NO_CONTEXT)
    assert refused.value.reason is Reason.INVALID_FIELD
