"""The one exception tree of the network: every refusal has a machine-readable reason.

The reasons are the names of `juki.v1.ErrorReason` (a test holds the two equal). Messages never
carry personal data: no code, number, name, address or birth date, whole or in part.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Reason(StrEnum):
    """Why a request or a notification was refused; travels in `google.rpc.ErrorInfo.reason`."""

    # Shape of the message
    MALFORMED_MESSAGE = "MALFORMED_MESSAGE"
    INVALID_FIELD = "INVALID_FIELD"
    MESSAGE_TOO_LARGE = "MESSAGE_TOO_LARGE"
    # Who asks
    IDENTITY_NOT_PERMITTED = "IDENTITY_NOT_PERMITTED"
    NOT_OWN_MUNICIPALITY = "NOT_OWN_MUNICIPALITY"
    KEY_USE_NOT_PERMITTED = "KEY_USE_NOT_PERMITTED"
    IDENTITY_REVOKED = "IDENTITY_REVOKED"
    # Notifications (Act Art. 30-6, 30-7)
    UNKNOWN_MUNICIPALITY = "UNKNOWN_MUNICIPALITY"
    UNKNOWN_SIGNING_KEY = "UNKNOWN_SIGNING_KEY"
    SIGNER_MISMATCH = "SIGNER_MISMATCH"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    SEQUENCE_GAP = "SEQUENCE_GAP"
    SEQUENCE_CONFLICT = "SEQUENCE_CONFLICT"
    PREDECESSOR_MISMATCH = "PREDECESSOR_MISMATCH"
    EPOCH_UNKNOWN = "EPOCH_UNKNOWN"
    EPOCH_SUPERSEDED = "EPOCH_SUPERSEDED"
    SIGNER_REVOKED = "SIGNER_REVOKED"
    # A register's event that the record's state does not allow
    IMPOSSIBLE_EVENT = "IMPOSSIBLE_EVENT"
    EVENT_CONFLICT = "EVENT_CONFLICT"
    RECORD_NOT_FOUND = "RECORD_NOT_FOUND"
    # Codes and numbers (Act Art. 30-2 to 30-4; My Number Act Art. 7, 8)
    CODE_POOL_EMPTY = "CODE_POOL_EMPTY"
    CODE_NOT_ALLOTTED = "CODE_NOT_ALLOTTED"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    GRANTS_NOT_CONFIRMED = "GRANTS_NOT_CONFIRMED"
    # Provision (Act Art. 30-9 to 30-15)
    AGENCY_NOT_REGISTERED = "AGENCY_NOT_REGISTERED"
    AFFAIR_UNKNOWN = "AFFAIR_UNKNOWN"
    AFFAIR_NOT_GRANTED = "AFFAIR_NOT_GRANTED"
    ROUTE_NOT_PERMITTED = "ROUTE_NOT_PERMITTED"
    SEARCH_KEY_NOT_GRANTED = "SEARCH_KEY_NOT_GRANTED"
    AGGREGATES_ONLY = "AGGREGATES_ONLY"
    OPERATOR_NOT_REGISTERED = "OPERATOR_NOT_REGISTERED"
    FOUR_EYES_REQUIRED = "FOUR_EYES_REQUIRED"
    # The network's own state
    AUDIT_UNAVAILABLE = "AUDIT_UNAVAILABLE"
    CUSTODY_UNAVAILABLE = "CUSTODY_UNAVAILABLE"
    UPSTREAM_UNAVAILABLE = "UPSTREAM_UNAVAILABLE"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    OVERLOADED = "OVERLOADED"
    TAMPERING_DETECTED = "TAMPERING_DETECTED"
    CONFIGURATION_INVALID = "CONFIGURATION_INVALID"
    INTERNAL = "INTERNAL"
    CRL_UNKNOWN = "CRL_UNKNOWN"
    CRL_STALE = "CRL_STALE"
    CRL_REFUSED = "CRL_REFUSED"
    # Disclosure and correction (Act Art. 30-32 to 30-35)
    PERSON_NOT_IDENTIFIED = "PERSON_NOT_IDENTIFIED"
    REQUEST_STATE = "REQUEST_STATE"
    FEE_NOT_PAID = "FEE_NOT_PAID"
    # Witnesses of audit logs
    LOG_SHORTENED = "LOG_SHORTENED"
    LOG_REWRITTEN = "LOG_REWRITTEN"
    LOG_FORKED = "LOG_FORKED"
    WITNESS_ELSEWHERE = "WITNESS_ELSEWHERE"


class JukiError(Exception):
    """A refusal with its reason, a general sentence, and non-personal details.

    `metadata` holds short facts for a machine, for example `{"expected_sequence": "42"}`.
    """

    def __init__(
        self, reason: Reason, message: str, metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message
        self.metadata: dict[str, str] = dict(metadata or {})


class InvalidValue(JukiError, ValueError):  # noqa: N818 - named for the value, not the failure
    """A domain value that cannot be built: wrong length, wrong check digit, impossible date."""

    def __init__(self, message: str, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(Reason.INVALID_FIELD, message, metadata)
