"""The answers' wire bytes: ready pieces and hand-written length prefixes, no message a person.

A message is the join of its fields' occurrences, and repeated fields concatenate (protobuf
encoding): field number and wire type in one tag byte, then the length as a varint, then the bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from juki.domain.legal_basis import Withheld
from juki.domain.outcome import Outcome
from juki.index.reading import LookedUp
from juki.v1 import lookup_pb2

_RESULT: Final = b"\x0a"
"""Field 1, length-delimited: `LookupResponse.result` and `BatchLookupResponse.results`."""
_CHUNK: Final = b"\x12"
"""Field 2, length-delimited: `chunk` of both streams' responses."""
_NUMBER: Final = b"\x08"
"""Field 1, varint: `offset` and `chunk_id`."""

_PREPARED_LENGTHS: Final = 4_096
"""Longer information is rare; its prefix is made when needed."""


def varint(value: int) -> bytes:
    """Base 128, least significant group first; `value` is not negative."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _found_prefix(length: int) -> bytes:
    """What stands before `length` bytes of information in a result that was found."""
    inner = b"\x08" + bytes([Outcome.FOUND]) + b"\x12" + varint(length)
    return _RESULT + varint(len(inner) + length) + inner


_FOUND_PREFIXES: Final = [_found_prefix(length) for length in range(_PREPARED_LENGTHS)]
_WITHOUT_INFORMATION: Final = {
    int(outcome): _RESULT + b"\x02\x08" + bytes([outcome])
    for outcome in Outcome
    if outcome is not Outcome.FOUND
}


def results(looked_up: LookedUp) -> bytes:
    """The field `results`, one occurrence a key; with one key also `LookupResponse.result`."""
    found = int(Outcome.FOUND)
    prefixes, without = _FOUND_PREFIXES, _WITHOUT_INFORMATION
    parts: list[bytes] = []
    append = parts.append
    for outcome, information in zip(looked_up.outcomes, looked_up.information, strict=True):
        if outcome == found:
            length = len(information)
            append(prefixes[length] if length < _PREPARED_LENGTHS else _found_prefix(length))
            append(information)
        else:
            append(without[outcome])
    return b"".join(parts)


def withheld_fields(withheld: Sequence[Withheld]) -> bytes:
    """The field `withheld` of `LookupResponse` and `BatchLookupResponse`: both have number 2."""
    return lookup_pb2.BatchLookupResponse(
        withheld=[
            lookup_pb2.WithheldField(
                field=cast("lookup_pb2.Field.ValueType", int(one.field)), article=one.article
            )
            for one in withheld
        ]
    ).SerializeToString()


def chunk(number: int, batch_response: bytes) -> bytes:
    """A `StreamLookupResponse` (number: offset) or `ExchangeLookupResponse` (chunk_id)."""
    head = _NUMBER + varint(number) if number else b""
    return head + _CHUNK + varint(len(batch_response)) + batch_response
