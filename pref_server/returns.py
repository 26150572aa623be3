"""Follows what flows back from the nation and queues it for the municipalities it concerns."""

from __future__ import annotations

from typing import Any

import grpc
import structlog
from sqlalchemy import Engine, insert, select, update

from juki.register.returns import ReturnBox
from juki.rpc.errors import raise_from_rpc
from juki.v1 import intake_pb2, intake_pb2_grpc
from pref_server.tables import upstream_cursor

log = structlog.get_logger(__name__)


class ReturnsFollower:
    """Holds a stream to the nation open, from a durable cursor; `work` is a worker's round."""

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
        self._call: Any = None

    def cut(self) -> None:
        """Ends the stream under way."""
        if self._call is not None:
            self._call.cancel()

    def work(self) -> None:
        """Follows until the stream ends, which it does only by a fault.

        Raises:
            JukiError: The stream broke before anything came; the next round begins again at the
                last cursor that was stored.
        """
        taken = False
        try:
            for item in self._open():
                self._keep(item)
                taken = True
        except grpc.RpcError as error:
            # What has brought something worked: the next round follows at once.
            if not taken:
                raise_from_rpc(error)

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
