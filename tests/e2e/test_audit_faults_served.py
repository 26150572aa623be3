"""No answer without a record (invariant 1), whichever system call of a serving nation fails."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from juki.audit.segment import segments
from juki.audit.verify import verify
from juki.localnet.network import LocalNetwork
from tests.e2e.asking import Asker, one_number, recorded_persons
from tests.network_fixtures import running_network, wait_until
from tests.planted_person import MUNICIPALITY

CALLERS = 4
ANSWERS_BEFORE = 40
WAIT_SECONDS = 60.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may trace another process"),
]


@dataclass(frozen=True)
class Fault:
    """What strace does to the log's calls, and what the nation does afterwards."""

    name: str
    injection: str
    times: int = 1
    goes_on: bool = False
    """By itself; otherwise it refuses, or is dead, until it is started anew."""


FAULTS = (
    Fault("a full disk for a while", "write:error=ENOSPC:when=11..20", times=10, goes_on=True),
    Fault("a write fails", "write:error=EIO:when=11"),
    Fault("a sync fails", "fdatasync:error=EIO:when=11"),
    Fault("killed before a write", "write:signal=KILL:when=11"),
    Fault("killed before a sync", "fdatasync:signal=KILL:when=11"),
)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    with running_network(tmp_path_factory.mktemp("network"), {"22": (MUNICIPALITY,)}) as network:
        yield network


@contextmanager
def injected(process: int, fault: Fault, log: Path, trace: Path) -> Iterator[None]:
    """Traces the running server while the block runs; its calls on segments alone are hit."""
    call = fault.injection.partition(":")[0]
    paths = [word for path in segments(log) for word in ("-P", str(path))]
    command = [
        *("strace", "-f", "-qq", "-y", "-p", str(process), "-o", str(trace)),
        *(*paths, "-e", f"trace={call}", "-e", f"inject={fault.injection}"),
    ]
    with subprocess.Popen(command) as strace:
        try:
            yield
        finally:
            # Interrupted while the threads of the server die, strace would wait for ever.
            if "KILL" not in fault.injection:
                strace.send_signal(signal.SIGINT)
            strace.wait(WAIT_SECONDS)


def has_hit(trace: Path, fault: Fault) -> bool:
    """Whether the fault was seen, as often as it is to be."""
    words = trace.read_text(errors="replace") if trace.exists() else ""
    return words.count("(INJECTED)") >= fault.times or "killed by SIGKILL" in words


def test_every_answer_has_its_record_whichever_call_of_the_server_fails(
    network: LocalNetwork, tmp_path: Path
) -> None:
    number = one_number(network)
    log = network.plan.host_directory("national") / "audit"
    askers = [Asker(network, f"asker-{turn}", number) for turn in range(CALLERS)]

    def answers() -> int:
        return sum(len(one.answered) for one in askers)

    def answers_come() -> None:
        goal = answers() + ANSWERS_BEFORE
        wait_until(lambda: answers() >= goal, WAIT_SECONDS)

    try:
        for turn, fault in enumerate(FAULTS):
            answers_come()
            trace = tmp_path / str(turn)
            nation = network.processes["national"]
            with injected(nation.pid, fault, log, trace):
                wait_until(lambda: has_hit(trace, fault), WAIT_SECONDS)  # noqa: B023
            assert nation.is_running == ("KILL" not in fault.injection), fault.name
            if not fault.goes_on:
                refused_from_then_on(askers)
                nation.kill()
                nation.start()
        answers_come()
    finally:
        for one in askers:
            one.close()
    assert verify(log).problem is None
    answered = {key: value for one in askers for key, value in one.answered.items()}
    assert answered.items() <= recorded_persons(log).items()


def refused_from_then_on(askers: list[Asker]) -> None:
    """Every asker is refused again and again, and none is answered."""
    answered = [len(one.answered) for one in askers]
    refused = [one.failed for one in askers]
    wait_until(
        lambda: all(one.failed > before + 1 for one, before in zip(askers, refused, strict=True)),
        WAIT_SECONDS,
    )
    still = [len(one.answered) for one in askers]
    # Answers that were on their way when the call failed may have come in since: one an asker.
    assert all(now <= before + 1 for now, before in zip(still, answered, strict=True))
