"""Faults at system calls, injected with strace.

A call is named by what it is, the file of the directory that it concerns, and how many of its kind
a thread has made on that file before. So a fault hits one place of the code, however many calls
the interpreter makes besides.
"""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_IO: Final = ("EIO", "KILL")
_GROWING: Final = ("EIO", "ENOSPC", "KILL")

FAULTS_OF_CALLS: Final[dict[str, tuple[str, ...]]] = {
    "openat": ("EIO", "ENOSPC", "EMFILE", "KILL"),
    "read": _IO,
    "pread64": _IO,
    "getdents64": _IO,
    "newfstatat": _IO,
    "fstat": _IO,
    "mmap": ("ENOMEM", "KILL"),
    "write": (*_GROWING, "EDQUOT", "EINTR"),
    "pwrite64": (*_GROWING, "EDQUOT", "EINTR"),
    "writev": (*_GROWING, "EDQUOT"),
    "fallocate": _GROWING,
    "ftruncate": _IO,
    "fsync": (*_GROWING, "EINTR"),
    "fdatasync": (*_GROWING, "EINTR"),
    "rename": _GROWING,
    "renameat": _GROWING,
    "renameat2": _GROWING,
    "link": _GROWING,
    "linkat": _GROWING,
    "unlink": _IO,
    "unlinkat": _IO,
    "rmdir": _IO,
    "mkdir": _GROWING,
    "mkdirat": _GROWING,
    "close": ("EIO", "EINTR", "KILL"),
}
"""The interesting calls, and what each is made to do: fail with an error, or never be made because
the process is killed at its door (strace delivers the signal before the call is carried out)."""

_CALL: Final = re.compile(r"^(\d+) +(\w+)\((.*)$")
KILLED: Final = -signal.SIGKILL
"""The exit code of a process that `kill -9` ended; strace ends as its child did."""

_RUN_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class Call:
    """One interesting system call of a run."""

    name: str
    file: str
    """Below the directory; "." is the directory itself."""

    turn: int
    """1 for a thread's first such call on the file."""

    def __str__(self) -> str:
        return f"{self.name} {self.file} {self.turn}"


@dataclass(frozen=True, slots=True)
class Told:
    """What a program told before it ended."""

    lines: list[str]
    exit_code: int
    trace: str

    @property
    def was_killed(self) -> bool:
        """Whether `kill -9` ended it."""
        return self.exit_code == KILLED

    @property
    def was_hit(self) -> bool:
        """Whether the fault took place."""
        return self.was_killed or "(INJECTED)" in self.trace


def run(program: Sequence[str], strace: Sequence[str], scratch: Path) -> Told:
    """Runs `python -m program` under strace, with a socket to tell over as last argument."""
    trace = scratch / "trace"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [
            *("strace", "-f", "-qq", "-y", "-o", str(trace), *strace),
            *(sys.executable, "-m", *program, str(theirs.fileno())),
        ]
        with subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            cwd=Path(__file__).parents[2],
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            theirs.close()
            ours.settimeout(_RUN_SECONDS)
            told = b""
            while part := ours.recv(65536):
                told += part
            _, errors = child.communicate(timeout=_RUN_SECONDS)
    result = Told(told.decode().splitlines(), child.returncode, trace.read_text(errors="replace"))
    if child.returncode and not result.was_killed:
        raise AssertionError(f"the program failed under the fault:\n{errors}")
    return result


def calls_of(program: Sequence[str], directory: Path, scratch: Path) -> tuple[Told, list[Call]]:
    """A run without a fault, and its interesting calls on `directory`, in order."""
    told = run(program, ["-e", f"trace={_known()}"], scratch)
    mention = re.compile(rf"[<\"]{re.escape(str(directory))}(/[^\">]*)?[\">]")
    turns: Counter[tuple[str, str, str]] = Counter()
    calls: dict[Call, None] = {}
    for line in told.trace.splitlines():
        call = _CALL.match(line)
        found = call and mention.search(call[3])
        if not call or not found:
            continue
        file = (found[1] or "/.")[1:]
        turns[call[1], call[2], file] += 1
        calls[Call(call[2], file, turns[call[1], call[2], file])] = None
    return told, list(calls)


def run_with_fault(
    program: Sequence[str], directory: Path, call: Call, fault: str, scratch: Path
) -> Told:
    """A run in which this call fails, or the process is killed before it is made."""
    path = directory if call.file == "." else directory / call.file
    does = "signal=KILL" if fault == "KILL" else f"error={fault}"
    return run(
        program,
        [
            *("-P", str(path), "-e", f"trace={call.name}"),
            *("-e", f"inject={call.name}:{does}:when={call.turn}"),
        ],
        scratch,
    )


def _known() -> str:
    # A call that this machine's architecture does not have is left out by the question mark.
    return ",".join(f"?{name}" for name in FAULTS_OF_CALLS)
