"""`juki register verify` over a running network: whole, tampered with, restored."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from juki.demo.gateway import Register
from juki.localnet.network import LocalNetwork
from juki.v1 import identification_pb2, register_pb2
from tests.network_fixtures import metric, running_network, wait_until
from tests.planted_person import MUNICIPALITY, planted_birth

TIERS = {"cs": f"cs-{MUNICIPALITY}", "pref": "pref22", "national": "national"}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    directory = tmp_path_factory.mktemp("network")
    with running_network(directory, {"22": (MUNICIPALITY,)}) as network:
        yield network


def verified(network: LocalNetwork, tier: str) -> tuple[int, dict[str, Any]]:
    """Exit code and report of the command, run by the operator of one host."""
    config = network.plan.host_directory(TIERS[tier]) / "server.toml"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "juki", "register", "verify", tier),
            *("--json", "--config", str(config)),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 2, done.stderr
    return done.returncode, json.loads(done.stdout)


def data(network: LocalNetwork) -> Path:
    return network.plan.host_directory("national") / "data.sqlite"


def copy_database(network: LocalNetwork, to: Path) -> None:
    with sqlite3.connect(data(network)) as here, sqlite3.connect(to) as there:
        here.backup(there)
    here.close()
    there.close()


def address_change(event_id: str) -> register_pb2.RegisterEvent:
    event = planted_birth()
    event.event_id = event_id
    event.reason = identification_pb2.CHANGE_REASON_ADDRESS_CHANGE
    event.four_items.address.remainder = "四二番地の七七"
    return event


def send(network: LocalNetwork, event: register_pb2.RegisterEvent) -> None:
    register = Register(network, MUNICIPALITY)
    try:
        (outcome,) = register.record(event)
        register.wait_national(outcome.notification.sequence)
    finally:
        register.close()


@pytest.mark.slow
def test_what_the_network_wrote_is_whole_and_what_was_put_back_is_found(
    network: LocalNetwork, tmp_path: Path
) -> None:
    send(network, planted_birth())
    wait_until(lambda: metric(network, f"cs-{MUNICIPALITY}", "juki_gateway_numbers_pending") == 0)
    for tier in TIERS:
        code, report = verified(network, tier)
        assert code == 0, report
        assert report["findings"] == []
        assert report["rows"] > 0
        assert report["checkpoints"] >= 1

    backup = tmp_path / "backup.sqlite"
    copy_database(network, backup)
    send(network, address_change("planted-moved"))
    network.processes["national"].stop()

    # One person's claim as the backup has it, written past the server.
    with sqlite3.connect(data(network)) as connection:
        connection.execute("ATTACH ? AS old", (str(backup),))
        connection.execute("REPLACE INTO main.claim SELECT * FROM old.claim")
    connection.close()
    code, report = verified(network, "national")
    assert code == 1
    assert report["findings"] == [
        "claim: a row was altered, put back to an older state or exchanged"
    ]
    network.processes["national"].start()
    wait_until(lambda: metric(network, "national", "juki_register_tampering_total") == 1)
    wait_until(lambda: metric(network, "national", 'juki_health{check="root"}') == 0)
    network.processes["national"].stop()

    # The whole database as the backup has it: legitimate, but said.
    for suffix in ("-wal", "-shm"):
        data(network).with_name(f"data.sqlite{suffix}").unlink(missing_ok=True)
    shutil.copyfile(backup, data(network))
    code, report = verified(network, "national")
    assert (code, report["standing"]) == (3, "restored from an older state")
    network.processes["national"].start()
    assert metric(network, "national", "juki_register_restored") == 1
    assert verified(network, "national")[0] == 0


def test_a_checkpoint_that_was_altered_is_tampering_too(network: LocalNetwork) -> None:
    host = network.plan.host_directory(TIERS["pref"])
    path = host / "checkpoints"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"restored":false', b'"restored":true', 1))
    try:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "juki", "register", "verify", "pref"),
                *("--config", str(host / "server.toml")),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 1
        assert "TAMPERED" in done.stderr
    finally:
        path.write_bytes(whole)
