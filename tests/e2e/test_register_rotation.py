"""Data keys and index keys are rotated under a network at work; its commands may be killed."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from sqlalchemy import create_engine, select

import cs_gateway.covered
import national_server.covered
import pref_server.covered
from juki.demo.gateway import Register
from juki.localnet.network import LocalNetwork
from juki.store.root import Section
from juki.store.sealing import sealed_under
from juki.v1 import register_pb2
from tests.network_fixtures import running_network, wait_until
from tests.planted_person import MUNICIPALITY, planted_birth

HOSTS = {"cs": f"cs-{MUNICIPALITY}", "pref": "pref22", "national": "national"}
SECTIONS: dict[str, tuple[Section, ...]] = {
    "cs": cs_gateway.covered.SECTIONS,
    "pref": pref_server.covered.SECTIONS,
    "national": national_server.covered.SECTIONS,
}
SEED = 20261124


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    directory = tmp_path_factory.mktemp("network")
    with running_network(directory, {"22": (MUNICIPALITY,)}) as network:
        yield network


def birth(number: int) -> register_pb2.RegisterEvent:
    event = planted_birth()
    event.event_id, event.record_id = f"birth-{number}", f"{number:010d}"
    return event


class Births:
    """Births without end, a few at a time; every one is acknowledged."""

    def __init__(self, network: LocalNetwork) -> None:
        self.register = Register(network, MUNICIPALITY)
        self.codes: dict[int, str] = {}
        self._numbers = itertools.count()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, count: int) -> None:
        numbers = [next(self._numbers) for _ in range(count)]
        outcomes = self.register.record(*(birth(number) for number in numbers))
        for number, outcome in zip(numbers, outcomes, strict=True):
            assert outcome.resident_record_code
            self.codes[number] = outcome.resident_record_code

    def start(self) -> None:
        def work() -> None:
            while not self._stopping.wait(0.05):
                self.add(3)

        self._stopping.clear()
        self._thread = threading.Thread(target=work)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        assert self._thread is not None
        self._thread.join()

    def wait_national(self) -> None:
        wait_until(lambda: self.register.progress.nation >= self.register.progress.issued, 120)


def command(network: LocalNetwork, tier: str, *words: str) -> subprocess.Popen[str]:
    config = network.plan.host_directory(HOSTS[tier]) / "server.toml"
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "juki", "register", words[0], tier),
            *("--config", str(config), *words[1:]),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(child: subprocess.Popen[str]) -> str:
    out, error = child.communicate(timeout=200)
    assert child.returncode == 0, out + error
    return out


def killed_at_random(child: subprocess.Popen[str], choose: random.Random) -> None:
    with suppress(subprocess.TimeoutExpired):
        child.wait(choose.uniform(2, 7))
    child.kill()
    child.communicate()


def versions(network: LocalNetwork, tier: str) -> tuple[set[int], set[int]]:
    """Data key and index key versions of every row under the roots."""
    sealed: set[int] = set()
    blind: set[int] = set()
    engine = create_engine(network.plan.database(HOSTS[tier]))
    with engine.connect() as connection:
        for covered in itertools.chain.from_iterable(one.tables for one in SECTIONS[tier]):
            for row in connection.execute(select(covered.table)).mappings():
                if covered.sealed:
                    sealed.add(sealed_under(bytes(row[covered.sealed])))
                blind |= {row[name][0] for name in covered.blinds}
    engine.dispose()
    return sealed, blind


@pytest.mark.slow
def test_keys_are_rotated_at_every_tier_while_events_flow(network: LocalNetwork) -> None:
    choose = random.Random(SEED)
    births = Births(network)
    births.add(400)
    births.wait_national()
    births.start()
    for tier in HOSTS:
        killed_at_random(command(network, tier, "rotate-data-key"), choose)
        # Killed before it had made the key, or in the midst: what is there says where to go on.
        child = command(network, tier, "rotate-data-key")
        time.sleep(0.5)
        said = finish(child)
        newest = int(said.rsplit(" ", 1)[1])
        assert newest in {2, 3}
        sealed, _ = versions(network, tier)
        assert sealed == {newest}
    for tier in ("pref", "national"):
        killed_at_random(command(network, tier, "rotate-index-key"), choose)
        finish(command(network, tier, "rotate-index-key"))
        _, blind = versions(network, tier)
        assert blind <= {2, 3}
        assert len(blind) == 1
    for tier in HOSTS:
        killed_at_random(command(network, tier, "rotate-root-key"), choose)
        assert int(finish(command(network, tier, "rotate-root-key")).rsplit(" ", 1)[1]) in {2, 3}
    births.stop()
    births.wait_national()

    gateway = network.processes[HOSTS["cs"]]
    gateway.stop()
    finish(command(network, "cs", "rotate-index-key"))
    gateway.start()
    births.register.close()
    again = Births(network)
    try:
        known = births.codes
        outcomes = again.register.record(*(birth(number) for number in sorted(known)[-200:]))
        assert [one.resident_record_code for one in outcomes] == [
            known[number] for number in sorted(known)[-200:]
        ]
        assert again.register.progress.issued >= len(known)
        again.register.record(birth(10**6))
        again.wait_national()
    finally:
        again.register.close()
    for tier in HOSTS:
        report = json.loads(finish(command(network, tier, "verify", "--json")))
        assert report["findings"] == []
        _, blind = versions(network, tier)
        assert len(blind) == 1
        assert blind != {1}
