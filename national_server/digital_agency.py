"""Tells a body of codes that it was given and that have changed (Art. 30-9-2 (2))."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Final

import grpc

from juki.audit.port import AuditLog, AuditRecord
from juki.audit.pseudonym import Pseudonymiser
from juki.domain.errors import JukiError, Reason
from juki.domain.legal_basis import Field, LegalBasis, Manner, Tier
from juki.domain.outcome import Outcome
from juki.lookup.service import Admit
from juki.policy.evaluator import Policy
from juki.rpc.call import current_identity
from juki.v1 import digital_agency_pb2 as pb
from juki.v1 import digital_agency_pb2_grpc
from national_server.given_codes import CodeChange, GivenCodes

DIGITAL_AGENCY_SERVICE: Final = pb.DESCRIPTOR.services_by_name["DigitalAgencyService"].full_name
GIVES: Final = "30-9-2(1)"
"""The provision under which codes are given that are told when they change."""

_BASIS: Final = LegalBasis("30-9-2(2)")
_CODE: Final = frozenset({Field.RESIDENT_RECORD_CODE})
_ROUND_SECONDS: Final = 1.0


class DigitalAgencyServicer(digital_agency_pb2_grpc.DigitalAgencyServiceServicer):
    """The servicer; what is sent is recorded durably first, each time it is sent."""

    def __init__(
        self,
        *,
        given: GivenCodes,
        policy: Policy,
        admit: Admit,
        audit: AuditLog,
        pseudonymiser: Callable[[], Pseudonymiser],
        clock: Callable[[], int],
    ) -> None:
        """`clock` gives nanoseconds since 1970-01-01 UTC."""
        self._given = given
        self._policy = policy
        self._admit = admit
        self._audit = audit
        self._pseudonymiser = pseudonymiser
        self._clock = clock
        self._changed = threading.Condition()
        given.on_change = self._tell

    def FollowCodeChanges(  # noqa: N802 - the name of the contract
        self, request: pb.FollowCodeChangesRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.FollowCodeChangesResponse]:
        """What is not acknowledged, then further changes as they happen; decided each time.

        Raises:
            JukiError: What `Policy.decide` raises; AUDIT_UNAVAILABLE; STORE_UNAVAILABLE.
        """
        body = current_identity().uri
        sent: set[str] = set()
        while context.is_active():
            self._decide(request, body)
            changes = self._given.changed(body, sent)
            if not changes:
                with self._changed:
                    self._changed.wait(_ROUND_SECONDS)
                continue
            self._append(request, body, changes)
            sent.update(one.key for one in changes)
            yield pb.FollowCodeChangesResponse(changes=map(_told, changes))

    def AcknowledgeCodeChanges(  # noqa: N802
        self, request: pb.AcknowledgeCodeChangesRequest, context: grpc.ServicerContext
    ) -> pb.AcknowledgeCodeChangesResponse:
        """These changes are durable with the caller."""
        self._given.acknowledge(current_identity().uri, request.deduplication_keys)
        return pb.AcknowledgeCodeChangesResponse()

    def _decide(self, request: pb.FollowCodeChangesRequest, body: str) -> None:
        at = self._clock()
        try:
            self._admit(body, request.office, request.operator)
            decision = self._policy.decide(
                body, _BASIS, _CODE, None, Tier.NATIONAL, at=at, manner=Manner.PUSH
            )
            if decision.granted != _CODE:
                raise JukiError(Reason.AFFAIR_NOT_GRANTED, "the caller is not granted the code")
        except JukiError as refusal:
            self._append(request, body, (), refusal.reason)
            raise

    def _append(
        self,
        request: pb.FollowCodeChangesRequest,
        body: str,
        changes: list[CodeChange] | tuple[()],
        refusal: Reason | None = None,
    ) -> None:
        pseudonymiser = self._pseudonymiser()
        self._audit.append(
            AuditRecord(
                time_unix_nanos=self._clock(),
                body_identity=body,
                request_id=request.request_id,
                affair=None,
                search_key=None,
                office=request.office,
                operator=request.operator,
                article=_BASIS.provision,
                requested_fields=_CODE,
                granted_fields=frozenset() if refusal else _CODE,
                refusal=refusal,
                pseudonyms=pseudonymiser.pseudonyms([one.ordinal for one in changes]),
                pseudonym_key=pseudonymiser.version if changes else 0,
                outcomes=bytes([Outcome.FOUND]) * len(changes),
            )
        )

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _told(change: CodeChange) -> pb.CodeChange:
    return pb.CodeChange(
        deduplication_key=change.key,
        former_resident_record_code=int(change.former),
        resident_record_code=int(change.code),
    )
