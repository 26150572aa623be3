"""Data keys wrapped anew when the token's wrapping key has been rotated; what they seal stays."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Protocol

import structlog
from sqlalchemy import Column, Engine, and_, select, update

from juki.custody.port import WRAPPING, KeyGenerations
from juki.worker import Worker

_LOOK_AGAIN_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class RewrappingCustody(Protocol):
    """What is needed of custody; see `juki.custody.port.Custody`."""

    def rewrap_data_key(self, wrapping_key: str, wrapped: bytes) -> bytes:
        """The same data key wrapped by the generation in use."""
        ...

    def generations(self, key: str) -> KeyGenerations:
        """The generations of a key."""
        ...


def rewrap_column(engine: Engine, column: Column[bytes], custody: RewrappingCustody) -> int:
    """Wraps each data key of a column anew where it is not under the generation in use.

    Gives how many were; raises what custody raises. A value that changed meanwhile is left as it
    is: whoever changed it had it wrapped a moment ago.
    """
    keys = list(column.table.primary_key)
    with engine.connect().execution_options(read_only=True) as connection:
        rows = connection.execute(select(*keys, column)).all()
    changed = 0
    for row in rows:
        held = bytes(row[-1])
        anew = custody.rewrap_data_key(WRAPPING, held)
        if anew == held:
            continue
        place = and_(*(key == value for key, value in zip(keys, row[:-1], strict=True)))
        with engine.begin() as connection:
            changed += connection.execute(
                update(column.table).where(place, column == held).values({column.name: anew})
            ).rowcount
    return changed


class Rewrapping:
    """Looks each second whether the wrapping key has been rotated, and wraps anew once it has."""

    def __init__(self, engine: Engine, column: Column[bytes], custody: RewrappingCustody) -> None:
        self._engine = engine
        self._column = column
        self._custody = custody
        self._woken = threading.Event()
        self._under: str | None = None
        """The generation under which every data key is known to be wrapped."""

    def work(self) -> None:
        """A worker's round; raises what custody raises, and the next round tries again."""
        current = self._custody.generations(WRAPPING).current
        if current != self._under:
            changed = rewrap_column(self._engine, self._column, self._custody)
            if changed:
                _log.info("data keys wrapped anew", count=changed, under=current)
            self._under = current
        self._woken.wait(_LOOK_AGAIN_SECONDS)

    def wake(self) -> None:
        """Ends the pause between two rounds."""
        self._woken.set()


def start_rewrapping(
    stack: ExitStack, engine: Engine, column: Column[bytes], custody: RewrappingCustody
) -> None:
    """Starts the thread that keeps a column of wrapped data keys; the stack stops it."""
    rewrapping = Rewrapping(engine, column, custody)
    worker = Worker("rewrapping", rewrapping.work, wake=rewrapping.wake)
    worker.start()
    stack.callback(worker.close)
