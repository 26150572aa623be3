"""Refusals on the wire: `JukiError` to `google.rpc.Status` and back, the table kept as data.

The status carries `ErrorInfo` (reason, domain, metadata), for broken field rules `BadRequest`
(field path and rule id, never the value), and for overload `RetryInfo`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status

from juki.domain.errors import JukiError, Reason

ERROR_DOMAIN = "juki.example"
"""`google.rpc.ErrorInfo.domain` of every refusal of ours."""

RETRY_AFTER_SECONDS = "retry_after_seconds"
"""Metadata key by which an OVERLOADED error says when to come back; becomes `RetryInfo`."""

MAXIMUM_VIOLATIONS = 16
"""Trailing metadata is small (8 KiB by default): further violations are left out."""

_Code = grpc.StatusCode

STATUS_OF_REASON: Mapping[Reason, grpc.StatusCode] = {
    # The same bytes will never be accepted, in whatever state the server is.
    Reason.MALFORMED_MESSAGE: _Code.INVALID_ARGUMENT,
    Reason.INVALID_FIELD: _Code.INVALID_ARGUMENT,
    # Not RESOURCE_EXHAUSTED, which here means "come back later": a repeat would be refused again.
    Reason.MESSAGE_TOO_LARGE: _Code.INVALID_ARGUMENT,
    # UNAUTHENTICATED is never sent: who has no valid certificate does not get past the handshake.
    Reason.IDENTITY_NOT_PERMITTED: _Code.PERMISSION_DENIED,
    Reason.NOT_OWN_MUNICIPALITY: _Code.PERMISSION_DENIED,
    Reason.IDENTITY_REVOKED: _Code.PERMISSION_DENIED,
    # Notifications. What a later step of the sender may cure is a failed precondition.
    Reason.UNKNOWN_MUNICIPALITY: _Code.NOT_FOUND,
    Reason.UNKNOWN_SIGNING_KEY: _Code.FAILED_PRECONDITION,
    Reason.SIGNER_MISMATCH: _Code.PERMISSION_DENIED,
    Reason.SIGNATURE_INVALID: _Code.INVALID_ARGUMENT,
    Reason.SEQUENCE_GAP: _Code.FAILED_PRECONDITION,
    Reason.SEQUENCE_CONFLICT: _Code.ALREADY_EXISTS,
    Reason.PREDECESSOR_MISMATCH: _Code.FAILED_PRECONDITION,
    Reason.EPOCH_UNKNOWN: _Code.FAILED_PRECONDITION,
    Reason.EPOCH_SUPERSEDED: _Code.FAILED_PRECONDITION,
    Reason.SIGNER_REVOKED: _Code.PERMISSION_DENIED,
    # Events of a municipality's register
    Reason.IMPOSSIBLE_EVENT: _Code.FAILED_PRECONDITION,
    Reason.EVENT_CONFLICT: _Code.ALREADY_EXISTS,
    Reason.RECORD_NOT_FOUND: _Code.NOT_FOUND,
    # Codes. RESOURCE_EXHAUSTED would be taken for overload and retried; the pool needs refilling.
    Reason.CODE_POOL_EMPTY: _Code.FAILED_PRECONDITION,
    Reason.CODE_NOT_ALLOTTED: _Code.PERMISSION_DENIED,
    Reason.REQUEST_ID_REUSED: _Code.ALREADY_EXISTS,
    Reason.GRANTS_NOT_CONFIRMED: _Code.FAILED_PRECONDITION,
    Reason.PERSON_NOT_IDENTIFIED: _Code.FAILED_PRECONDITION,
    Reason.REQUEST_STATE: _Code.FAILED_PRECONDITION,
    Reason.FEE_NOT_PAID: _Code.FAILED_PRECONDITION,
    # Provision
    Reason.AGENCY_NOT_REGISTERED: _Code.PERMISSION_DENIED,
    Reason.AFFAIR_UNKNOWN: _Code.INVALID_ARGUMENT,
    Reason.AFFAIR_NOT_GRANTED: _Code.PERMISSION_DENIED,
    Reason.ROUTE_NOT_PERMITTED: _Code.PERMISSION_DENIED,
    Reason.SEARCH_KEY_NOT_GRANTED: _Code.PERMISSION_DENIED,
    Reason.AGGREGATES_ONLY: _Code.PERMISSION_DENIED,
    Reason.OPERATOR_NOT_REGISTERED: _Code.PERMISSION_DENIED,
    Reason.FOUR_EYES_REQUIRED: _Code.PERMISSION_DENIED,
    # Our own state. UNAVAILABLE is what a client's channel retries by itself.
    Reason.AUDIT_UNAVAILABLE: _Code.UNAVAILABLE,
    Reason.CUSTODY_UNAVAILABLE: _Code.UNAVAILABLE,
    Reason.UPSTREAM_UNAVAILABLE: _Code.UNAVAILABLE,
    Reason.STORE_UNAVAILABLE: _Code.UNAVAILABLE,
    Reason.OVERLOADED: _Code.RESOURCE_EXHAUSTED,
    Reason.TAMPERING_DETECTED: _Code.DATA_LOSS,
    # Said by custody to a process of ours: our caller has done nothing wrong and can mend nothing.
    Reason.KEY_USE_NOT_PERMITTED: _Code.INTERNAL,
    Reason.CONFIGURATION_INVALID: _Code.INTERNAL,
    Reason.INTERNAL: _Code.INTERNAL,
    # Whether the caller is revoked cannot be told now; a fresh list may arrive at any moment.
    Reason.CRL_UNKNOWN: _Code.UNAVAILABLE,
    Reason.CRL_STALE: _Code.UNAVAILABLE,
    Reason.CRL_REFUSED: _Code.INVALID_ARGUMENT,
    # Witnesses of audit logs
    Reason.LOG_SHORTENED: _Code.FAILED_PRECONDITION,
    Reason.LOG_REWRITTEN: _Code.FAILED_PRECONDITION,
    Reason.LOG_FORKED: _Code.FAILED_PRECONDITION,
    Reason.WITNESS_ELSEWHERE: _Code.FAILED_PRECONDITION,
}

ANSWERED_IN_GENERAL_WORDS: Mapping[Reason, str] = {
    Reason.TAMPERING_DETECTED: "stored data failed its integrity check",
    Reason.KEY_USE_NOT_PERMITTED: "the server may not use a key that it needs",
    Reason.CONFIGURATION_INVALID: "the server is not configured for this call",
    Reason.INTERNAL: "the server failed; its log names the fault under this request id",
}
"""Faults of ours: the peer gets this sentence and the request id, the log gets the rest."""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One broken rule of a contract: where and which, never the value."""

    field: str
    """Path such as `notifications[0].signature`; keys of maps are left out."""
    rule: str
    """Rule id of protovalidate such as `string.pattern`."""


class InvalidFields(JukiError):  # noqa: N818 - named for the message, not the failure
    """A message breaks rules of its contract; reason INVALID_FIELD."""

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        super().__init__(Reason.INVALID_FIELD, "the message breaks rules of its contract")
        self.violations = tuple(violations)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a peer said when it refused."""

    code: grpc.StatusCode
    reason: Reason | None
    """None if the peer gave no reason, or one that this version does not know."""
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[FieldViolation, ...] = ()
    retry_after_seconds: float | None = None


def status_code(reason: Reason) -> grpc.StatusCode:
    """The gRPC status of a reason."""
    return STATUS_OF_REASON[reason]


def status_of(error: JukiError, request_id: str) -> status_pb2.Status:
    """The status that answers `error`; faults of ours in general words with the request id."""
    general = ANSWERED_IN_GENERAL_WORDS.get(error.reason)
    metadata = {"request_id": request_id} if general else error.metadata
    details: list[AnyMessage] = [
        _pack(
            error_details_pb2.ErrorInfo(
                reason=error.reason.value, domain=ERROR_DOMAIN, metadata=metadata
            )
        )
    ]
    if isinstance(error, InvalidFields):
        details.append(
            _pack(
                error_details_pb2.BadRequest(
                    field_violations=[
                        error_details_pb2.BadRequest.FieldViolation(
                            field=violation.field, description=violation.rule
                        )
                        for violation in error.violations[:MAXIMUM_VIOLATIONS]
                    ]
                )
            )
        )
    if error.reason is Reason.OVERLOADED:
        seconds = float(error.metadata.get(RETRY_AFTER_SECONDS, "1"))
        delay = Duration()
        delay.FromMilliseconds(int(seconds * 1000))
        details.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
    code: int = status_code(error.reason).value[0]  # the pair (number, name)
    return status_pb2.Status(code=code, message=general or error.message, details=details)


def abort(context: grpc.ServicerContext, error: JukiError, request_id: str) -> NoReturn:
    """Ends the call with the error's status. Always raises, as grpcio wants it."""
    context.abort_with_status(rpc_status.to_status(status_of(error, request_id)))


def details_of(error: grpc.RpcError) -> Refusal:
    """What the peer said, read from the status details of a failed call."""
    code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
    status = _status_in(error)
    reason: Reason | None = None
    metadata: dict[str, str] = {}
    violations: tuple[FieldViolation, ...] = ()
    retry_after: float | None = None
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        bad_request = error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(info) and info.domain == ERROR_DOMAIN:
            reason = Reason(info.reason) if info.reason in Reason.__members__ else None
            metadata = dict(info.metadata)
        elif detail.Unpack(bad_request):
            violations = tuple(
                FieldViolation(violation.field, violation.description)
                for violation in bad_request.field_violations
            )
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToMilliseconds() / 1000
    return Refusal(code, reason, status.message, metadata, violations, retry_after)


def reason_of(error: grpc.RpcError) -> Reason | None:
    """The reason a peer gave; None if it gave none, as when it could not be reached."""
    return details_of(error).reason


def raise_from_rpc(error: grpc.RpcError) -> NoReturn:
    """Raises the peer's refusal as the `JukiError` it was there.

    A peer that gave no reason and was unavailable or too slow becomes UPSTREAM_UNAVAILABLE,
    any other INTERNAL.
    """
    refusal = details_of(error)
    if refusal.violations and refusal.reason is Reason.INVALID_FIELD:
        raise InvalidFields(refusal.violations) from error
    if refusal.reason is not None:
        raise JukiError(refusal.reason, refusal.message, refusal.metadata) from error
    if refusal.code in (_Code.UNAVAILABLE, _Code.DEADLINE_EXCEEDED):
        raise JukiError(Reason.UPSTREAM_UNAVAILABLE, "the peer does not answer") from error
    raise JukiError(
        Reason.INTERNAL, "the peer failed without a reason", {"code": refusal.code.name}
    ) from error


@contextmanager
def refusals_of_peer() -> Iterator[None]:
    """Calls of a peer made within: its refusal is raised as `raise_from_rpc` does."""
    try:
        yield
    except grpc.RpcError as error:
        raise_from_rpc(error)


def _status_in(error: grpc.RpcError) -> status_pb2.Status:
    if isinstance(error, grpc.Call):
        try:
            status = rpc_status.from_call(error)
        except ValueError:  # code and details disagree: a peer that is none of ours
            status = None
        if status is not None:
            return status
    return status_pb2.Status()


def _pack(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
