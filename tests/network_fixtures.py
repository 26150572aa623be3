"""A running network for tests: real processes, real SoftHSM, real mutual TLS."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Returns when `condition` holds; fails when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("the condition did not come to hold in time")
        time.sleep(0.02)


def metric(network: LocalNetwork, server: str, sample: str) -> float:
    """The value of one sample, for example `juki_intake_refused_total{reason="SEQUENCE_GAP"}`."""
    address = f"http://127.0.0.1:{network.ports[f'{server}/metrics']}/metrics"
    with urllib.request.urlopen(address) as response:
        for line in response.read().decode().splitlines():
            if line.startswith(f"{sample} "):
                return float(line.rsplit(" ", 1)[1])
    return 0.0


@pytest.fixture(scope="module")
def upper_tiers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    """The nation and prefecture 22; custody, but no gateway, for its two municipalities."""
    directory: Path = tmp_path_factory.mktemp("network")
    plan = NetworkPlan(directory, {"22": ("221309", "221007")})
    with LocalNetwork(plan) as network:
        network.provision()
        hosts = ("national", "pref22", "cs-221309", "cs-221007", "agency-nenkin")
        network.start_some([f"hsm/{host}" for host in hosts])
        network.start_some(["national"])
        network.start_some(["pref22"])
        yield network


@contextmanager
def running_network(
    directory: Path, prefectures: Mapping[str, tuple[str, ...]]
) -> Iterator[LocalNetwork]:
    """Every process of a network of these prefectures and municipalities, in `directory`."""
    with LocalNetwork(NetworkPlan(directory, prefectures)) as network:
        network.provision()
        network.start()
        yield network
