"""In a running network the prefecture co-signs the nation's log, and finds it rewritten."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner

from juki.audit.checkpoint import CheckpointKey, CheckpointSigning
from juki.audit.cli import app
from juki.audit.encoding import decode
from juki.audit.log import FileAuditLog
from juki.audit.reading import LogRecords
from juki.audit.witness.offering import COSIGNED_FILE, read_cosigned
from juki.audit.witness.records import read_latest
from juki.custody.port import SIGNING
from juki.custody.signing import DocumentSigner
from juki.domain.errors import Reason
from juki.localnet.network import LocalNetwork
from tests.e2e.asking import Asker, one_number
from tests.network_fixtures import metric, running_network, wait_until
from tests.planted_person import MUNICIPALITY

ORIGIN = "national.juki.example/audit"
PREFECTURE = "pref22.juki.example/server"
SECONDS = 90.0
"""Rounds are 10 seconds apart, on a busy machine."""


@pytest.fixture
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    with running_network(tmp_path_factory.mktemp("network"), {"22": (MUNICIPALITY,)}) as network:
        yield network


def recorded(network: LocalNetwork) -> Path:
    """The prefecture's records of the nation's log."""
    return network.plan.host_directory("pref22") / "witness"


def witnessed_size(network: LocalNetwork) -> int:
    note = read_latest(recorded(network), ORIGIN)
    return 0 if note is None else note.checkpoint.size


def rewrite(network: LocalNetwork, log: Path, victim: int) -> None:
    """What an operator can do who owns the machine and the token: the whole log anew, with one
    record altered, under the log's own key."""
    custody, forged = network.custody("national"), log.with_name("forged")
    signer = DocumentSigner(custody)
    records = LogRecords(log)
    key = CheckpointKey(
        signer.key.key_id, lambda digest: custody.sign(signer.key.name, [digest])[0]
    )
    with FileAuditLog(forged, signing=CheckpointSigning(ORIGIN, lambda: key)) as rewritten:
        for sequence, data in records.records_from(1):
            record = decode(data)
            if sequence == victim:
                record = dataclasses.replace(record, operator="nobody")
            rewritten.append(record)
    records.close()
    shutil.rmtree(log)
    forged.rename(log)
    shutil.rmtree(log.with_name("persons"))  # derived: it is made again


def test_a_log_rewritten_under_the_operators_own_key_is_found_by_its_witness(
    network: LocalNetwork, tmp_path: Path
) -> None:
    asker = Asker(network, "asker", one_number(network))
    try:
        wait_until(lambda: witnessed_size(network) > 20, SECONDS)
    finally:
        asker.close()
    log = network.plan.host_directory("national") / "audit"
    cosigned = read_cosigned(log / "public" / COSIGNED_FILE)
    assert cosigned is not None
    assert [line.name for line in cosigned.signatures] == [ORIGIN, PREFECTURE]
    key = tmp_path / "signing.pem"
    chain = network.custody("national").certificate_chain(SIGNING)
    key.write_bytes(x509.load_der_x509_certificate(chain[0]).public_bytes(Encoding.PEM))
    options = ("--public-key", str(key))
    records = ("--witness-records", str(recorded(network)))
    assert cli("verify", str(log), *options, *records) == (0, None)

    network.processes["national"].stop()
    victim = witnessed_size(network) - 5
    rewrite(network, log, victim)
    assert cli("verify", str(log), *options) == (0, None), "in itself the log is good"
    code, problem = cli("verify", str(log), *options, *records)
    assert code == 1
    assert problem is not None
    assert f"{PREFECTURE} co-signed another log of" in problem["what"]
    assert problem["entry"] <= victim

    network.processes["national"].start()
    wait_until(lambda: alarms(network) > 0, SECONDS)
    assert metric(network, "pref22", "juki_witness_alarms_standing") == 1
    wait_until(lambda: metric(network, "pref22", 'juki_health{check="witness"}') == 0, SECONDS)
    (evidence,) = recorded(network).glob("*/alarms/*.txt")
    assert evidence.read_text().count(f"{ORIGIN}\n") == 2


def alarms(network: LocalNetwork) -> float:
    """Of either kind: the log may have been found longer or as long as it was."""
    reasons = (Reason.LOG_FORKED, Reason.LOG_REWRITTEN)
    return sum(
        metric(network, "pref22", f'juki_witness_alarms_total{{reason="{reason.value}"}}')
        for reason in reasons
    )


def cli(*arguments: str) -> tuple[int, dict[str, Any] | None]:
    """Exit code and the problem that the command names."""
    result = CliRunner().invoke(app, [*arguments, "--json"])
    return result.exit_code, json.loads(result.stdout)["problem"]
