"""No answer without a record (invariant 1), whenever the national server is killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from juki.audit.verify import verify
from juki.localnet.network import LocalNetwork
from tests.e2e.asking import Asker, one_number, recorded_persons
from tests.network_fixtures import running_network, wait_until
from tests.planted_person import MUNICIPALITY

KILLS = 4
ANSWERS_BETWEEN_KILLS = 150
CALLERS = 4


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    with running_network(tmp_path_factory.mktemp("network"), {"22": (MUNICIPALITY,)}) as network:
        yield network


def test_every_answered_person_is_in_the_log_though_the_server_was_killed(
    network: LocalNetwork,
) -> None:
    number = one_number(network)
    askers = [Asker(network, f"asker-{turn}", number) for turn in range(CALLERS)]

    def answers() -> int:
        return sum(len(one.answered) for one in askers)

    try:
        for _ in range(KILLS):
            goal = answers() + ANSWERS_BETWEEN_KILLS
            wait_until(lambda goal=goal: answers() >= goal)  # type: ignore[misc]
            network.processes["national"].kill()
            network.processes["national"].start()
        goal = answers() + ANSWERS_BETWEEN_KILLS
        wait_until(lambda: answers() >= goal)
    finally:
        for one in askers:
            one.close()
    directory = network.plan.host_directory("national") / "audit"
    assert verify(directory).problem is None
    recorded = recorded_persons(directory)
    answered = {key: value for one in askers for key, value in one.answered.items()}
    assert len(answered) > KILLS * ANSWERS_BETWEEN_KILLS
    assert answered.items() <= recorded.items()
