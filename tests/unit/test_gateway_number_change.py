"""A number that leaked, as the gateway has it re-made (My Number Act Art. 7(2))."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cs_gateway.group import Written
from juki.domain.change import ChangeReason
from juki.domain.errors import Reason
from juki.store.engine import open_engine
from juki.v1 import identification_pb2, register_pb2
from tests.gateway_fixtures import GatewayCore, register_event
from tests.unit.test_gateway_drop_folder import Folder, line

CODE, NUMBER = "24727059608", "123456789018"


def take(core: GatewayCore, *events: register_pb2.RegisterEvent) -> list[Written]:
    """What became of events of one call."""
    return core.intake.hand_in(events, "rpc").wait(20)


def information(core: GatewayCore, record: str) -> identification_pb2.IdentificationInformation:
    """The record as last notified."""
    resident = core.store.resident(core.store.sealer.blind("record_id", record))
    assert resident is not None
    return resident.information


def moved_in(event_id: str = "e1", record: str = "r1") -> register_pb2.RegisterEvent:
    """A person with a number."""
    return register_event(event_id, record, ChangeReason.MOVING_IN, code=CODE, number=NUMBER)


def leaked(event_id: str, record: str = "r1") -> register_pb2.RegisterEvent:
    """The person asks for another number."""
    return register_event(event_id, record, ChangeReason.NUMBER_CHANGE_REQUEST)


@pytest.fixture
def core(tmp_path: Path) -> Iterator[GatewayCore]:
    engine = open_engine(f"sqlite:///{tmp_path / 'gateway.db'}")
    core = GatewayCore(engine)
    yield core
    core.close()
    engine.dispose()


@pytest.mark.parametrize(
    "reason", [ChangeReason.NUMBER_CHANGE_REQUEST, ChangeReason.EX_OFFICIO_NUMBER_CHANGE]
)
def test_a_leaked_number_is_replaced_and_the_notification_names_both(
    core: GatewayCore, reason: ChangeReason
) -> None:
    take(core, moved_in())
    [outcome] = take(core, register_event("e2", "r1", reason))
    assert outcome.sequence == 2
    held = information(core, "r1")
    assert outcome.number == held.individual_number != NUMBER
    assert held.change.former_individual_number == NUMBER
    assert held.change.reason == reason
    assert held.change.kind == identification_pb2.CHANGE_KIND_NUMBER_CHANGE


def test_a_person_may_arrive_and_be_given_another_number_in_one_call(core: GatewayCore) -> None:
    outcomes = take(core, moved_in(), leaked("e2"), register_event("e3", "r1", ChangeReason.DEATH))
    assert [w.sequence for w in outcomes] == [1, 2, 3]
    assert outcomes[1].number != NUMBER


def test_the_event_is_refused_while_the_nation_is_away_and_repeated_as_the_same_request(
    core: GatewayCore,
) -> None:
    take(core, moved_in())
    core.upstream.available = False
    [refused, born] = take(core, leaked("e2"), register_event("e3", "r3", ChangeReason.BIRTH))
    assert refused.refusal is Reason.UPSTREAM_UNAVAILABLE
    assert born.sequence == 2
    core.upstream.available = True
    [outcome] = take(core, leaked("e2"))
    assert outcome.sequence == 3
    [again] = take(core, leaked("e2"))
    assert (again.sequence, again.number, again.repeated) == (3, outcome.number, True)
    assert len(core.upstream.remake_requests) == 1


def test_a_crash_between_the_answer_and_the_commit_asks_with_the_same_request_id(
    core: GatewayCore,
) -> None:
    take(core, moved_in())
    core.custody.fail = True
    with pytest.raises(Exception, match="custody"):
        take(core, leaked("e2"))
    core.custody.fail = False
    [outcome] = take(core, leaked("e2"))
    assert outcome.sequence == 2
    first, second = core.upstream.remake_requests
    assert first == second
    take(core, leaked("e3"))
    assert core.upstream.remake_requests[2] != first


def test_whoever_has_no_record_or_no_number_has_none_to_replace(core: GatewayCore) -> None:
    take(core, moved_in(), register_event("e2", "r2", ChangeReason.BIRTH))
    take(core, register_event("e3", "r1", ChangeReason.DEATH))
    outcomes = take(core, leaked("e4", "r9"), leaked("e5", "r2"), leaked("e6", "r1"))
    assert [w.refusal for w in outcomes] == [
        Reason.RECORD_NOT_FOUND,
        Reason.IMPOSSIBLE_EVENT,
        Reason.IMPOSSIBLE_EVENT,
    ]
    assert core.upstream.remake_requests == []


def test_a_file_waits_for_the_nation_and_its_line_is_not_quarantined(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    arrival = line("e1", "r1", "MOVING_IN", resident_record_code=CODE, individual_number=NUMBER)
    folder.drop("a.jsonl", arrival)
    folder.folder.take_in_all()
    path = folder.drop("b.jsonl", line("e2", "r1", "NUMBER_CHANGE_REQUEST"))
    folder.core.upstream.available = False
    with pytest.raises(Exception, match="must wait"):
        folder.folder.take_in_all()
    assert path.exists()
    folder.core.upstream.available = True
    folder.again().take_in_all()
    assert folder.result("acknowledged/b.jsonl.ack.json")["accepted"] == 1
    assert information(folder.core, "r1").change.former_individual_number == NUMBER
    folder.core.close()
    folder.engine.dispose()
