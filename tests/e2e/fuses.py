"""The fuses of a network: what fails on a host, how a test makes it fail, how it comes back."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hsm.host_files import host_files
from juki.localnet.network import LocalNetwork
from tests.custody_fixtures import workers_of
from tests.fault_module.faults import SESSION_HANDLE_INVALID, Faults


@dataclass(frozen=True)
class Fuse:
    """One way to fail."""

    name: str
    blow: Callable[[], None]
    mend: Callable[[], None]
    lasts: bool = True
    """Whether it lasts until it is mended; otherwise the host helps itself at once."""
    holds_seconds: float = 6.0
    """How long the test leaves it blown."""
    failing: frozenset[str] = frozenset({"sign", "write"})
    """The checks of the host's health that may turn red, and no others. A register in SQLite waits
    for the signature of its receipt while it holds the database, so that other writes wait too."""


def _nothing() -> None:
    """What mends itself needs no mending."""


def custody_fuses(network: LocalNetwork, host: str, faults: Faults) -> list[Fuse]:
    """The fuses of a host's custody."""
    custody = network.processes[f"hsm/{host}"]
    pin = host_files(network.plan.directory, host).directory / "pin"
    right = pin.read_text()

    def kill_worker() -> None:
        for worker in workers_of(custody.pid):
            os.kill(worker, signal.SIGKILL)

    def then_log_in(fault: Callable[[], object]) -> Callable[[], None]:
        """The fault, and a worker that has to log in to meet it."""

        def blow() -> None:
            fault()
            kill_worker()

        return blow

    def session_invalid_once() -> None:
        faults.fail_once("C_Sign", SESSION_HANDLE_INVALID)

    return [
        Fuse("custody killed", custody.kill, custody.start, holds_seconds=12.0),
        Fuse("its worker killed", kill_worker, _nothing, lasts=False),
        Fuse("session invalid once", session_invalid_once, _nothing, lasts=False),
        Fuse("token removed", faults.remove_token, faults.lift),
        Fuse(
            "PIN wrong",
            then_log_in(lambda: pin.write_text("0123456789abcdef")),
            lambda: (pin.write_text(right), None)[1],
        ),
        Fuse("PIN locked", then_log_in(faults.lock_pin), faults.lift),
        Fuse("module hangs", lambda: faults.hang("C_Sign"), faults.lift, holds_seconds=30.0),
    ]


class SmallDisk:
    """A file system in memory of a fixed size; only root can mount one."""

    def __init__(self, directory: Path, megabytes: int) -> None:
        directory.mkdir(parents=True)
        options = f"size={megabytes}m"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)], check=True)
        self.directory = directory
        self._filler = directory / "filler"

    def fill(self) -> None:
        """Leave no byte free."""
        with self._filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        """Give the room back."""
        self._filler.unlink(missing_ok=True)

    def unmount(self) -> None:
        """End it, whatever still has files in it open."""
        subprocess.run(["umount", "--lazy", str(self.directory)], check=True)


def disk_fuse(name: str, disk: SmallDisk, failing: str) -> Fuse:
    """A disk without room."""
    return Fuse(name, disk.fill, disk.free, failing=frozenset({failing}))
