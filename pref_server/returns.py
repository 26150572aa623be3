"""Follows what flows back from the nation and queues it for the municipalities it concerns."""

from __future__ import annotations

import threading
import time
from typing import Any

import grpc
import structlog
from sqlalchemy import Engine, insert, select, update

from juki.register.returns import ReturnBox
from juki.v1 import intake_pb2, intake_pb2_grpc
from pref_server.pausing import LONGEST_PAUSE_SECONDS, pause_after
from pref_server.tables import upstream_cursor

log = structlog.get_logger(__name__)


class ReturnsFollower:
    """One background thread that holds a stream to the nation open, from a durable cursor."""

    def __init__(
        self,
        *,
        engine: Engine,
        nation: intake_pb2_grpc.NotificationIntakeServiceStub,
        returns: ReturnBox,
        municipalities: frozenset[str],
    ) -> None:
        self._engine = engine
        self._nation = nation
        self._returns = returns
        self._municipalities = municipalities
        self._stopping = threading.Event()
        self._call: Any = None
        self._thread = threading.Thread(target=self._run, name="returns", daemon=True)

    def start(self) -> None:
        """Begins to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Cuts the stream and ends."""
        self._stopping.set()
        if self._call is not None:
            self._call.cancel()
        self._thread.join()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                for item in self._open():
                    self._keep(item)
                    failures = 0
            except Exception as error:  # the follower outlives every fault of its neighbours
                if time.monotonic() - started > LONGEST_PAUSE_SECONDS:
                    # A stream that had been open that long worked: its end is a first failure.
                    failures = 0
                failures += 1
                if not self._stopping.is_set():
                    log.warning("returns.interrupted", error=type(error).__name__)
            self._stopping.wait(pause_after(failures))

    def _open(self) -> grpc.CallIterator[intake_pb2.FollowReturnsResponse]:
        with self._engine.connect().execution_options(read_only=True) as connection:
            cursor = connection.scalar(select(upstream_cursor.c.cursor)) or 0
        request = intake_pb2.FollowReturnsRequest(after_cursor=cursor)
        call = self._nation.FollowReturns(request, wait_for_ready=True)
        self._call = call
        return call

    def _keep(self, item: intake_pb2.FollowReturnsResponse) -> None:
        """Queues the item and moves the cursor, together."""
        concerned = [m for m in item.dispute.municipalities if m in self._municipalities]
        with self._engine.begin() as connection:
            moved = connection.execute(update(upstream_cursor).values(cursor=item.cursor))
            if moved.rowcount == 0:
                connection.execute(insert(upstream_cursor).values(id=1, cursor=item.cursor))
            self._returns.put(connection, [(municipality, item) for municipality in concerned])
        self._returns.wake()
