"""A witness whose calls fail, that is killed or loses power never goes back.

Whoever was given its cosignature, it remembers; so it cannot be brought to co-sign a fork.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from juki.audit.witness.records import WitnessRecords
from juki.domain.errors import JukiError, Reason
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
from tests.people import memory_directory
from tests.witnessed_logs import LOG, Log, leaves, witness_with

SIZES = 6
SAMPLED = 24

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


class Bench:
    """Runs a witness again and again, each time with another fault."""

    def __init__(self, scratch: Path, begun: int) -> None:
        """`begun`: the size that it co-signed before, 0 for a witness that is new."""
        self.directory = scratch / "witness"
        self._scratch = scratch
        self._begun = begun
        self._program = ["tests.audit_faults.cosigner", str(self.directory)]
        self._program += [str(begun + 1), str(begun + SIZES)]

    def faults(self) -> list[tuple[Call, str]]:
        """Every fault that can be injected."""
        self._lay()
        told, calls = calls_of(self._program, self.directory, self._scratch)
        self.check(told)
        assert len(told.lines) == SIZES + 2, "everything was co-signed"
        return [(call, fault) for call in calls for fault in FAULTS_OF_CALLS[call.name]]

    def inject(self, call: Call, fault: str) -> None:
        """Runs with the fault, and checks what a witness promises."""
        self._lay()
        told = run_with_fault(self._program, self.directory, call, fault, self._scratch)
        assert told.was_hit, f"{call} was not made"
        try:
            self.check(told)
        except BaseException as error:
            error.add_note(f"{fault} at {call}: {told.lines}")
            raise

    def lose_power(self) -> int:
        """Power fails after every call of a run, in three ways; gives how often."""
        self._lay()
        told, random, times = run(self._program, TRACE_OPTIONS, self._scratch), Random(7), 0
        for call, lines, disk in replay(told.trace, self.directory):
            for survives in Survives:
                shutil.rmtree(self.directory, ignore_errors=True)
                disk.write_to(self.directory, survives, random)
                try:
                    self.check(Told(lines, KILLED, ""))
                except BaseException as error:
                    error.add_note(f"after {call}, {survives.name} survived: {lines}")
                    raise
                times += 1
        return times

    def check(self, told: Told) -> None:
        """Started again, it knows at least what it handed out, and goes on from there only."""
        handed_out = [int(line.split()[1]) for line in told.lines if line.startswith("cosigned")]
        last = max(handed_out, default=self._begun)
        if not told.was_killed:
            assert told.lines[-1] == "ended"
        records = WitnessRecords(self.directory)
        try:
            witness = witness_with(records)
            seen = witness.witnessed_size(LOG)
            assert seen >= last
            if seen:
                fork = Log(leaves(seen + 9, "forked"))
                with pytest.raises(JukiError) as refused:
                    witness.cosign(LOG, fork.offer(seen, seen + 9))
                assert refused.value.reason is Reason.LOG_FORKED
            witness.cosign(LOG, Log(leaves(seen + 9)).offer(seen, seen + 9))
        finally:
            records.close()

    def _lay(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)
        if self._begun:
            records = WitnessRecords(self.directory)
            witness_with(records).cosign(LOG, Log(leaves(self._begun)).offer(0, self._begun))
            records.close()


@pytest.fixture
def scratch() -> Iterator[Path]:
    with memory_directory() as directory:
        yield directory


@pytest.mark.parametrize("begun", [0, 5])
def test_a_witness_never_goes_back_at_a_sample_of_faults(scratch: Path, begun: int) -> None:
    bench = Bench(scratch, begun)
    for call, fault in Random(begun).sample(bench.faults(), SAMPLED):
        bench.inject(call, fault)


@pytest.mark.slow
@pytest.mark.parametrize("begun", [0, 5])
def test_a_witness_never_goes_back_at_any_fault(scratch: Path, begun: int) -> None:
    bench = Bench(scratch, begun)
    for call, fault in bench.faults():
        bench.inject(call, fault)


def test_a_witness_never_goes_back_when_power_fails_after_any_call(scratch: Path) -> None:
    assert Bench(scratch, 0).lose_power() > 100
