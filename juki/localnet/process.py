"""One process of the network: started, awaited, killed, started again; its words kept in a file."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from juki.domain.errors import JukiError, Reason

READY_SECONDS: Final = 60.0
"""How long a process may take to say that it is ready, on a busy two-core machine."""

STOP_SECONDS: Final = 15.0
_PAUSE_SECONDS: Final = 0.02


@dataclass
class ManagedProcess:
    """A child process that prints one line when it is ready."""

    name: str
    command: Sequence[str]
    log: Path
    """Gets its standard error."""

    facts: dict[str, Any] = field(default_factory=dict)
    """What the ready line said."""

    environment: dict[str, str] = field(default_factory=dict)
    """Added to this process's own."""

    answers_at: int | None = None
    """For a program that says nothing: the loopback port at which it answers when it is ready."""

    _child: subprocess.Popen[str] | None = None

    def launch(self) -> None:
        """Starts it without waiting."""
        with self.log.open("a") as log:
            self._child = subprocess.Popen(
                self.command,
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
                | self.environment,
            )

    def await_ready(self, seconds: float = READY_SECONDS) -> None:
        """Returns when it has said that it is ready.

        Raises:
            JukiError: UPSTREAM_UNAVAILABLE when it ended or took too long; the log says why.
        """
        child = self._child
        if child is None or child.stdout is None:
            raise JukiError(Reason.INTERNAL, f"{self.name} was not started")
        if self.answers_at is not None:
            self._await_port(child, self.answers_at, seconds)
            return
        output = child.stdout
        line: list[str] = []
        reader = threading.Thread(target=lambda: line.append(output.readline()), daemon=True)
        reader.start()
        reader.join(seconds)
        if not line or not line[0]:
            raise self._did_not_start()
        text = line[0].strip()
        self.facts = json.loads(text) if text.startswith("{") else {"ready": True}

    def _await_port(self, child: subprocess.Popen[str], port: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while child.poll() is None and time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
                return
            time.sleep(_PAUSE_SECONDS)
        raise self._did_not_start()

    def _did_not_start(self) -> JukiError:
        return JukiError(
            Reason.UPSTREAM_UNAVAILABLE,
            f"{self.name} did not start; see {self.log.name}",
            {"log": str(self.log)},
        )

    def start(self) -> None:
        """Starts it and waits until it is ready."""
        self.launch()
        self.await_ready()

    @property
    def is_running(self) -> bool:
        """Whether it runs now."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        if self._child is None:
            raise JukiError(Reason.INTERNAL, f"{self.name} was not started")
        return self._child.pid

    def kill(self) -> None:
        """`kill -9`, and the end awaited."""
        if self._child is not None:
            self._child.kill()
            self._collect()

    def stop(self) -> None:
        """SIGTERM, and `kill -9` if it does not end in time."""
        child = self._child
        if child is None:
            return
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
        self._collect()

    def _collect(self) -> None:
        child = self._child
        if child is None:
            return
        child.wait()
        if child.stdout is not None:
            child.stdout.close()
        self._child = None
