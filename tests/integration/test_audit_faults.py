"""A fault at every interesting system call of an audit log: no answer without its record.

In the way of Tessera's tests of its storage: a process appends, one call of it fails or is its
last, and the log is opened again. The whole enumeration is slow; a seeded sample of it is not.
Prints the table of `docs/audit-faults.md`, and writes it where JUKI_AUDIT_FAULT_TABLE says.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.audit_faults.injection import (
    FAULTS_OF_CALLS,
    KILLED,
    Call,
    Told,
    calls_of,
    run,
    run_with_fault,
)
from tests.audit_faults.power import TRACE_OPTIONS, Survives, replay
from tests.audit_faults.scenarios import APPENDED, SCENARIOS, Scenario, check_promises
from tests.audit_faults.table import Seen, report
from tests.people import memory_directory

SAMPLED = 16
"""Faults of each scenario in `make test`."""

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


class Bench:
    """Runs one scenario again and again, each time with another fault."""

    def __init__(self, scenario: Scenario, scratch: Path) -> None:
        self._scenario = scenario
        self._scratch = scratch
        self._directory = scratch / "log"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._key_file = scratch / "key.pem"
        self._key_file.write_bytes(
            self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        self._program = [
            "tests.audit_faults.appender",
            *(str(self._directory), str(self._key_file)),
            *(str(scenario.records + 1), str(APPENDED)),
        ]

    def faults(self) -> list[tuple[Call, str]]:
        """Every fault that can be injected, in the order of the calls."""
        self._lay()
        told, calls = calls_of(self._program, self._directory, self._scratch)
        assert told.lines[-1] == "closed"
        check_promises(self._directory, self._key, self._scenario, told)
        return [(call, fault) for call in calls for fault in FAULTS_OF_CALLS[call.name]]

    def inject(self, call: Call, fault: str) -> Seen:
        """Runs with the fault, and checks what the log promises."""
        self._lay()
        told = run_with_fault(self._program, self._directory, call, fault, self._scratch)
        assert told.was_hit, f"{call} was not made"
        try:
            what = check_promises(self._directory, self._key, self._scenario, told)
        except BaseException as error:
            error.add_note(f"{self._scenario.name}: {fault} at {call}\n{told.lines}")
            raise
        return Seen(self._scenario.name, call, fault, what)

    def lose_power(self) -> int:
        """Power fails after every call of a run, in three ways; gives how often."""
        self._lay()
        told = run(self._program, TRACE_OPTIONS, self._scratch)
        random, times, answered = Random(self._scenario.name), 0, 0
        for call, lines, disk in replay(told.trace, self._directory):
            for survives in Survives:
                shutil.rmtree(self._directory, ignore_errors=True)
                disk.write_to(self._directory, survives, random)
                lost = Told(lines, KILLED, "")
                try:
                    check_promises(self._directory, self._key, self._scenario, lost)
                except BaseException as error:
                    error.add_note(f"power failed after {call}, {survives.name} survived: {lines}")
                    raise
                times += 1
            answered = sum(line.startswith("answered") for line in lines)
        assert answered == APPENDED
        return times

    def _lay(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
        self._scenario.make(self._directory, self._key)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_no_answer_without_its_record_at_a_sample_of_faults(
    scenario: Scenario, tmp_path: Path
) -> None:
    bench = Bench(scenario, tmp_path)
    for call, fault in Random(scenario.name).sample(bench.faults(), SAMPLED):
        bench.inject(call, fault)


def test_no_answer_without_its_record_when_power_fails_after_any_call() -> None:
    with memory_directory() as scratch:  # what survives is ours to say, not the disk's
        assert Bench(SCENARIOS[0], scratch).lose_power() > 100


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_no_answer_without_its_record_at_any_fault() -> None:
    with memory_directory() as scratch:
        seen = every_fault(scratch)
    print(report(seen))
    whats = {one.what for one in seen}
    assert {"killed", "the log does not open", "refused from then on"} <= whats
    assert "some refused, then the log goes on" in whats, "a full disk passes"


def every_fault(directory: Path) -> list[Seen]:
    seen: list[Seen] = []
    for turn, scenario in enumerate(SCENARIOS):
        scratch = directory / str(turn)
        scratch.mkdir()
        bench = Bench(scenario, scratch)
        seen += [bench.inject(call, fault) for call, fault in bench.faults()]
    return seen
