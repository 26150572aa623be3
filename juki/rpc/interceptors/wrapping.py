"""What the interceptors share: wrapping a method's behaviour once, whatever its arity.

grpcio asks the interceptors anew on every call. What they make of a handler never changes, so it
is made once per method; the call itself then runs through plain nested functions.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import grpc

from juki.rpc.call import MethodName

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]
    _Base = grpc.ServerInterceptor[Any, Any]
else:
    Handler = grpc.RpcMethodHandler
    _Base = grpc.ServerInterceptor

Behaviour = Callable[[Any, grpc.ServicerContext], Any]
"""(request or iterator of requests, context) → response or iterator of responses."""


def behaviour_of(handler: Handler) -> Behaviour:
    """The handler's one behaviour."""
    behaviour: Behaviour | None = getattr(handler, _arity(handler))
    if behaviour is None:
        raise TypeError("a method handler has no behaviour for its own arity")
    return behaviour


def with_behaviour(handler: Handler, behaviour: Behaviour) -> Handler:
    """The same handler with another behaviour."""
    return with_raw_bytes(
        handler, behaviour, handler.request_deserializer, handler.response_serializer
    )


def with_raw_bytes(
    handler: Handler,
    behaviour: Behaviour,
    request_deserializer: Callable[[bytes], Any] | None = None,
    response_serializer: Callable[[Any], bytes] | None = None,
) -> Handler:
    """A handler of the same arity whose behaviour takes and gives bytes unless told otherwise."""
    make = getattr(grpc, f"{_arity(handler)}_rpc_method_handler")
    made: Handler = make(behaviour, request_deserializer, response_serializer)
    return made


def _arity(handler: Handler) -> str:
    request = "stream" if handler.request_streaming else "unary"
    response = "stream" if handler.response_streaming else "unary"
    return f"{request}_{response}"


class WrappingInterceptor(_Base):
    """An interceptor that replaces a method's handler, once per method."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[Handler, Handler]] = {}

    @abstractmethod
    def wrap(self, name: MethodName, handler: Handler) -> Handler:
        """The handler to use in place of `handler`."""

    def unknown_method(self) -> None:
        """Told when no handler has the method called; grpcio answers UNIMPLEMENTED."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """grpcio's entry point."""
        handler = continuation(handler_call_details)
        if handler is None:
            self.unknown_method()
            return None
        path = handler_call_details.method
        made = self._made.get(path)
        # A generic handler may make its method handlers anew: only the very same one is reused.
        if made is None or made[0] is not handler:
            made = (handler, self.wrap(MethodName.parse(path), handler))
            self._made[path] = made
        return made[1]
