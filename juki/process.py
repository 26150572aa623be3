"""How every server process starts, says that it is ready, and ends."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable


def announce_ready(**facts: object) -> None:
    """Prints one line of JSON on standard output: `{"ready": true, …}` with addresses and ports."""
    sys.stdout.write(json.dumps({"ready": True, **facts}) + "\n")
    sys.stdout.flush()


def wait_for_stop() -> None:
    """Blocks until SIGTERM or SIGINT."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()


def stop_all(steps: list[Callable[[], None]]) -> None:
    """Runs the steps in order; one that fails does not keep the others from running."""
    for step in steps:
        try:
            step()
        except Exception as error:  # the process ends whatever a part of it does
            sys.stderr.write(f'{{"event": "stop failed", "error": "{type(error).__name__}"}}\n')
