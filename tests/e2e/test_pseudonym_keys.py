"""The key under the audit log's pseudonyms is rotated while bodies look up; every key stays."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from juki.audit.encoding import decode
from juki.audit.port import AuditRecord
from juki.audit.segment import read_frames, read_header, segments
from juki.demo.checks import PensionBody
from juki.demo.gateway import Register
from juki.domain.outcome import Outcome
from juki.localnet.network import LocalNetwork
from juki.register.pseudonym_keys import PseudonymKeys
from juki.register.tables import data_key
from juki.store.data_keys import KeyStore
from juki.store.engine import open_engine
from juki.v1 import lookup_pb2
from tests.network_fixtures import metric, running_network, wait_until
from tests.planted_person import MUNICIPALITY, planted_birth


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    directory = tmp_path_factory.mktemp("network")
    with running_network(directory, {"22": (MUNICIPALITY,)}) as network:
        yield network


def records(network: LocalNetwork) -> list[AuditRecord]:
    found = []
    for path in segments(network.plan.host_directory("national") / "audit"):
        with path.open("rb") as file:
            read_header(path, file)
            found += [decode(one.record) for one in read_frames(path, file)]
    return found


def test_a_persons_records_are_found_under_every_key_they_were_written_with(
    network: LocalNetwork,
) -> None:
    register, body = Register(network, MUNICIPALITY), PensionBody(network)
    try:
        register.record(planted_birth())
        wait_until(lambda: bool(register.event("planted-1").outcome.individual_number))
        number = register.event("planted-1").outcome.individual_number

        def found() -> bool:
            outcome = body.batch([number]).results[0].outcome
            return outcome == lookup_pb2.LOOKUP_OUTCOME_FOUND

        wait_until(found)
        before = records(network)[-1]
        config = network.plan.host_directory("national") / "server.toml"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "juki", "register", "rotate-pseudonym-key"),
                *("--config", str(config)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

        def newest() -> AuditRecord:
            assert found()
            return records(network)[-1]

        wait_until(lambda: newest().pseudonym_key == 2)
        after = records(network)[-1]
    finally:
        register.close()
        body.close()
    assert (before.pseudonym_key, after.pseudonym_key) == (1, 2)
    assert before.pseudonyms != after.pseudonyms
    engine = open_engine(network.plan.database("national"))
    try:
        keys = PseudonymKeys(KeyStore(engine, data_key, network.custody("national")))
        under = {one.version: one.pseudonyms([1]) for one in keys.every()}
    finally:
        engine.dispose()
    assert under == {1: before.pseudonyms, 2: after.pseudonyms}


def test_the_nations_person_index_takes_in_every_look_up(network: LocalNetwork) -> None:
    found = sum(one.outcomes.count(bytes([Outcome.FOUND])) for one in records(network))
    assert found >= 2
    wait_until(lambda: metric(network, "national", "juki_person_index_entries") == found)
    assert metric(network, "national", "juki_person_index_behind_records") == 0
    index = network.plan.host_directory("national") / "persons"
    assert index.stat().st_mode & 0o777 == 0o700
