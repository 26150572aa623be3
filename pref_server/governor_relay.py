"""Passes look-ups of the bodies of this prefecture's municipalities on, by way of the governor.

Act Art. 30-12 (1)(i) and (iv) to the nation, 30-13 (3) to the prefecture that keeps the person. It
is durable in this server's audit log that a call is passed on before it goes; whom it was about is
not written here: whoever answers records that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import grpc

from juki.audit.port import AuditLog
from juki.domain.errors import JukiError, Reason
from juki.lookup.questions import Question, RequestReader
from juki.lookup.recording import record_of
from juki.lookup.service import Admit
from juki.policy.evaluator import Policy
from juki.rpc.call import current_identity, seconds_left
from juki.rpc.errors import refusals_of_peer
from juki.v1 import lookup_pb2_grpc, relay_pb2, relay_pb2_grpc

RELAY_SERVICE: Final = relay_pb2.DESCRIPTOR.services_by_name["GovernorRelayService"].full_name


class GovernorRelay(relay_pb2_grpc.GovernorRelayServiceServicer):
    """Served to registered bodies whose governor this server is of."""

    def __init__(
        self,
        *,
        identity: str,
        policy: Policy,
        audit: AuditLog,
        answerers: Mapping[str, tuple[str, lookup_pb2_grpc.LookupServiceStub]],
        clock: Callable[[], int],
        admit: Admit = lambda identity, office, operator: None,
    ) -> None:
        """`answerers` gives identity and service of the nation ("") and of other prefectures, by
        their two digits; `clock` nanoseconds since 1970-01-01 UTC. `admit` refuses departments and
        operators that the body has not registered.
        """
        self._identity = identity
        self._policy = policy
        self._audit = audit
        self._answerers = answerers
        self._clock = clock
        self._admit = admit
        self._reader = RequestReader()

    def RelayLookup(  # noqa: N802 - the name of the contract
        self, request: relay_pb2.RelayLookupRequest, context: grpc.ServicerContext
    ) -> relay_pb2.RelayLookupResponse:
        """One person by one key."""
        question = self._reader.single(request.lookup.SerializeToString())
        stub = self._recorded(question, request.prefecture)
        request.lookup.context.on_behalf_of = current_identity().uri
        with refusals_of_peer():
            answer = stub.Lookup(request.lookup, timeout=seconds_left(context))
        return relay_pb2.RelayLookupResponse(answer=answer)

    def RelayBatchLookup(  # noqa: N802
        self, request: relay_pb2.RelayBatchLookupRequest, context: grpc.ServicerContext
    ) -> relay_pb2.RelayBatchLookupResponse:
        """Many persons, decided as a whole where it is answered."""
        question = self._reader.batch(request.batch.SerializeToString())
        stub = self._recorded(question, request.prefecture)
        request.batch.context.on_behalf_of = current_identity().uri
        with refusals_of_peer():
            answer = stub.BatchLookup(request.batch, timeout=seconds_left(context))
        return relay_pb2.RelayBatchLookupResponse(answer=answer)

    def _recorded(self, question: Question, prefecture: str) -> lookup_pb2_grpc.LookupServiceStub:
        """Whom to ask, once it is durable that the call is passed on, or refused.

        Raises:
            JukiError: AGENCY_NOT_REGISTERED, OPERATOR_NOT_REGISTERED, ROUTE_NOT_PERMITTED;
                AUDIT_UNAVAILABLE.
        """
        try:
            answerer, stub = self._answerer(question, prefecture)
        except JukiError as refusal:
            self._append(question, refusal=refusal.reason)
            raise
        self._append(question, passed_on_to=answerer)
        return stub

    def _answerer(
        self, question: Question, prefecture: str
    ) -> tuple[str, lookup_pb2_grpc.LookupServiceStub]:
        agency = self._policy.registry.agencies.get(current_identity().uri)
        if agency is None:
            raise JukiError(Reason.AGENCY_NOT_REGISTERED, "the caller is not a registered body")
        self._admit(agency.identity, question.office, question.operator)
        if agency.governor != self._identity or question.on_behalf_of:
            raise JukiError(
                Reason.ROUTE_NOT_PERMITTED, "a body asks for itself, by way of its own governor"
            )
        answerer = self._answerers.get(prefecture)
        if answerer is None:
            raise JukiError(Reason.ROUTE_NOT_PERMITTED, "nobody is known here who answers that")
        return answerer

    def _append(
        self, question: Question, *, passed_on_to: str = "", refusal: Reason | None = None
    ) -> None:
        asked = record_of(question, current_identity().uri, self._clock())
        self._audit.append(replace(asked, refusal=refusal, passed_on_to=passed_on_to))
