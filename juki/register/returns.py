"""What flows back: national receipts and dispute reports, queued for each recipient by cursor."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from sqlalchemy import Connection, Engine, func, insert, select

from juki.register import tables as t
from juki.store.engine import now_microseconds
from juki.v1 import intake_pb2

_PAGE: Final = 200
_LOCK: Final = 0x6A756B69
"""Advisory lock of the queue's writers, held to the end of their transaction."""

_WAIT_SECONDS: Final = 1.0
"""How long a follower waits before it looks whether its caller has gone."""


class ReturnBox:
    """A durable queue a recipient: a prefecture ("22") at the nation, a municipality below it.

    Writers are one after the other, so cursors become visible in ascending order. A cursor is the
    instant of its writing (microseconds) or, where that is not past the last one, the next value:
    so a queue restored from a backup goes on beyond every cursor that followers hold of it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._changed = threading.Condition()
        self._generation = 0

    def put(
        self,
        connection: Connection,
        items: Sequence[tuple[str, intake_pb2.FollowReturnsResponse]],
    ) -> None:
        """Queues items by recipient inside the caller's transaction; then call `wake`."""
        if items:
            if connection.dialect.name == "postgresql":
                # Cursors are drawn before the commit: without this a follower could pass over one.
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
            last = connection.scalar(select(func.max(t.return_item.c.cursor))) or 0
            connection.execute(
                insert(t.return_item),
                [
                    {"cursor": cursor, "recipient": to, "payload": item.SerializeToString()}
                    for cursor, (to, item) in enumerate(items, max(last + 1, now_microseconds()))
                ],
            )

    def wake(self) -> None:
        """Tells followers, after the commit, that there is something new."""
        with self._changed:
            self._generation += 1
            self._changed.notify_all()

    def follow(
        self, recipient: str, after_cursor: int, is_active: Callable[[], bool]
    ) -> Iterator[intake_pb2.FollowReturnsResponse]:
        """Every item after the cursor, in order, until `is_active` says no."""
        while is_active():
            generation = self._generation
            page = self._page(recipient, after_cursor)
            for cursor, payload in page:
                item = intake_pb2.FollowReturnsResponse.FromString(payload)
                item.cursor = after_cursor = cursor
                yield item
            if not page:
                with self._changed:
                    if self._generation == generation:
                        self._changed.wait(_WAIT_SECONDS)

    def _page(self, recipient: str, after: int) -> list[tuple[int, bytes]]:
        table = t.return_item
        statement = (
            select(table.c.cursor, table.c.payload)
            .where(table.c.recipient == recipient, table.c.cursor > after)
            .order_by(table.c.cursor)
            .limit(_PAGE)
        )
        with self._engine.connect().execution_options(read_only=True) as connection:
            return [(row.cursor, bytes(row.payload)) for row in connection.execute(statement)]
