"""Puts one gateway's parts together over ports that the composition root chose."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from cs_gateway.code_pool import CodePool
from cs_gateway.designation import NumberDesignation
from cs_gateway.drop_folder import DropFolder
from cs_gateway.events import EventChecker
from cs_gateway.intake import Intake
from cs_gateway.metrics import GatewayMetrics
from cs_gateway.outbox import Outbox
from cs_gateway.ports import Clock, GatewayCustody, RandomSource, ReceiptVerifier, Upstream
from cs_gateway.progress import Progress
from cs_gateway.relay import Relay
from cs_gateway.remaking import NumberRemaking
from cs_gateway.replenishment import PoolMarks, Replenishment
from cs_gateway.returns import Returns
from cs_gateway.signing import StreamSigner
from cs_gateway.standing import read_standing
from cs_gateway.store import open_store
from cs_gateway.writer import StreamWriter
from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import JukiError, Reason
from juki.store.engine import now_microseconds
from juki.worker import Worker

_LOG: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """Whose gateway it is, and its marks."""

    municipality: LocalGovernmentCode
    trust_domain: str = "juki.example"
    marks: PoolMarks = field(default_factory=PoolMarks)

    @property
    def prefecture_identity(self) -> str:
        """URI of the prefectural server."""
        return f"spiffe://pref{self.municipality.prefecture}.{self.trust_domain}/server"

    @property
    def national_identity(self) -> str:
        """URI of the national server."""
        return f"spiffe://national.{self.trust_domain}/server"


class Gateway:
    """One municipality's gateway, without its server."""

    def __init__(
        self,
        options: GatewayOptions,
        *,
        engine: Engine,
        custody: GatewayCustody,
        upstream: Upstream,
        verify: ReceiptVerifier,
        registry: CollectorRegistry,
        clock: Clock = now_microseconds,
        choices: RandomSource | None = None,
    ) -> None:
        """`engine` is a migrated database; see `juki.store.engine.migrate`."""
        municipality = options.municipality.digits
        self.store = open_store(engine, custody, municipality)
        self.progress = Progress(read_standing(self.store))
        self.metrics = GatewayMetrics(registry)
        self.metrics.follow(self.progress)
        self.signer = StreamSigner(custody)
        self.outbox = Outbox(self.store)
        self.pool = CodePool(self.store, choices or random.SystemRandom(), clock, self.progress)
        self.writer = StreamWriter(
            municipality=municipality,
            store=self.store,
            signer=self.signer,
            pool=self.pool,
            clock=clock,
            progress=self.progress,
            metrics=self.metrics,
        )
        self.intake = Intake(
            municipality=municipality,
            checker=EventChecker(options.municipality, self.store.sealer),
            pool=self.pool,
            writer=self.writer,
            upstream=upstream,
            remaking=NumberRemaking(municipality, self.store, upstream),
            metrics=self.metrics,
        )
        self._relay = Relay(
            municipality=municipality,
            prefecture_identity=options.prefecture_identity,
            outbox=self.outbox,
            signer=self.signer,
            upstream=upstream,
            verify=verify,
            clock=clock,
            progress=self.progress,
            metrics=self.metrics,
            halt=self.writer.halt,
        )
        returns = Returns(
            municipality=municipality,
            national_identity=options.national_identity,
            store=self.store,
            outbox=self.outbox,
            upstream=upstream,
            verify=verify,
            clock=clock,
            progress=self.progress,
            metrics=self.metrics,
        )
        replenishment = Replenishment(
            municipality, self.pool, upstream, options.marks, self.metrics
        )
        designation = NumberDesignation(
            municipality, self.store, self.writer, upstream, self.progress
        )
        self._workers = [
            Worker("relay", self._relay.work, failed=self._failed),
            Worker("returns", returns.work, wake=upstream.close_returns, failed=self._failed),
            Worker("replenishment", replenishment.work, wake=self.pool.wake, failed=self._failed),
            Worker("designation", designation.work, failed=self._failed),
        ]
        self._clock = clock

    def watch(self, folder: DropFolder, poll_seconds: float) -> None:
        """Takes in the files of a drop folder, once started."""
        self._workers.append(folder.worker(poll_seconds))

    def start(self) -> None:
        """Starts every thread.

        Asks the prefecture first whether it holds more of the stream; without its answer the
        gateway works on, since events must not wait for the network.
        """
        try:
            self._relay.check_head()
        except JukiError as error:
            _LOG.warning("head_not_confirmed", reason=error.reason.value)
        self.writer.start()
        for worker in self._workers:
            worker.start()

    def close(self) -> None:
        """Ends every thread; what was acknowledged is durable."""
        self.progress.close()
        for worker in reversed(self._workers):
            worker.close()
        self.writer.close()

    def _failed(self, reason: Reason) -> None:
        self.metrics.worker_failures.labels(reason.value).inc()
