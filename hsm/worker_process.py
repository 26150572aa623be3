"""The worker as its front sees it: a child process, what it last said, and when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hsm.link import Kind, Message, link_pair, receive
from hsm.sockets import Door

_START_SECONDS = 60.0
"""How long an interpreter may take to import everything on a busy machine."""
_END_SECONDS = 1.0
"""How long a killed process may take to end before the front goes on without it."""


class WorkerProcess:
    """One worker, from its start to its end."""

    def __init__(self, configuration: Path, doors: Sequence[Door], silence_seconds: float) -> None:
        self.link, theirs = link_pair()
        descriptors = [door.listener.fileno() for door in doors]
        command = [
            *(sys.executable, "-m", "hsm.worker", "--config", str(configuration)),
            *("--front", str(os.getpid()), "--link", str(theirs.fileno())),
            *("--doors", *map(str, descriptors)),
        ]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), *descriptors],
            )
        finally:
            theirs.close()
        self.ready = False
        """Whether it serves callers."""
        self._silence_seconds = silence_seconds
        self._due = time.monotonic() + _START_SECONDS

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def hear(self) -> tuple[list[Message], bool]:
        """What it has said, and whether it can still say anything; moves its deadline."""
        messages, is_open = receive(self.link)
        if messages:
            self._due = time.monotonic() + self._silence_seconds
        if any(message.kind is Kind.READY for message in messages):
            self.ready = True
        return messages, is_open

    def seconds_left(self) -> float:
        """Until it has been silent for too long; negative afterwards."""
        return self._due - time.monotonic()

    def ask_to_end(self) -> None:
        """SIGTERM: it finishes what it has accepted."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> bool:
        """`kill -9`; whether it has ended: one that waits in the kernel for a device cannot yet."""
        self._process.kill()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return False
        self.link.close()
        return True
