"""One worker's post: who holds it, what went wrong last, and when the next one is due."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from hsm.backoff import Backoff
from hsm.link import Kind, Message
from hsm.worker_process import WorkerProcess

_STEADY_SECONDS = 10.0
"""After this long without a fault the next one is the first again."""

_log = structlog.get_logger("hsm.post")


class Post:
    """Keeps one worker: replaces it when it dies, is silent for too long, or loses its token."""

    def __init__(
        self,
        hire: Callable[[], WorkerProcess],
        gone: Callable[[WorkerProcess], object],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hire = hire
        self._gone = gone
        self._monotonic = monotonic
        self._backoff = Backoff()
        self._ending: WorkerProcess | None = None
        """A worker that was killed and has not ended yet."""
        self._next_start = self.lost_at = self._ready_at = monotonic()
        self.worker: WorkerProcess | None = None
        self.why = "its token is being opened"
        """What went wrong last."""
        self.cannot_open = False
        """Whether the worker said that the token cannot be opened."""

    @property
    def is_ready(self) -> bool:
        """Whether its worker serves callers."""
        return self.worker is not None and self.worker.ready

    @property
    def is_opening(self) -> bool:
        """Whether its worker is on its way to the open token."""
        return self.worker is not None and not self.worker.ready

    @property
    def failures(self) -> int:
        """Workers lost in a row."""
        return self._backoff.failures

    def start_if_due(self) -> WorkerProcess | None:
        """A new worker, where one is due; nobody who might still hold the token is left behind."""
        if self._ending is not None and self._ending.kill():
            self._ending = None
        if self.worker is None and self._ending is None and self._monotonic() >= self._next_start:
            self.worker = self._hire()
            return self.worker
        return None

    def judge(self) -> list[Message]:
        """Replace a worker that is silent; what it has said until now, otherwise."""
        worker = self.worker
        if worker is None:
            return []
        if worker.seconds_left() > 0:
            if worker.ready and self._monotonic() - self._ready_at > _STEADY_SECONDS:
                self._backoff.succeeded()
            return []
        # What it said while this process had no turn counts as said in time.
        messages = self.hear()
        if self.worker is worker and worker.seconds_left() <= 0:
            self.replace("the module hangs")
        return messages

    def hear(self) -> list[Message]:
        """What the worker has said; one that can say no more is replaced."""
        worker = self.worker
        if worker is None:
            return []
        messages, is_open = worker.hear()
        for message in messages:
            self._note(message)
        if not is_open and self.worker is worker:
            self.replace("the worker has ended")
        return messages

    def _note(self, message: Message) -> None:
        if message.kind is Kind.READY:
            self.cannot_open = False
            self._ready_at = self._monotonic()
            _log.info("token open", failures_before=self.failures)
        elif message.kind is Kind.NOT_OPENED:
            self.why, self.cannot_open = message.text, True
        elif message.kind is Kind.MISCONFIGURED:
            self.cannot_open = True
            self.replace(message.text)
        elif message.kind is Kind.LOST:
            self.replace(message.text)

    def replace(self, why: str) -> None:
        """End the worker and have another started after a pause."""
        worker = self.worker
        if worker is None:
            return
        if worker.ready:
            self.lost_at = self._monotonic()
        self.why = why
        pause = self._backoff.failed()
        self._next_start = self._monotonic() + pause
        _log.error("worker replaced", why=why, pause_seconds=pause, process=worker.pid)
        self.worker = None
        self._gone(worker)
        if not worker.kill():
            _log.error("worker does not end", process=worker.pid)
            self._ending = worker

    def seconds_to_next(self) -> float:
        """Until there is something to do here, whatever is heard."""
        if self.worker is not None:
            return self.worker.seconds_left()
        return self._next_start - self._monotonic()
