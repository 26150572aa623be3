"""Which caller may use which key for what; whatever is not listed is refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from juki.domain.errors import JukiError, Reason

TOKEN = "token"  # noqa: S105 - a label, not a secret
"""Stands in for a key's label where an operation uses the token itself."""


class Operation(StrEnum):
    """What can be asked of custody; the names are those of the request's `oneof`."""

    SIGN = "sign"
    MAC = "mac"
    RANDOM = "random"
    NEW_DATA_KEY = "new_data_key"
    UNWRAP_DATA_KEY = "unwrap_data_key"
    OPEN = "open"
    CERTIFICATE_CHAIN = "certificate_chain"
    CERTIFY_SERVER_LEAF = "certify_server_leaf"
    CERTIFY = "certify"
    HEALTH = "health"
    GENERATIONS = "generations"
    """Granted with any other operation on the key."""
    REWRAP_DATA_KEY = "rewrap_data_key"
    REVOKE = "revoke"
    REVOCATION_LIST = "revocation_list"


@dataclass(frozen=True)
class Permissions:
    """The pairs of key and operation open to the callers of one socket."""

    granted: frozenset[tuple[str, Operation]] = field()

    def __post_init__(self) -> None:
        if not self.granted:
            raise JukiError(Reason.CONFIGURATION_INVALID, "a socket of custody permits nothing")

    @classmethod
    def of(cls, granted: Iterable[tuple[str, Operation]]) -> Permissions:
        """Permissions from pairs; raises CONFIGURATION_INVALID where there are none."""
        return cls(frozenset(granted))

    def require(self, key: str, operation: Operation) -> None:
        """Raise KEY_USE_NOT_PERMITTED unless the pair is granted; `key` is a class of keys."""
        if operation is Operation.GENERATIONS and key in self.key_labels():
            return
        if (key, operation) not in self.granted:
            raise JukiError(
                Reason.KEY_USE_NOT_PERMITTED, "this caller may not use this key for that"
            )

    def key_labels(self) -> set[str]:
        """The labels of the keys that any operation is granted on."""
        return {key for key, _ in self.granted if key != TOKEN}
