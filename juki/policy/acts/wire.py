"""Acts as bytes: read strictly, so that one meaning has one spelling, and hashed."""

from __future__ import annotations

import hashlib
from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message
from protovalidate import Validator

from juki.domain.errors import JukiError, Reason
from juki.v1 import acts_pb2 as pb

NO_PREDECESSOR: Final = bytes(32)
"""What the first act of a register names as its predecessor."""

_VALIDATOR: Final = Validator()
MessageT = TypeVar("MessageT", bound=Message)


def digest(data: bytes) -> bytes:
    """SHA-256, 32 bytes."""
    return hashlib.sha256(data).digest()


def encode(message: Message) -> bytes:
    """The one spelling of a message that `decode` reads."""
    return message.SerializeToString(deterministic=True)


def decode(data: bytes, kind: type[MessageT]) -> MessageT:
    """Reads what `encode` wrote.

    Raises JukiError TAMPERING_DETECTED for anything that is spelled otherwise, and INVALID_FIELD
    naming the field that breaks a rule of the contract.
    """
    try:
        message = kind.FromString(data)
    except DecodeError:
        raise JukiError(Reason.TAMPERING_DETECTED, "is no message of its kind") from None
    if encode(message) != data:
        raise JukiError(Reason.TAMPERING_DETECTED, "is not spelled as it is written")
    check(message)
    return message


def check(message: Message) -> None:
    """Raises INVALID_FIELD naming the first field that breaks a rule of the contract."""
    for violation in _VALIDATOR.collect_violations(message):
        elements = violation.proto.field.elements if violation.proto.field else ()
        path = ".".join(element.field_name for element in elements)
        raise JukiError(
            Reason.INVALID_FIELD, f"{path or 'the act'}: {violation.proto.rule_id}", {"field": path}
        )


def decode_act(signed: pb.SignedAct) -> pb.AdministrativeAct:
    """The act under its signatures; raises as `decode` does."""
    return decode(signed.act, pb.AdministrativeAct)
