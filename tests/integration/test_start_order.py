"""A host's processes may start in any order: a server waits for its custody."""

from __future__ import annotations

from pathlib import Path

from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan
from tests.network_fixtures import wait_until


def test_servers_started_before_their_custody_are_ready_once_custody_is(tmp_path: Path) -> None:
    plan = NetworkPlan(tmp_path / "network", {"22": ("221309",)}, agencies=())
    servers = ("national", "pref22", "cs-221309")
    with LocalNetwork(plan) as network:
        network.provision()
        for server in servers:
            network.processes[server].launch()
        for server in servers:
            process = network.processes[server]
            wait_until(lambda: "not started yet" in process.log.read_text(), 60)  # noqa: B023
            assert process.is_running
        network.start_some([f"hsm/{server}" for server in servers])
        for server in servers:
            network.processes[server].await_ready()
            assert network.processes[server].facts["ready"] is True
