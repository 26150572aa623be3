"""Size, parsing and the contract's rules: a handler gets valid messages only.

grpcio parses before the handler, where a failure is answered without a reason; so here the bytes
come through unparsed and are parsed inside the chain. Responses are serialised inside it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any

import grpc
from protovalidate import Validator

from juki.domain.errors import JukiError, Reason
from juki.rpc.call import MethodName
from juki.rpc.errors import FieldViolation, InvalidFields
from juki.rpc.interceptors.wrapping import (
    Handler,
    WrappingInterceptor,
    behaviour_of,
    with_raw_bytes,
)


class MessageInterceptor(WrappingInterceptor):
    """Refuses with MESSAGE_TOO_LARGE, MALFORMED_MESSAGE or INVALID_FIELD, for each message.

    grpcio's own receive limit must be higher than `maximum_bytes`: what it refuses itself has no
    reason and is not counted.
    """

    def __init__(self, maximum_bytes: int, raw: AbstractSet[str] = frozenset()) -> None:
        super().__init__()
        self._maximum_bytes = maximum_bytes
        self._raw = raw
        self._validator = Validator()

    def wrap(self, name: MethodName, handler: Handler) -> Handler:
        behaviour = behaviour_of(handler)
        accept = self._acceptor(name, handler.request_deserializer)
        serialise = _serialiser(handler.response_serializer)
        streaming_requests = handler.request_streaming

        def accepted(request: Any) -> Any:
            return map(accept, request) if streaming_requests else accept(request)

        def unary(request: Any, context: grpc.ServicerContext) -> bytes:
            return serialise(behaviour(accepted(request), context))

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[bytes]:
            return map(serialise, behaviour(accepted(request), context))

        return with_raw_bytes(handler, stream if handler.response_streaming else unary)

    def _acceptor(
        self, name: MethodName, parse: Callable[[bytes], Any] | None
    ) -> Callable[[bytes], Any]:
        maximum_bytes = self._maximum_bytes
        raw = not self._raw.isdisjoint((name.service, str(name)))

        def accept(data: bytes) -> Any:
            if len(data) > maximum_bytes:
                raise JukiError(
                    Reason.MESSAGE_TOO_LARGE,
                    "the message is larger than this server takes",
                    {"maximum_bytes": str(maximum_bytes)},
                )
            if raw:
                return data
            if parse is None:
                # Unparsed by oversight would mean unchecked.
                raise JukiError(Reason.CONFIGURATION_INVALID, "a raw method is not declared as raw")
            return self._validated(_parsed(parse, data))

        return accept

    def _validated(self, message: Any) -> Any:
        violations = self._validator.collect_violations(message)
        if violations:
            raise InvalidFields(
                [
                    FieldViolation(_path(violation.proto.field), violation.proto.rule_id)
                    for violation in violations
                ]
            )
        return message


def _parsed(parse: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return parse(data)
    except Exception:
        # Whatever the parser says may quote the bytes.
        raise JukiError(
            Reason.MALFORMED_MESSAGE, "the bytes are not a message of the expected type"
        ) from None


def _serialiser(serialise: Callable[[Any], bytes] | None) -> Callable[[Any], bytes]:
    """Lets ready bytes of hot-path handlers pass, serialises messages."""

    def serialised(response: Any) -> bytes:
        if isinstance(response, bytes):
            return response
        if serialise is None:
            raise TypeError("a raw method answered with something other than bytes")
        return serialise(response)

    return serialised


def _path(field: Any) -> str:
    """`notifications[0].signature`. Keys of maps may be personal: only list indexes are shown."""
    if field is None:
        return ""
    parts = []
    for element in field.elements:
        subscript = element.subscript
        if subscript is None:
            parts.append(element.field_name)
        elif subscript.field == "index":
            parts.append(f"{element.field_name}[{subscript.value}]")
        else:
            parts.append(f"{element.field_name}[…]")
    return ".".join(parts)
