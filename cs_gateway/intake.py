"""Takes in the register's events: checks them, reserves codes, and hands them to the writer.

Numbers: an event handed in by file, or together with more than `PREFETCH_ABOVE` first-time
entries, asks the nation for the new residents' Individual Numbers before it is written, with a
short deadline. Everything else is written without, and designated in the background
(`cs_gateway.designation`): an entry is valid before its number exists. A change of number waits for
the nation (`cs_gateway.remaking`), after all that was handed in before it is durable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

import structlog

from cs_gateway.code_pool import CodePool
from cs_gateway.events import EventChecker, PreparedEvent
from cs_gateway.group import Written
from cs_gateway.metrics import GatewayMetrics
from cs_gateway.ports import Upstream
from cs_gateway.remaking import NumberRemaking
from cs_gateway.writer import StreamWriter
from juki.domain.codes import IndividualNumber
from juki.domain.errors import JukiError, Reason
from juki.v1 import register_pb2

_LOG: Final = structlog.get_logger(__name__)
PREFETCH_ABOVE: Final = 50
"""First-time entries in one call above which their numbers are asked for before writing."""

PREFETCH_SECONDS: Final = 3.0
RESERVE_SECONDS: Final = 5.0
"""How long events wait for the pool to be refilled."""

_WRITE_SECONDS: Final = 60.0


@dataclass(slots=True)
class PendingOutcomes:
    """Outcomes of events that were handed to the writer."""

    _refusals: list[Reason | None]
    _futures: list[Future[list[Written]]]
    _source: str
    _metrics: GatewayMetrics

    def wait(self, timeout: float = _WRITE_SECONDS) -> list[Written]:
        """One outcome for each event, in order, once all accepted ones are durable.

        Raises:
            JukiError: CUSTODY_UNAVAILABLE, STORE_UNAVAILABLE or OVERLOADED; nothing was written, or
                it is not known: repeating the events is safe.
        """
        written: list[Written] = []
        for future in self._futures:
            written += _result(future, timeout)
        remaining = iter(written)
        outcomes = [
            Written(refusal) if refusal is not None else next(remaining)
            for refusal in self._refusals
        ]
        for outcome, count in Counter(map(_label, outcomes)).items():
            self._metrics.count_event(self._source, outcome, count)
        return outcomes


class Intake:
    """The way in, for calls and for files."""

    def __init__(
        self,
        *,
        municipality: str,
        checker: EventChecker,
        pool: CodePool,
        writer: StreamWriter,
        upstream: Upstream,
        remaking: NumberRemaking,
        metrics: GatewayMetrics,
        reserve_seconds: float = RESERVE_SECONDS,
    ) -> None:
        self._municipality = municipality
        self._checker = checker
        self._pool = pool
        self._writer = writer
        self._upstream = upstream
        self._remaking = remaking
        self._metrics = metrics
        self._reserve_seconds = reserve_seconds

    def hand_in(self, events: Sequence[register_pb2.RegisterEvent], source: str) -> PendingOutcomes:
        """Hands events in, in order; `source` is "rpc" or "file"."""
        refusals: list[Reason | None] = []
        prepared: list[PreparedEvent] = []
        futures: list[Future[list[Written]]] = []
        for event in events:
            one = self._prepare(event, refusals)
            if one is None:
                continue
            if one.reason.remakes_number:
                futures += self._write(prepared, source)
                prepared = []
                # The writer works in order: once it comes to nothing, all before is durable.
                _result(self._writer.write([]), _WRITE_SECONDS)
                if not self._fetch_remade(one, refusals):
                    continue
            prepared.append(one)
        futures += self._write(prepared, source)
        return PendingOutcomes(refusals, futures, source, self._metrics)

    def _prepare(
        self, event: register_pb2.RegisterEvent, refusals: list[Reason | None]
    ) -> PreparedEvent | None:
        try:
            one = self._checker.prepare(event)
        except JukiError as error:
            refusals.append(error.reason)
            return None
        refusals.append(None)
        return one

    def _fetch_remade(self, event: PreparedEvent, refusals: list[Reason | None]) -> bool:
        try:
            self._remaking.fetch(event)
        except JukiError as error:
            refusals[-1] = error.reason
        return refusals[-1] is None

    def _write(self, prepared: list[PreparedEvent], source: str) -> list[Future[list[Written]]]:
        if not prepared:
            return []
        self._reserve_codes(prepared, source)
        return [self._writer.write(prepared)]

    def _reserve_codes(self, prepared: list[PreparedEvent], source: str) -> None:
        wanting = [event for event in prepared if event.may_need_code]
        if not wanting:
            return
        codes = self._pool.reserve(len(wanting), self._reserve_seconds)
        # Fewer codes than wanted: the last events stay without and are refused by the writer.
        for event, code in zip(wanting, codes, strict=False):
            event.code = code
        if codes and (source == "file" or len(codes) > PREFETCH_ABOVE):
            self._fetch_numbers(wanting[: len(codes)])

    def _fetch_numbers(self, events: list[PreparedEvent]) -> None:
        codes = [int(event.code.digits) for event in events if event.code is not None]
        try:
            numbers = self._upstream.generate_numbers(self._municipality, codes, PREFETCH_SECONDS)
            digits = [IndividualNumber.from_int(number).digits for number in numbers]
            for event, number in zip(events, digits, strict=True):
                event.number = number
        except (JukiError, ValueError) as error:
            reason = error.reason.value if isinstance(error, JukiError) else "INVALID_ANSWER"
            _LOG.warning("numbers_not_prefetched", entries=len(events), reason=reason)


def _result(future: Future[list[Written]], timeout: float) -> list[Written]:
    try:
        return future.result(timeout)
    except TimeoutError:
        raise JukiError(Reason.OVERLOADED, "the events have not been written yet") from None


def _label(outcome: Written) -> str:
    if outcome.refusal is not None:
        return outcome.refusal.value
    return "repeated" if outcome.repeated else "taken"
