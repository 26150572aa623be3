"""Designates Individual Numbers for residents entered without one (My Number Act Art. 7(1))."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import structlog

from cs_gateway.group import Designation
from cs_gateway.ports import Upstream
from cs_gateway.progress import Progress
from cs_gateway.records import Resident
from cs_gateway.store import GatewayStore
from cs_gateway.writer import StreamWriter
from juki.domain.codes import IndividualNumber
from juki.domain.errors import JukiError, Reason

_LOG: Final = structlog.get_logger(__name__)
_BATCH: Final = 500
_IDLE_SECONDS: Final = 1.0
_CALL_SECONDS: Final = 10.0
_WRITE_SECONDS: Final = 60.0
_REFUSED_AGAIN_AFTER_SECONDS: Final = 60.0
"""When a code that the nation refused is asked for again: what it waited for may have come."""

_OF_THE_CODE: Final = frozenset({Reason.CODE_NOT_ALLOTTED, Reason.INVALID_FIELD})
"""Refusals that speak of a code; any other is the state of a neighbour, and passes."""


class NumberDesignation:
    """One round asks for the numbers of one batch of residents and has them written.

    A code for which the nation refuses a number must not hold up the others: a refused batch is
    halved until the refused code stands alone, and is passed over.
    """

    def __init__(
        self,
        municipality: str,
        store: GatewayStore,
        writer: StreamWriter,
        upstream: Upstream,
        progress: Progress,
    ) -> None:
        self._municipality = municipality
        self._store = store
        self._writer = writer
        self._upstream = upstream
        self._progress = progress
        self._after = b""
        self._refused: set[bytes] = set()
        self._refused_at = 0.0

    def work(self) -> None:
        """Waits until numbers are pending, then designates a batch.

        Raises:
            JukiError: Why no number can be had now, whatever the code.
        """
        version, standing = self._progress.version, self._progress.standing
        if standing.numbers_pending <= len(self._refused):
            self._progress.wait(version, _IDLE_SECONDS)
            if time.monotonic() - self._refused_at >= _REFUSED_AGAIN_AFTER_SECONDS:
                self._refused.clear()
            return
        batch = self._store.residents_without_number(_BATCH, self._after)
        if not batch:
            if self._after == b"":
                self._progress.wait(version, _IDLE_SECONDS)
            # Round again from the start: refused codes are tried once per turn.
            self._after = b""
            self._refused.clear()
            return
        self._designate(batch)
        self._after = batch[-1].record_key

    def _designate(self, batch: Sequence[Resident]) -> None:
        codes = [int(resident.information.resident_record_code) for resident in batch]
        try:
            numbers = self._upstream.generate_numbers(self._municipality, codes, _CALL_SECONDS)
        except JukiError as error:
            if error.reason not in _OF_THE_CODE:
                raise
            if len(batch) == 1:
                self._refused.add(batch[0].record_key)
                self._refused_at = time.monotonic()
                _LOG.error("number_refused", reason=error.reason.value)
                return
            half = len(batch) // 2
            self._designate(batch[:half])
            self._designate(batch[half:])
            return
        designations = [
            Designation(
                resident.record_key, resident.code_key, IndividualNumber.from_int(number).digits
            )
            for resident, number in zip(batch, numbers, strict=True)
        ]
        self._writer.write(designations).result(_WRITE_SECONDS)
