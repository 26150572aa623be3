"""Which prefectures have said, since the start, what they hold of the nation's grants.

The nation cannot know by itself that its database was restored from a backup. It therefore takes
nothing in from a prefecture, nor gives it anything, before that prefecture has told the serial of
the last grant that it holds. Where that is more than is known here, grants were lost: then nothing
is taken in from anybody before every prefecture has brought back its own, since a person's number
may have been given through another prefecture than the one that notifies. New codes are drawn only
once every prefecture has confirmed, whether anything was lost or not: a forgotten code must not be
allotted twice, and pools at the gateways last meanwhile.
"""

from __future__ import annotations

import threading

import structlog
from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy import Engine, select

from juki.domain.errors import JukiError, Reason
from national_server import tables as t

_LOG = structlog.get_logger(__name__)


class Confirmations:
    """Safe for many threads; forgotten with the process, since a restore needs a restart."""

    def __init__(self, engine: Engine, registry: CollectorRegistry) -> None:
        """Awaits each prefecture that was given something or has a stream here."""
        self._lock = threading.Lock()
        self._awaited = _known_prefectures(engine)
        self._confirmed: set[str] = set()
        self._lost_grants = False
        gauge = Gauge(
            "juki_grants_awaited_prefectures",
            "Prefectures that have not confirmed the nation's grants since its start.",
            registry=registry,
        )
        gauge.set_function(lambda: len(self._awaited))

    def lost(self, prefecture: str) -> None:
        """The prefecture holds grants that are not known here."""
        with self._lock:
            if not self._lost_grants:
                _LOG.critical("grants_lost", prefecture=prefecture, hint="restored from a backup")
            self._lost_grants = True
            self._confirmed.discard(prefecture)
            self._awaited.add(prefecture)

    def confirmed(self, prefecture: str) -> None:
        """Nothing that the prefecture holds is unknown here."""
        with self._lock:
            self._confirmed.add(prefecture)
            self._awaited.discard(prefecture)

    def awaited_for_intake(self) -> int:
        """How many prefectures hold everybody up; 0 unless grants were lost."""
        with self._lock:
            return len(self._awaited) if self._lost_grants else 0

    def require(self, prefecture: str) -> None:
        """Returns if the prefecture may submit and be given something.

        Raises:
            JukiError: GRANTS_NOT_CONFIRMED.
        """
        with self._lock:
            if prefecture not in self._confirmed or (self._lost_grants and self._awaited):
                raise _not_confirmed(len(self._awaited))

    def require_everyone(self) -> None:
        """Returns if no prefecture is awaited any more.

        Raises:
            JukiError: GRANTS_NOT_CONFIRMED.
        """
        with self._lock:
            if self._awaited:
                raise _not_confirmed(len(self._awaited))


def _not_confirmed(awaited: int) -> JukiError:
    return JukiError(
        Reason.GRANTS_NOT_CONFIRMED,
        "the nation waits to hear what prefectures hold of its grants",
        {"awaited_prefectures": str(awaited)},
    )


def _known_prefectures(engine: Engine) -> set[str]:
    stream = t.metadata.tables["stream"]
    with engine.connect().execution_options(read_only=True) as connection:
        given = connection.scalars(select(t.grant_serial.c.prefecture)).all()
        streams = connection.scalars(select(stream.c.municipality)).all()
    return {*given, *(municipality[:2] for municipality in streams)}
