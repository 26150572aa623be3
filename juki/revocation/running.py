"""A server's revocation as a whole: loaded, brought up to date, kept so, and acted on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from typing import Final

import grpc
import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from juki.custody.port import RevocationSource
from juki.domain.errors import JukiError
from juki.revocation.book import RevocationBook
from juki.revocation.metrics import RevocationMetrics
from juki.revocation.service import RevocationServicer
from juki.revocation.spreading import ListExchange, OwnList
from juki.rpc.server import JukiServer
from juki.v1 import revocation_pb2_grpc
from juki.worker import Worker

_WATCH_SECONDS: Final = 1.0
_WARN_BELOW: Final = 0.5
"""Of a list's validity left: renewals, due after a small part of it, have failed for long."""

_LOG: Final = structlog.get_logger(__name__)


class Revocation:
    """The lists of a server and the threads that keep them; its book is asked by everything."""

    def __init__(
        self,
        *,
        engine: Engine,
        roots_der: list[bytes],
        clock: Callable[[], datetime],
        registry: CollectorRegistry,
        custody: RevocationSource | None = None,
        above: grpc.Channel | None = None,
    ) -> None:
        """`custody` where the host has an issuing authority; `above` to the tier above.

        Loads what was stored, looks into custody, and asks the tier above once, which may be away.
        Raises what custody raises: without its own list a server can serve nobody.
        """
        self.book = RevocationBook(engine, roots_der, clock)
        self._clock = clock
        self._metrics = RevocationMetrics(registry, clock)
        self._workers: list[Worker] = []
        self._stopped = threading.Event()
        self._warned: set[tuple[bytes, int]] = set()
        self.book.on_change(self._metrics.follow)
        self.book.load()
        for one in self.book.lists():
            self._metrics.follow(one)
        if custody is not None:
            own = OwnList(custody, self.book, self._metrics.refused)
            own.take()
            self._workers.append(Worker("revocation-own", own.work, wake=own.wake))
        if above is not None:
            stub = revocation_pb2_grpc.RevocationServiceStub(above)
            exchange = ListExchange(stub, self.book, self._metrics.refused)
            try:
                exchange.exchange()
            except JukiError as error:
                _LOG.warning("revocation_lists_not_fetched_yet", reason=error.reason.value)
            self._workers.append(Worker("revocation-exchange", exchange.work, wake=exchange.wake))

    def start(self, stack: ExitStack, server: JukiServer, *, serves: bool) -> None:
        """Acts on new lists from now on; with `serves`, passes them to those who call."""
        if serves:
            revocation_pb2_grpc.add_RevocationServiceServicer_to_server(
                RevocationServicer(self.book, self._metrics.refused), server.grpc_server
            )
        self.book.on_change(lambda _: server.cut_revoked())

        def watch() -> None:
            server.cut_revoked()
            self.warn_of_age()
            self.book.store_pending()
            self._stopped.wait(_WATCH_SECONDS)

        self._workers.append(Worker("revocation-watch", watch, wake=self._stopped.set))
        for worker in self._workers:
            worker.start()
            stack.callback(worker.close)

    def warn_of_age(self) -> None:
        """Says once of each list that it is not renewed, long before it refuses everyone."""
        for one in self.book.lists():
            left = one.next_update - self._clock()
            known = (one.issuer_key_id, one.number)
            if left < (one.next_update - one.this_update) * _WARN_BELOW and (
                known not in self._warned
            ):
                self._warned.add(known)
                _LOG.error(
                    "revocation_list_not_renewed",
                    authority=one.authority,
                    seconds_left=int(left.total_seconds()),
                )

    def probe(self, host: str) -> Callable[[], None]:
        """A health probe: a fresh list covers identities of this host, its own among them."""
        return lambda: self.book.refuse_stale(host)
