"""Nothing personal lies in the clear in any file that the network wrote (invariant 6), and no
long-lived key in the memory of any process but custody (invariant 5).

The lookup index is in memory-backed storage and not among these files. The nation and the
prefecture keep their registers in PostgreSQL, which logs every statement here; the gateways in
SQLite.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from sqlalchemy import text

from hsm.host_files import host_files
from juki.demo.checks import PensionBody
from juki.demo.gateway import Register
from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan
from tests.e2e.postgres_process import PostgresProcess
from tests.network_fixtures import wait_until
from tests.planted_person import MUNICIPALITY, NAME, READING, REMAINDER, TOWN, planted_birth
from tests.searching import Search
from tests.softhsm_store import StoredKey, stored_keys

QUARANTINED_NAME = "鬼灯　露草"
SECOND_MUNICIPALITY = "221007"
OLD_RESIDENT_CODE = "24727059608"
"""Stands in a quarantined line."""

DATABASES = ("national", "pref22")
REPOSITORY = Path(__file__).resolve().parents[2]
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")


@dataclasses.dataclass(frozen=True)
class Observed:
    """A network that has taken a planted person through all of its tiers."""

    network: LocalNetwork
    postgres: PostgresProcess
    plants: dict[str, str]
    keys: dict[str, bytes]
    """Every long-lived private or secret key of every host, by host and label."""

    def pids(self) -> dict[str, int]:
        """Every process but custody."""
        servers = {
            name: process.pid
            for name, process in self.network.processes.items()
            if not name.startswith("hsm/")
        }
        backends = {f"postgres {pid}": pid for pid in self.postgres.pids}
        return servers | backends


def drop_lines(folder: Path) -> None:
    """A drop file with a good line and one that is quarantined."""
    good = {
        "event_id": "planted-2",
        "record_id": "7777700002",
        "reason": "BIRTH",
        "event_date": "2026-04-02",
        "name": {"written": NAME, "reading": READING},
        "birth_date": "2026-04-02",
        "sex": "FEMALE",
        "address": {"municipality": MUNICIPALITY, "town": TOWN, "remainder": REMAINDER},
    }
    bad = {
        **good,
        "event_id": "planted-3",
        "name": {"written": QUARANTINED_NAME},
        "sex": "?",
        "resident_record_code": OLD_RESIDENT_CODE,
    }
    partial = folder / "planted.tmp"
    lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in (good, bad))
    partial.write_text(lines, encoding="utf-8")
    partial.rename(folder / "planted.jsonl")


def play(network: LocalNetwork) -> dict[str, str]:
    """Births by file and by call, notified through all tiers and looked up; what was planted."""
    register = Register(network, MUNICIPALITY)
    body = PensionBody(network)
    try:
        drop_lines(network.plan.drop_folder(MUNICIPALITY))
        acknowledged = network.plan.drop_folder(MUNICIPALITY) / "acknowledged"
        wait_until((acknowledged / "planted.jsonl.ack.json").exists, 60)
        (outcome,) = register.record(planted_birth())
        register.wait_national(outcome.notification.sequence)
        wait_until(lambda: bool(register.event("planted-1").outcome.individual_number), 60)
        wait_until(lambda: register.progress.nation >= register.progress.issued >= 3, 60)
        outcome = register.event("planted-1").outcome
        answer = body.batch([outcome.individual_number])
        assert answer.results[0].information.name.written == NAME
    finally:
        body.close()
        register.close()
    plants = {
        "name": NAME,
        "reading": READING,
        "town": TOWN,
        "remainder": REMAINDER,
        "quarantined name": QUARANTINED_NAME,
        "quarantined code": OLD_RESIDENT_CODE,
        "code": outcome.resident_record_code,
        "number": outcome.individual_number,
    }
    assert all(plants.values())
    return plants


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    # What dumps core may: only the servers' own doing keeps them from it.
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    postgres = PostgresProcess(
        *("-c", "log_statement=all", "-c", "log_parameter_max_length=-1"),
        *("-c", "log_parameter_max_length_on_error=-1", "-c", "work_mem=64kB"),
    )
    try:
        postgres.start()
        plan = NetworkPlan(
            tmp_path_factory.mktemp("network"),
            {"22": (MUNICIPALITY, SECOND_MUNICIPALITY)},
            databases={name: postgres.create_database(name) for name in DATABASES},
        )
        with LocalNetwork(plan) as network:
            network.provision()
            network.start()
            hosts = (*network.servers, *network.callers)
            keys = [key for host in hosts for key in stored_keys(plan.directory, host)]
            check_readers(plan.directory, keys)
            found = {f"{key.label} of {key.host}": key.value for key in keys}
            yield Observed(network, postgres, play(network), found)
    finally:
        postgres.stop()
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def check_readers(directory: Path, keys: list[StoredKey]) -> None:
    """What was read from the tokens' files are the keys of the certificates, not something else."""
    checked = 0
    for key in keys:
        chain = host_files(directory, key.host).certificates / f"{key.label}.pem"
        if chain.exists():
            leaf = x509.load_pem_x509_certificates(chain.read_bytes())[0]
            number = int.from_bytes(key.value, "big")
            own = ec.derive_private_key(number, ec.SECP256R1()).public_key()
            assert own == leaf.public_key(), key
            checked += 1
    assert checked >= 4 + 4 + 2 * 3


@pytest.mark.parametrize("text", [NAME, REMAINDER, "82429671037"])
@pytest.mark.parametrize("shift", [0, 1, 2])
def test_the_search_of_files_finds_what_is_there(tmp_path: Path, text: str, shift: int) -> None:
    around = b"x" * shift
    canaries = {
        "utf8": text.encode(),
        "utf16le": text.encode("utf-16-le"),
        "utf16be": text.encode("utf-16-be"),
        "hex": text.encode().hex().encode(),
        "hex upper": text.encode().hex().upper().encode(),
        "hex utf16": text.encode("utf-16-le").hex().encode(),
        "base64": base64.b64encode(around + text.encode() + b"tail"),
        "base64 utf16": base64.b64encode(around + text.encode("utf-16-be") + b"tail"),
        "json": json.dumps({"a": text}).encode(),
    }
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name, content in canaries.items():
        (tmp_path / "deep" / "er" / name).write_bytes(b"before" + content + b"after")
    found = Search.for_texts({"canary": text}).in_files(tmp_path)
    assert found == [f"canary in deep/er/{name}" for name in sorted(canaries)]


def forms_of(key: ec.EllipticCurvePrivateKey) -> dict[str, bytes]:
    number = key.private_numbers().private_value
    raw = number.to_bytes(32, "big")
    pkcs8, sec1 = PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL
    return {
        "big-endian": raw,
        "little-endian": raw[::-1],
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "digits": str(number).encode(),
        "PKCS #8 in DER": key.private_bytes(Encoding.DER, pkcs8, NoEncryption()),
        "PKCS #8 in PEM": key.private_bytes(Encoding.PEM, pkcs8, NoEncryption()),
        "SEC 1 in PEM": key.private_bytes(Encoding.PEM, sec1, NoEncryption()),
        "base64": base64.b64encode(b"x" + raw + b"tail"),
    }


HOLDER = """
import sys
held = bytes.fromhex(sys.stdin.readline().strip())
if "int" in sys.argv:
    held = int.from_bytes(held, "big")
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.readline()
assert held
"""
"""A process that holds in its memory what it was told, and nothing of how it was told."""


def holder(content: bytes, *arguments: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(content.hex() + "\n")
    child.stdin.flush()
    assert child.stdout.readline() == "ready\n"
    return child


def end(child: subprocess.Popen[str]) -> None:
    child.communicate("\n", timeout=30)


needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root may read the memory of processes that close it"
)


def test_the_search_of_memory_finds_a_key_in_every_form_that_a_process_could_hold() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    raw = forms_of(key)["big-endian"]
    search = Search.for_keys({"canary": raw})
    for form, content in forms_of(key).items():
        # The process is told the form in hex; that it is found as such is not the point.
        assert search.in_bytes(b"before" + content + b"after") == ["canary"], form
    for arguments in ((), ("int",)):
        child = holder(raw, *arguments)
        try:
            assert search.in_memory(child.pid) == ["canary"]
            other = Search.for_keys({"other": os.urandom(32)})
            assert other.in_memory(child.pid) == []
        finally:
            end(child)


@needs_root
def test_no_process_but_custody_holds_a_long_lived_key(observed: Observed) -> None:
    search = Search.for_keys(observed.keys)
    assert len(observed.keys) >= 25
    pids = observed.pids()
    assert {"national", "pref22", f"cs-{MUNICIPALITY}"} <= pids.keys()
    assert sum(name.startswith("postgres") for name in pids) >= 3
    # What is surely there is found: it is the servers' memory that is read.
    known = Search({"identity": [b"spiffe://national.juki.example/server"]})
    assert known.in_memory(pids["national"]) == ["identity"]
    found = {name: search.in_memory(pid) for name, pid in pids.items()}
    assert found == {name: [] for name in pids}


def test_no_file_of_the_network_holds_a_planted_persons_data(observed: Observed) -> None:
    for database in DATABASES:
        with observed.postgres.engine(database).connect() as connection:
            connection.execute(text("CHECKPOINT"))
    directory, home = observed.network.plan.directory, observed.postgres.home
    searched = [path for path in directory.rglob("*") if path.is_file()]
    assert any(path.name == "data.sqlite-wal" for path in searched)
    assert any(path.name == "checkpoints" for path in searched)
    assert any(path.parent.name == "pg_wal" for path in home.rglob("*"))
    assert b"INSERT INTO notification" in (home / "log").read_bytes()
    search = Search.for_texts(observed.plants)
    assert search.in_files(directory) == []
    assert search.in_files(home) == []


def test_no_file_holds_a_long_lived_key(observed: Observed) -> None:
    search = Search.for_keys(observed.keys)
    assert search.in_files(observed.network.plan.directory) == []
    assert search.in_files(observed.postgres.home) == []


def test_a_server_that_crashes_leaves_no_core_dump(observed: Observed, tmp_path: Path) -> None:
    pattern = CORE_PATTERN.read_text(encoding="utf-8").strip()
    if pattern.startswith("|") or "/" in pattern:
        pytest.skip("this machine's core dumps go elsewhere")
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(NAME.encode().hex() + "\n")
    child.stdin.flush()
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGABRT)
    child.communicate(timeout=60)
    search = Search.for_texts(observed.plants)
    assert any(found.startswith("name in core") for found in search.in_files(tmp_path))

    before = set(Path.cwd().glob("core*"))
    for name in ("national", "pref22", f"cs-{MUNICIPALITY}", f"hsm/cs-{MUNICIPALITY}"):
        process = observed.network.processes[name]
        os.kill(process.pid, signal.SIGABRT)
        wait_until(lambda process=process: not process.is_running, 60)  # type: ignore[misc]
    assert set(Path.cwd().glob("core*")) == before
