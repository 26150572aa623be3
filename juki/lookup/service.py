"""`juki.v1.LookupService`: decide the call as a whole, look up, record, and only then answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import grpc

from juki.audit.port import AuditLog, AuditUnavailable
from juki.audit.pseudonym import Pseudonymiser
from juki.domain.errors import JukiError, Reason
from juki.domain.legal_basis import Decision, Field, LegalBasis, SearchKey, Tier
from juki.index.reading import LookedUp, PersonReader
from juki.index.wire import FieldMask
from juki.lookup import answers
from juki.lookup.metrics import LookupMetrics
from juki.lookup.questions import Keys, Question, RequestReader
from juki.lookup.recording import record_of
from juki.policy.evaluator import MAX_CACHED_DECISIONS, Policy
from juki.rpc.call import current_identity
from juki.rpc.identity import IdentityKind
from juki.v1 import lookup_pb2, lookup_pb2_grpc

LOOKUP_SERVICE: Final = lookup_pb2.DESCRIPTOR.services_by_name["LookupService"].full_name
RAW_METHODS: Final = frozenset({LOOKUP_SERVICE})
"""For `ServerSettings.raw`: every method takes bytes and holds them against the contract itself."""


Given = Callable[[str, LegalBasis, LookedUp], None]
"""Told of an answer that gives codes, by body and basis, before it goes; it may still refuse it."""

Admit = Callable[[str, str, str], None]
"""Given identity, office and operator; refuses them with JukiError (OPERATOR_NOT_REGISTERED)."""


@dataclass(frozen=True, slots=True)
class _Granted:
    """A decision, made ready for many persons."""

    basis: LegalBasis
    decision: Decision
    mask: FieldMask
    withheld: bytes


class LookupService(lookup_pb2_grpc.LookupServiceServicer):
    """The servicer; the server it is added to must name `RAW_METHODS` as raw.

    No answer without a record: what was looked up leaves only after `AuditLog.append` returned. A
    call that policy refuses is recorded as well. Where the record cannot be made durable, the call
    is refused with AUDIT_UNAVAILABLE and nothing is given.
    """

    def __init__(
        self,
        *,
        index: PersonReader,
        policy: Policy,
        audit: AuditLog,
        pseudonymiser: Callable[[], Pseudonymiser],
        clock: Callable[[], int],
        metrics: LookupMetrics,
        tier: Tier = Tier.NATIONAL,
        place: str = "",
        admit: Admit = lambda identity, office, operator: None,
        given: Given | None = None,
    ) -> None:
        """`clock` gives nanoseconds since 1970-01-01 UTC: when a call arrived, as it is decided and
        recorded.

        `pseudonymiser` gives the one of the newest key. `place` says who answers where it is not
        the nation: two digits of a prefecture, six of a municipality. `admit` is asked before
        policy is.
        """
        self._index = index
        self._policy = policy
        self._audit = audit
        self._pseudonymiser = pseudonymiser
        self._clock = clock
        self._metrics = metrics
        self._tier = tier
        self._place = place
        self._admit = admit
        self._given = given
        self._reader = RequestReader()
        self._prepared: dict[tuple[LegalBasis, Decision], _Granted] = {}

    def Lookup(  # type: ignore[override]  # noqa: N802 - bytes in, bytes out; named by the contract
        self, request: bytes, context: grpc.ServicerContext
    ) -> bytes:
        """One person by one key."""
        with self._metrics.stage("parse"):
            question = self._reader.single(request)
        return self._answer(question)

    def BatchLookup(  # type: ignore[override]  # noqa: N802
        self, request: bytes, context: grpc.ServicerContext
    ) -> bytes:
        """Many persons, decided as a whole, recorded as one."""
        with self._metrics.stage("parse"):
            question = self._reader.batch(request)
        return self._answer(question)

    def StreamLookup(  # type: ignore[override]  # noqa: N802
        self, request: bytes, context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        """Decided as a whole at arrival; each chunk is recorded before it is answered.

        What is withheld is named in the first chunk.
        """
        with self._metrics.stage("parse"):
            question, size = self._reader.stream(request)
        arrived = self._clock()
        granted = self._decide(question, arrived)
        withheld = granted.withheld
        for start in range(0, len(question.keys), size):
            part = replace(question, keys=question.keys.part(start, start + size))
            yield answers.chunk(start, self._recorded(part, granted, arrived) + withheld)
            withheld = b""

    def ExchangeLookup(  # type: ignore[override]  # noqa: N802
        self, request_iterator: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        """Each chunk is a question of its own; a refused one ends the stream."""
        for request in request_iterator:
            with self._metrics.stage("parse"):
                question, chunk_id = self._reader.exchange(request)
            yield answers.chunk(chunk_id, self._answer(question))

    def _answer(self, question: Question) -> bytes:
        arrived = self._clock()
        granted = self._decide(question, arrived)
        return self._recorded(question, granted, arrived) + granted.withheld

    def _decide(self, question: Question, arrived: int) -> _Granted:
        """The decision for the whole call; a refusal is recorded, then raised."""
        with self._metrics.stage("decide"):
            try:
                if question.basis is None:
                    raise JukiError(Reason.AFFAIR_UNKNOWN, "no provision, no row of the tables")
                body, via = _asking(question)
                self._admit(body, question.office, question.operator)
                decision = self._policy.decide(
                    body,
                    question.basis,
                    question.fields,
                    question.keys.kind,
                    self._tier,
                    at=arrived,
                    via=via,
                    place=self._place,
                )
            except JukiError as refusal:
                self._record_refusal(question, arrived, refusal.reason)
                raise
            return self._prepare(question.basis, decision)

    def _prepare(self, basis: LegalBasis, decision: Decision) -> _Granted:
        prepared = self._prepared.get((basis, decision))
        if prepared is None:
            prepared = _Granted(
                basis,
                decision,
                FieldMask.of_decision(decision),
                answers.withheld_fields(decision.withheld),
            )
            if len(self._prepared) >= MAX_CACHED_DECISIONS:
                self._prepared.clear()
            self._prepared[basis, decision] = prepared
        return prepared

    def _recorded(self, question: Question, granted: _Granted, arrived: int) -> bytes:
        """The results' bytes; returns only once the record of them is durable."""
        metrics = self._metrics
        with metrics.stage("look_up"):
            looked_up = self._look_up(question.keys, granted.mask)
        with metrics.stage("record"):
            pseudonymiser = self._pseudonymiser()
            self._append(
                question,
                arrived,
                granted_fields=granted.decision.granted,
                pseudonyms=pseudonymiser.pseudonyms(looked_up.ordinals),
                pseudonym_key=pseudonymiser.version,
                outcomes=looked_up.outcomes,
            )
        if self._given is not None and Field.RESIDENT_RECORD_CODE in granted.decision.granted:
            self._given(question.on_behalf_of or current_identity().uri, granted.basis, looked_up)
        metrics.answered(granted.basis, looked_up.outcomes)
        with metrics.stage("join"):
            return answers.results(looked_up)

    def _look_up(self, keys: Keys, mask: FieldMask) -> LookedUp:
        if keys.kind is SearchKey.INDIVIDUAL_NUMBER:
            return self._index.by_individual_number(keys.values, mask)
        if keys.kind is SearchKey.RESIDENT_RECORD_CODE:
            return self._index.by_resident_record_code(keys.values, mask)
        return self._index.by_four_items(keys.four_items, mask)

    def _record_refusal(self, question: Question, arrived: int, reason: Reason) -> None:
        self._metrics.refused(question.basis, reason)
        self._append(question, arrived, refusal=reason)

    def _append(
        self,
        question: Question,
        arrived: int,
        *,
        granted_fields: frozenset[Field] = frozenset(),
        refusal: Reason | None = None,
        pseudonyms: bytes = b"",
        pseudonym_key: int = 0,
        outcomes: bytes = b"",
    ) -> None:
        """Returns once the record is durable; raises AuditUnavailable."""
        caller = current_identity()
        asks_for_another = caller.kind is IdentityKind.PREFECTURE_SERVER
        body = question.on_behalf_of if asks_for_another else caller.uri
        record = replace(
            record_of(question, body, arrived),
            granted_fields=granted_fields,
            refusal=refusal,
            pseudonyms=pseudonyms,
            pseudonym_key=pseudonym_key,
            outcomes=outcomes,
            via=caller.uri if asks_for_another else "",
        )
        try:
            self._audit.append(record)
        except AuditUnavailable as unavailable:
            self._metrics.refused(question.basis, unavailable.reason)
            raise


def _asking(question: Question) -> tuple[str, str | None]:
    """Identity of the body that asks, and of the governor's server by way of which it does.

    Raises JukiError (ROUTE_NOT_PERMITTED): a prefectural server asks for others only, nobody else
    does.
    """
    caller = current_identity()
    asks_for_another = caller.kind is IdentityKind.PREFECTURE_SERVER
    if asks_for_another != bool(question.on_behalf_of):
        raise JukiError(
            Reason.ROUTE_NOT_PERMITTED,
            "only governors' servers ask for others, and only so",
        )
    return (question.on_behalf_of, caller.uri) if asks_for_another else (caller.uri, None)
