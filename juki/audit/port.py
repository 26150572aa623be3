"""What a server needs of an audit log: append one record per call, and know that it is durable.

Invariant: no answer without a record. A server calls `append` and answers only after it returned.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from typing import Final, Protocol

from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.domain.legal_basis import AffairReference, Field, SearchKey
from juki.domain.outcome import Outcome

PSEUDONYM_BYTES: Final = 16


_NOT_AN_OUTCOME: Final = bytes(set(range(256)) - set(Outcome))


class AuditUnavailable(JukiError):  # noqa: N818 - named for the state, as the reason is
    """The record could not be made durable: the call must be refused."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.AUDIT_UNAVAILABLE, message)


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One call, whatever the number of persons in it; refused calls are recorded too.

    `pseudonyms` (16 bytes each) and `outcomes` (one byte each, `Outcome`) are joined, so that a
    record of a thousand persons costs two slices and no object per person. Raises InvalidValue
    when they do not match.
    """

    time_unix_nanos: int
    body_identity: str
    request_id: str
    affair: AffairReference | None
    """None where the call named no row of the Appended Tables."""

    search_key: SearchKey | None
    office: str = ""
    operator: str = ""
    article: str = ""
    """The provision answered under; for a refused call the one it named, if it can be written."""

    affair_id: str = ""
    """The registered id of the affair where it is no row of the Appended Tables."""

    requested_fields: Set[Field] = frozenset()
    granted_fields: Set[Field] = frozenset()
    refusal: Reason | None = None
    pseudonyms: bytes = field(default=b"", repr=False)
    pseudonym_key: int = 0
    """Version of the key under the pseudonyms; 0 where there are none."""

    outcomes: bytes = field(default=b"", repr=False)
    via: str = ""
    """Identity of the governor's server by way of which the body asked; empty for a direct call."""

    passed_on_to: str = ""
    """Identity of the server that answers instead, and records whom it was about."""

    act_digest: bytes = b""
    """SHA-256 of an administrative act's signed bytes, where the record is of its entry in the
    register and of no call; empty otherwise."""

    def __post_init__(self) -> None:
        if len(self.pseudonyms) != PSEUDONYM_BYTES * len(self.outcomes):
            raise InvalidValue("an audit record has one outcome for each 16-byte pseudonym")
        if len(self.outcomes.translate(None, _NOT_AN_OUTCOME)) != len(self.outcomes):
            raise InvalidValue("an audit record has an outcome that does not exist")


@dataclass(frozen=True, slots=True)
class AuditPosition:
    """Where a durable record stands in its log."""

    sequence: int
    """1 for the first record of the log; leaf `sequence - 1` of its Merkle tree."""


class AuditLog(Protocol):
    """An append-only log shared by the threads of one server."""

    def append(self, record: AuditRecord) -> AuditPosition:
        """Return once the record is durable.

        Raises AuditUnavailable when it is not, and JukiError (MESSAGE_TOO_LARGE) for a record
        larger than a log can hold.
        """
        ...
