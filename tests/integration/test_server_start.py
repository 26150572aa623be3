"""A server that is told something wrong does not start, and says what and where."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("server", ["cs_gateway", "pref_server", "national_server", "hsm"])
def test_an_unknown_configuration_key_stops_the_start_with_its_name_and_the_file(
    server: str, tmp_path: Path
) -> None:
    configuration = tmp_path / "misspelt.toml"
    configuration.write_text('listen_adress = "127.0.0.1:0"\n')
    started = subprocess.run(
        [sys.executable, "-m", server, "--config", str(configuration)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert started.returncode == 1
    assert "listen_adress" in started.stderr
    assert "misspelt.toml" in started.stderr
    assert "Traceback" not in started.stderr


@pytest.mark.parametrize("content", ["", "agency = []\n"])
def test_an_empty_policy_stops_the_national_server(tmp_path: Path, content: str) -> None:
    plan = NetworkPlan(
        tmp_path / "network", {"22": ("221309",)}, agencies_file=tmp_path / "none.toml"
    )
    plan.agencies_file.write_text(content)
    with LocalNetwork(plan) as network:
        network.provision()
        network.start_some(["hsm/national"])
        started = subprocess.run(
            [
                *(sys.executable, "-m", "national_server"),
                *("--config", str(plan.host_directory("national") / "server.toml")),
            ],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert started.returncode == 1
    assert "an empty policy refuses to start" in started.stderr
    assert "none.toml" in started.stderr
    assert "Traceback" not in started.stderr
