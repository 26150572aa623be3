"""A notification is proved from the archives of a running network, to whoever has its root."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from juki.demo.gateway import Register
from juki.localnet.network import LocalNetwork
from tests.network_fixtures import metric, running_network, wait_until
from tests.planted_person import MUNICIPALITY, NAME, planted_birth

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    directory = tmp_path_factory.mktemp("network")
    with running_network(directory, {"22": (MUNICIPALITY,)}) as network:
        for server in ("national", "pref22"):
            process = network.processes[server]
            config = network.plan.host_directory(server) / "server.toml"
            process.stop()
            with config.open("a", encoding="utf-8") as file:
                file.write("\n[evidence]\ninterval_seconds = 1.0\n")
            process.start()
        yield network


def juki(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "juki", "evidence", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("server", ["national", "pref22"])
def test_a_birth_is_proved_to_an_outsider(
    network: LocalNetwork, server: str, tmp_path: Path
) -> None:
    register = Register(network, MUNICIPALITY)
    try:
        outcome = register.record(planted_birth())[0].notification
        register.wait_national(outcome.sequence)
    finally:
        register.close()
    config = network.plan.host_directory(server) / "server.toml"
    record, root = tmp_path / "birth.evidence", str(network.plan.directory / "root.pem")
    wanted = ("--municipality", MUNICIPALITY, "--sequence", str(outcome.sequence))

    def proved() -> bool:
        done = juki("prove", "--config", str(config), *wanted, "--output", str(record))
        return done.returncode == 0

    wait_until(lambda: metric(network, server, "juki_evidence_time_stamps_total") > 0)
    wait_until(proved, 60.0)
    assert record.stat().st_mode & 0o777 == 0o600
    verified = juki("verify", str(record), "--roots", root)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert f"{MUNICIPALITY} {outcome.epoch}/{outcome.sequence}" in verified.stdout

    altered = tmp_path / "altered.evidence"
    content = bytearray(record.read_bytes())
    place = content.index(NAME.encode())
    content[place] ^= 1
    altered.write_bytes(content)
    refused = juki("verify", str(altered), "--roots", root)
    assert refused.returncode == 1
    assert NAME not in refused.stdout + refused.stderr
