"""Reasons inside messages: between the domain's `Reason` and the contract's `ErrorReason`."""

from __future__ import annotations

from typing import Final

from juki.domain.errors import Reason
from juki.v1 import errors_pb2

_PREFIX: Final = "ERROR_REASON_"


def reason_number(reason: Reason) -> errors_pb2.ErrorReason.ValueType:
    """The contract's number of a reason."""
    return errors_pb2.ErrorReason.Value(f"{_PREFIX}{reason.name}")


def reason_of_number(number: errors_pb2.ErrorReason.ValueType) -> Reason:
    """The reason that a peer named by number; INTERNAL for one that this version does not know."""
    try:
        return Reason[errors_pb2.ErrorReason.Name(number).removeprefix(_PREFIX)]
    except (KeyError, ValueError):
        return Reason.INTERNAL
