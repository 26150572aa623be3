"""A nation or a prefecture restored from yesterday's backup is given again what it lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from juki.demo.checks import PensionBody
from juki.demo.gateway import Register
from juki.localnet.network import LocalNetwork
from juki.v1 import (
    identification_pb2,
    intake_pb2,
    intake_pb2_grpc,
    lookup_pb2,
    register_pb2,
)
from tests.network_fixtures import metric, running_network, wait_until
from tests.planted_person import planted_birth

HERE, THERE = "221309", "131016"
DISPUTED = 'juki_intake_notifications_total{outcome="disputed"}'
FOUND = lookup_pb2.LOOKUP_OUTCOME_FOUND


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    directory = tmp_path_factory.mktemp("network")
    with running_network(directory, {"22": (HERE,), "13": (THERE,)}) as network:
        yield network


def birth(municipality: str, number: int) -> register_pb2.RegisterEvent:
    event = planted_birth()
    event.event_id, event.record_id = f"birth-{number}", f"{number:010d}"
    event.four_items.name.written = f"山田　{number}"
    event.four_items.address.municipality = municipality
    return event


def settle(register: Register, *recorded: register_pb2.EventOutcome) -> None:
    """Returns once the gateway's stream is known nationally, with the numbers of those recorded."""
    through = max(one.notification.sequence for one in recorded)
    wait_until(
        lambda: (
            register.progress.issued >= through
            and not register.progress.numbers_pending
            and register.progress.nation >= register.progress.issued
        ),
        90.0,
    )


def outcomes(body: PensionBody, numbers: Sequence[str]) -> set[int]:
    return {result.outcome for result in body.batch(list(numbers)).results}


def restore(network: LocalNetwork, host: str, backup: Path) -> None:
    database = network.plan.host_directory(host) / "data.sqlite"
    for left in database.parent.glob("data.sqlite*"):
        left.unlink()
    shutil.copy(backup, database)


def back_up(network: LocalNetwork, host: str) -> Path:
    process = network.processes[host]
    database = network.plan.host_directory(host) / "data.sqlite"
    process.stop()
    backup = Path(shutil.copy(database, database.with_suffix(".backup")))
    process.start()
    return backup


def test_a_restored_nation_forgets_no_code_no_number_and_nobody(network: LocalNetwork) -> None:
    with ExitStack() as stack:
        here, there = Register(network, HERE), Register(network, THERE)
        body = PensionBody(network)
        for one in (here, there, body):
            stack.callback(one.close)
        settle(here, *here.record(*[birth(HERE, number) for number in range(20)]))
        settle(there, *there.record(*[birth(THERE, number) for number in range(20)]))
        backup = back_up(network, "national")

        # Beyond what the pools held: new codes are allotted, and numbers made, after the backup.
        for start in range(20, 1_620, 400):
            recorded = here.record(*[birth(HERE, number) for number in range(start, start + 400)])
        settle(here, *recorded)
        settle(there, *there.record(*[birth(THERE, number) for number in range(20, 220)]))
        mover = there.event("birth-219").outcome
        leave = register_pb2.RegisterEvent(
            event_id="leave",
            record_id="0000000219",
            reason=identification_pb2.CHANGE_REASON_MOVING_OUT,
            event_date=birth(THERE, 0).event_date,
            moved_to=HERE,
        )
        arrive = birth(HERE, 219)
        arrive.event_id, arrive.record_id = "arrive", "9999999999"
        arrive.reason = identification_pb2.CHANGE_REASON_MOVING_IN
        arrive.moved_from = THERE
        arrive.resident_record_code = mover.resident_record_code
        arrive.individual_number = mover.individual_number
        left, arrived = there.record(leave), here.record(arrive)
        leaked = here.event("birth-30").outcome.individual_number
        (remade,) = here.record(
            register_pb2.RegisterEvent(
                event_id="leaked",
                record_id="0000000030",
                reason=identification_pb2.CHANGE_REASON_NUMBER_CHANGE_REQUEST,
                event_date=birth(HERE, 0).event_date,
            )
        )
        settle(there, *left)
        settle(here, *arrived, remade)
        everyone = [
            register.event(f"birth-{number}").outcome
            for register, births in ((here, 1_620), (there, 220))
            for number in range(births)
        ]
        numbers = sorted({one.individual_number for one in everyone} - {leaked})
        numbers.append(remade.individual_number)
        assert outcomes(body, numbers) == {FOUND}

        nation, neighbour = network.processes["national"], network.processes["pref13"]
        nation.stop()
        neighbour.stop()
        restore(network, "national", backup)
        nation.start()
        # A number of this prefecture's people may have been given through the other one.
        waiting = 'juki_intake_refused_total{reason="GRANTS_NOT_CONFIRMED"}'
        here.record(birth(HERE, 1_620))
        wait_until(lambda: metric(network, "national", waiting) > 0)
        assert metric(network, "national", "juki_grants_awaited_prefectures") >= 1
        neighbour.start()
        for start in range(1_621, 3_221, 400):
            recorded = here.record(*[birth(HERE, number) for number in range(start, start + 400)])
        settle(here, *recorded)

        wait_until(lambda: outcomes(body, numbers) == {FOUND}, 90.0)
        assert outcomes(body, [leaked]) == {lookup_pb2.LOOKUP_OUTCOME_NOT_FOUND}
        for server in ("national", "pref22", "pref13"):
            assert metric(network, server, DISPUTED) == 0
        assert metric(network, "national", "juki_grants_restored_total") > 0
        assert metric(network, "national", "juki_grants_conflicting_total") == 0
        everyone += [here.event(f"birth-{number}").outcome for number in range(1_620, 3_221)]
        codes = [one.resident_record_code for one in everyone]
        assert len(set(codes)) == len(codes), "no code is given twice"


@pytest.mark.slow
def test_a_restored_prefecture_gets_everything_again_though_nothing_happens(
    network: LocalNetwork,
) -> None:
    with ExitStack() as stack:
        here, body = Register(network, HERE), PensionBody(network)
        stack.callback(here.close)
        stack.callback(body.close)
        settle(here, *here.record(*[birth(HERE, number) for number in range(10_000, 10_010)]))
        backup = back_up(network, "pref22")
        settle(here, *here.record(*[birth(HERE, number) for number in range(10_010, 10_030)]))
        issued = here.progress.issued
        prefecture = network.processes["pref22"]
        prefecture.stop()
        restore(network, "pref22", backup)
        prefecture.start()

        channel = stack.enter_context(network.channel(f"cs-{HERE}", "pref22"))
        stub = intake_pb2_grpc.NotificationIntakeServiceStub(channel)
        asked = intake_pb2.GetStreamHeadRequest(municipality=HERE)
        wait_until(lambda: stub.GetStreamHead(asked, timeout=30).sequence == issued, 90.0)
        settle(here, *here.record(birth(HERE, 10_030)))
        numbers = [
            here.event(f"birth-{number}").outcome.individual_number
            for number in range(10_000, 10_031)
        ]
        wait_until(lambda: outcomes(body, numbers) == {FOUND}, 60.0)
        for server in ("national", "pref22"):
            assert metric(network, server, DISPUTED) == 0
