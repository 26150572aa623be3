"""Turns whatever a handler raises into a status with a reason; nothing else of it leaves.

grpcio would answer an unexpected exception with its text, which may hold anything. Here it is
logged by type and place, without its text and without local values, and answered in general words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import grpc
import structlog

from juki.domain.errors import JukiError, Reason
from juki.log import exception_frames, exception_types
from juki.rpc.call import Call, MethodName, code_of, current_call
from juki.rpc.errors import ANSWERED_IN_GENERAL_WORDS, abort, status_code
from juki.rpc.interceptors.wrapping import (
    Handler,
    WrappingInterceptor,
    behaviour_of,
    with_behaviour,
)

_LOG = structlog.get_logger("juki.rpc")
_UPSTREAM_CODES = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class ErrorInterceptor(WrappingInterceptor):
    """Maps exceptions of unary handlers and of response iterators to statuses."""

    def wrap(self, name: MethodName, handler: Handler) -> Handler:
        behaviour = behaviour_of(handler)

        def unary(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                return behaviour(request, context)
            except Exception as error:
                answer(current_call(), error)

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            try:
                yield from behaviour(request, context)
            except Exception as error:
                answer(current_call(), error)

        return with_behaviour(handler, stream if handler.response_streaming else unary)


def answer(call: Call, error: Exception) -> NoReturn:
    """Ends the call, always through `abort`: after it grpcio neither answers nor logs `error`."""
    context = call.context
    if _is_abort_of_handler(context, error):
        call.code = code_of(context) or grpc.StatusCode.UNKNOWN
        raise error
    if type(error) is grpc.RpcError and not context.is_active():
        # The client has gone while its requests were being read: nobody is left to answer.
        call.code = grpc.StatusCode.CANCELLED
        context.abort(grpc.StatusCode.CANCELLED, "")
    refusal = refusal_for(error)
    call.reason = refusal.reason
    call.code = status_code(refusal.reason)
    if refusal.reason in ANSWERED_IN_GENERAL_WORDS:
        _LOG.error(
            "call failed",
            request_id=call.request_id,
            service=call.name.service,
            method=call.name.method,
            reason=refusal.reason.value,
            exception=exception_types(error),
            frames=exception_frames(error),
        )
    abort(context, refusal, call.request_id)


def refusal_for(error: Exception) -> JukiError:
    """The refusal that stands for an exception: itself, or INTERNAL in general words.

    A peer's own refusal that a handler lets through is not passed on as ours: its reason (say,
    IDENTITY_NOT_PERMITTED) would be about us, not about our caller. `raise_from_rpc` is for those
    who want it passed on.
    """
    if isinstance(error, JukiError):
        return error
    if isinstance(error, grpc.Call) and error.code() in _UPSTREAM_CODES:
        return JukiError(Reason.UPSTREAM_UNAVAILABLE, "the next tier does not answer")
    return JukiError(Reason.INTERNAL, "unexpected exception")


def _is_abort_of_handler(context: grpc.ServicerContext, error: Exception) -> bool:
    """Whether the handler called `context.abort` itself: grpcio then raises a bare `Exception`.

    A bare exception has no text that could leak, so a mistaken yes costs nothing.
    """
    return type(error) is Exception and not error.args and code_of(context) is not None
