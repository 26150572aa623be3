"""A gateway restored from yesterday's backup loses nothing and gives no code twice."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from juki.demo.gateway import Register
from juki.localnet.network import LocalNetwork
from juki.v1 import register_pb2
from tests.network_fixtures import metric, running_network
from tests.planted_person import planted_birth

MUNICIPALITY = "221309"
GATEWAY = f"cs-{MUNICIPALITY}"
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    with running_network(tmp_path_factory.mktemp("network"), {"22": (MUNICIPALITY,)}) as network:
        yield network


def birth(number: int) -> register_pb2.RegisterEvent:
    event = planted_birth()
    event.event_id = f"birth-{number}"
    event.record_id = f"{number:010d}"
    event.four_items.name.written = f"山田　{number}"
    return event


def record_births(
    network: LocalNetwork, numbers: range, *, repeated: bool = False
) -> list[register_pb2.EventOutcome]:
    """Births, one call each, until the nation knows them; it knows repeated ones already."""
    register = Register(network, MUNICIPALITY)
    try:
        outcomes = [register.record(birth(number))[0] for number in numbers]
        if not repeated:
            register.wait_national(outcomes[-1].notification.sequence)
        return outcomes
    finally:
        register.close()


def test_a_restored_gateway_starts_a_new_epoch_and_goes_on(network: LocalNetwork) -> None:
    gateway = network.processes[GATEWAY]
    database = network.plan.host_directory(GATEWAY) / "data.sqlite"
    before = record_births(network, range(3))
    gateway.stop()
    backup = database.with_suffix(".backup")
    shutil.copy(database, backup)
    gateway.start()
    lost = record_births(network, range(3, 8))
    gateway.stop()
    for left in database.parent.glob("data.sqlite*"):
        left.unlink()
    shutil.copy(backup, database)

    declared = subprocess.run(
        [
            *(sys.executable, "-m", "juki", "cs", "new-epoch"),
            *("--config", str(database.parent / "server.toml")),
            *("--reason", "restored from backup", "--operator", "operator-7"),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert declared.returncode == 0, declared.stdout + declared.stderr
    gateway.start()
    again = record_births(network, range(3, 8), repeated=True)
    after = record_births(network, range(8, 12))

    assert [one.resident_record_code for one in again] == [
        one.resident_record_code for one in lost
    ], "the events of the lost tail are recognised, with the codes they had"
    codes = [one.resident_record_code for one in (*before, *lost, *after)]
    assert len(set(codes)) == len(codes), "no code is given twice"
    assert {one.notification.epoch for one in after} == {2}
    disputed = 'juki_intake_notifications_total{outcome="disputed"}'
    assert metric(network, "national", disputed) == 0
    assert metric(network, "pref22", disputed) == 0
