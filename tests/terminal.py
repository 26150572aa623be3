"""A person at a terminal: runs a command on a pseudo-terminal of its own, reads, types."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
PATIENCE_SECONDS = 60


class Terminal:
    """What a command wrote on its terminal so far, and the keyboard."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self._master = master
        self._process = process
        self._written = b""
        self._seen = 0

    @property
    def screen(self) -> str:
        """Everything written until now."""
        return self._written.decode(errors="replace")

    def wait_for(self, text: str) -> None:
        """Wait until `text` is written after what was waited for before."""
        end = time.monotonic() + PATIENCE_SECONDS
        while (at := self._written.find(text.encode(), self._seen)) < 0:
            if not self._read(end - time.monotonic()):
                raise AssertionError(f"{text!r} was never written:\n{self.screen}")
        self._seen = at + len(text.encode())

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._master, line.encode() + b"\n")

    def end(self) -> int:
        """Wait for the command's end; gives its exit code."""
        while self._read(PATIENCE_SECONDS):
            pass
        return self._process.wait(PATIENCE_SECONDS)

    def _read(self, seconds: float) -> bool:
        """Whether anything came: a terminal whose last process has gone gives EIO."""
        if not select.select([self._master], [], [], max(seconds, 0))[0]:
            return False
        try:
            came = os.read(self._master, 65536)
        except OSError:
            return False
        self._written += came
        return bool(came)


@contextmanager
def on_a_terminal(arguments: Sequence[str | Path]) -> Iterator[Terminal]:
    """`python …` with a pseudo-terminal as its controlling one, so that `/dev/tty` is it."""
    master, slave = os.openpty()
    # Whoever runs the tests in the background may have them ignore Ctrl-C; a person does not.
    heard = ["env", "--default-signal=INT"]
    command = [*heard, "setsid", "--ctty", "--wait", sys.executable, *map(str, arguments)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
        os.close(master)
