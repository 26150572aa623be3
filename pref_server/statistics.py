"""`juki.v1.StatisticsService`: totals for the governor's statistics, never a word of one person.

Act Art. 30-15 (1)(iv). Decided as a look-up is and recorded before it is answered, without persons:
nobody's information is given.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Mapping
from typing import Final, cast

import grpc

from juki.audit.port import AuditLog, AuditRecord
from juki.domain.errors import JukiError, Reason
from juki.domain.legal_basis import Field, LegalBasis, Manner, Tier
from juki.domain.municipalities import register_keepers
from juki.lookup.service import Admit
from juki.policy.calendar import date_of, day_number
from juki.policy.evaluator import Policy
from juki.rpc.call import current_identity
from juki.v1 import identification_pb2, statistics_pb2, statistics_pb2_grpc
from pref_server.residents import CELLS, Cell

STATISTICS_SERVICE: Final = statistics_pb2.DESCRIPTOR.services_by_name[
    "StatisticsService"
].full_name
BASIS: Final = LegalBasis("30-15(1)(iv)")
SUPPRESSED_BELOW: Final = 5
"""Fewer residents than this in a cell may be recognised; the Act names no figure, this is ours."""

_NEEDED: Final = frozenset({Field.BIRTH_DATE, Field.SEX, Field.ADDRESS})

Count = Callable[[str, datetime.date], Mapping[Cell, int]]
"""Residents of a municipality (six digits) by their age on a day."""


class Statistics(statistics_pb2_grpc.StatisticsServiceServicer):
    """Served to the governor's offices, as policy registers them."""

    def __init__(
        self,
        *,
        prefecture: str,
        policy: Policy,
        audit: AuditLog,
        count: Count,
        clock: Callable[[], int],
        admit: Admit = lambda identity, office, operator: None,
    ) -> None:
        """`prefecture` is two digits; `clock` nanoseconds since 1970-01-01 UTC."""
        self._prefecture = prefecture
        self._municipalities = register_keepers(prefecture)
        self._policy = policy
        self._audit = audit
        self._count = count
        self._clock = clock
        self._admit = admit
        self._counting = threading.Lock()
        self._day = datetime.date.min
        self._counted: dict[str, Mapping[Cell, int]] = {}

    def CountResidents(  # noqa: N802 - the name of the contract
        self, request: statistics_pb2.CountResidentsRequest, context: grpc.ServicerContext
    ) -> statistics_pb2.CountResidentsResponse:
        """A municipality's residents by sex and age band.

        Raises:
            JukiError: What `Policy.decide` raises; UNKNOWN_MUNICIPALITY; AUDIT_UNAVAILABLE.
        """
        arrived = self._clock()
        try:
            granted = self._decide(request, arrived)
        except JukiError as refusal:
            self._append(request, arrived, refusal=refusal.reason)
            raise
        day = date_of(day_number(arrived))
        counts = self._counted_on(day, request.municipality)
        self._append(request, arrived, granted=granted)
        return statistics_pb2.CountResidentsResponse(
            as_at=identification_pb2.CalendarDate(year=day.year, month=day.month, day=day.day),
            suppressed_below=SUPPRESSED_BELOW,
            counts=[_told(cell, counts.get(cell, 0)) for cell in CELLS],
        )

    def _decide(
        self, request: statistics_pb2.CountResidentsRequest, arrived: int
    ) -> frozenset[Field]:
        body = current_identity().uri
        self._admit(body, request.office, request.operator)
        decision = self._policy.decide(
            body,
            BASIS,
            _NEEDED,
            None,
            Tier.PREFECTURAL,
            at=arrived,
            place=self._prefecture,
            manner=Manner.STATISTICS,
        )
        if decision.granted != _NEEDED:
            raise JukiError(Reason.AFFAIR_NOT_GRANTED, "sex, age and address are not all granted")
        if request.municipality not in self._municipalities:
            raise JukiError(
                Reason.UNKNOWN_MUNICIPALITY, "no such municipality keeps a register here"
            )
        return decision.granted

    def _counted_on(self, day: datetime.date, municipality: str) -> Mapping[Cell, int]:
        """Counted once a day: the difference of two counts would tell of the one who came between.

        One count at a time: each opens a municipality's whole register.
        """
        with self._counting:
            # A call that arrived before midnight and counts after it must not undo the change.
            if day < self._day:
                return self._count(municipality, day)
            if day > self._day:
                self._day, self._counted = day, {}
            if municipality not in self._counted:
                self._counted[municipality] = self._count(municipality, day)
            return self._counted[municipality]

    def _append(
        self,
        request: statistics_pb2.CountResidentsRequest,
        arrived: int,
        *,
        granted: frozenset[Field] = frozenset(),
        refusal: Reason | None = None,
    ) -> None:
        self._audit.append(
            AuditRecord(
                time_unix_nanos=arrived,
                body_identity=current_identity().uri,
                request_id=request.request_id,
                affair=None,
                search_key=None,
                office=request.office,
                operator=request.operator,
                article=BASIS.provision,
                requested_fields=_NEEDED,
                granted_fields=granted,
                refusal=refusal,
            )
        )


def _told(cell: Cell, residents: int) -> statistics_pb2.ResidentCount:
    few = residents < SUPPRESSED_BELOW
    return statistics_pb2.ResidentCount(
        sex=cast("identification_pb2.Sex.ValueType", int(cell.sex)),
        youngest=cell.youngest,
        residents=0 if few else residents,
        suppressed=few,
    )
