"""A background thread that does one thing over and over, and backs off while it fails."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from juki.domain.errors import JukiError, Reason

_LOG: Final = structlog.get_logger(__name__)
_FIRST_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 5.0
"""A neighbour that came back is found again within this time."""


def pause_after(failures: int, choose: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds to wait after so many failures in a row: exponential, with full jitter."""
    longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(failures, 12))
    return choose(longest / 2, longest)


class Worker:
    """Runs `work` until closed.

    `work` blocks for a second at most while there is nothing to do, and raises what went wrong.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[], None],
        *,
        wake: Callable[[], None] = lambda: None,
        failed: Callable[[Reason], None] = lambda _: None,
    ) -> None:
        """`wake` makes a blocked `work` return soon; `failed` is told each failure's reason."""
        self._name = name
        self._work = work
        self._wake = wake
        self._failed = failed
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def close(self) -> None:
        """Lets the running round end, then ends the thread."""
        self._stopping.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                self._work()
                failures = 0
            except Exception as error:
                if self._stopping.is_set():
                    return
                if time.monotonic() - started > _LONGEST_PAUSE_SECONDS:
                    # A stream that had been open that long did work: its end is a first failure.
                    failures = 0
                failures += 1
                known = isinstance(error, JukiError)
                reason = error.reason if isinstance(error, JukiError) else Reason.INTERNAL
                self._failed(reason)
                _LOG.warning(
                    "round_failed",
                    worker=self._name,
                    reason=reason.value,
                    kind=type(error).__name__,
                    failures=failures,
                    exc_info=None if known else error,
                )
                self._stopping.wait(pause_after(failures))
