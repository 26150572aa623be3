"""A worker process of a benchmark: one JSON order a line on its input, one JSON answer back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from juki.domain.errors import JukiError, Reason


class OrderedWorker:
    """The worker, seen from the benchmark."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child
        self.pid = child.pid

    def order(self, **order: Any) -> None:
        """Send an order without waiting."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(order) + "\n")
        self._child.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for an answer; raises UPSTREAM_UNAVAILABLE where the worker has ended."""
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise JukiError(Reason.UPSTREAM_UNAVAILABLE, "a worker of the benchmark has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def ordered_worker(program: str, **first: Any) -> Iterator[OrderedWorker]:
    """`python -m program`, given its first order and ready for others."""
    with subprocess.Popen(
        [sys.executable, "-m", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as child:
        try:
            worker = OrderedWorker(child)
            worker.order(**first)
            worker.answer()
            yield worker
        finally:
            child.terminate()


def obey(act: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """In the worker: answer every order until the input ends."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(act(json.loads(line))) + "\n")
        sys.stdout.flush()
