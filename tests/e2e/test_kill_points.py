"""`kill -9` of every process of the network, custody and database included, during a stream.

At the end the nation holds every acknowledged notification exactly once, in order, and every person
exactly once. Kills are at seeded points, each with unacknowledged work in flight.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan
from tests.e2e.held_by_the_nation import check_all, wait_at_rest
from tests.e2e.kill_campaign import HAMAMATSU, MUNICIPALITIES, Campaign, World, report
from tests.e2e.postgres_process import PostgresProcess

_SEED = 20260401
_TARGETS = (
    f"cs-{HAMAMATSU}",
    "pref22",
    "national",
    f"hsm/cs-{HAMAMATSU}",
    "hsm/pref22",
    "hsm/national",
    f"hsm/cs-{HAMAMATSU} worker",
    "hsm/pref22 worker",
    "hsm/national worker",
    "postgres postmaster",
    "postgres backend",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The nation and a prefecture on PostgreSQL, two gateways on SQLite, each with its custody."""
    postgres = PostgresProcess()
    try:
        postgres.start()
        plan = NetworkPlan(
            tmp_path_factory.mktemp("network"),
            {"22": MUNICIPALITIES},
            agencies=(),
            databases={name: postgres.create_database(name) for name in ("national", "pref22")},
        )
        with LocalNetwork(plan) as network:
            network.provision()
            network.start()
            found = World(network, postgres)
            yield found
            found.close()
    finally:
        postgres.stop()


@pytest.mark.timeout(900)
def test_three_kills_of_each_process_lose_nothing_and_double_nothing(world: World) -> None:
    targets = world.targets()
    assert targets.keys() == set(_TARGETS)
    order = [targets[name] for name in _TARGETS for _ in range(3)]
    random.Random(_SEED).shuffle(order)
    kills = Campaign(world, "all", _SEED).run(order)
    wait_at_rest(world)
    check_all(world)
    print(f"\n{report(kills)}")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", _TARGETS)
def test_fifty_kills_of_one_process_lose_nothing_and_double_nothing(
    world: World, name: str
) -> None:
    target = world.targets()[name]
    kills = Campaign(world, name, _SEED).run([target] * 50)
    wait_at_rest(world)
    check_all(world)
    print(f"\n{report(kills)}")
