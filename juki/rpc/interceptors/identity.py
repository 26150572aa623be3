"""Deny by default: a service answers only the kinds of callers that its allow-list names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import grpc

from juki.domain.errors import JukiError, Reason
from juki.rpc.call import MethodName, current_call
from juki.rpc.identity import (
    DEFAULT_TRUST_DOMAIN,
    Caller,
    Identity,
    IdentityKind,
    caller_of_call,
)
from juki.rpc.interceptors.open_calls import OpenCalls
from juki.rpc.interceptors.wrapping import (
    Handler,
    WrappingInterceptor,
    behaviour_of,
    with_behaviour,
)
from juki.rpc.revocation_check import RevocationCheck

Callers = AbstractSet[IdentityKind] | Callable[[Identity], bool]
"""Which callers: kinds, or a predicate over the identity."""

AllowList = Mapping[str, Callers]
"""Full service name → its callers. A service that is not named is refused to everyone."""


BRINGS_LISTS = frozenset({"juki.v1.RevocationService"})
"""Open to callers whose authority's revocation list is unknown or stale here: they bring it."""


class IdentityInterceptor(WrappingInterceptor):
    """Refuses with IDENTITY_NOT_PERMITTED, or as `RevocationCheck` says.

    Otherwise the handler sees `current_identity()`; streams are watched while they are open.

    Raises `JukiError(CONFIGURATION_INVALID)` for an empty allow-list: a server that can answer
    nobody is a mistake, and must not look like one that runs.
    """

    def __init__(
        self,
        allow_list: AllowList,
        revocation: RevocationCheck,
        open_calls: OpenCalls,
        trust_domain: str = DEFAULT_TRUST_DOMAIN,
    ) -> None:
        super().__init__()
        if not allow_list:
            raise JukiError(Reason.CONFIGURATION_INVALID, "the allow-list of callers is empty")
        self._allow_list = dict(allow_list)
        self._revocation = revocation
        self._open_calls = open_calls
        self._trust_domain = trust_domain

    def wrap(self, name: MethodName, handler: Handler) -> Handler:
        behaviour = behaviour_of(handler)
        callers: Callers = self._allow_list.get(name.service, frozenset())

        must_be_fresh = name.service not in BRINGS_LISTS

        def admit(context: grpc.ServicerContext) -> Caller:
            caller = caller_of_call(context, self._trust_domain)
            identity = caller.identity
            permitted = callers(identity) if callable(callers) else identity.kind in callers
            if not permitted:
                raise JukiError(
                    Reason.IDENTITY_NOT_PERMITTED,
                    "this identity may not call this service",
                    {"service": name.service},
                )
            self._revocation.refuse_caller(
                caller.certificate, identity.uri, must_be_fresh=must_be_fresh
            )
            current_call().identity = identity
            return caller

        def unary(request: Any, context: grpc.ServicerContext) -> Any:
            admit(context)
            return behaviour(request, context)

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with self._open_calls.opened(context, admit(context)) as call:
                taken = call.requests(request) if handler.request_streaming else request
                for response in behaviour(taken, call.seen_by_handler()):
                    call.refuse_cut()
                    yield response
                call.refuse_cut()

        return with_behaviour(handler, stream if handler.response_streaming else unary)
