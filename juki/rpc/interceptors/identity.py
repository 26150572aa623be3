"""Deny by default: a service answers only the kinds of callers that its allow-list names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import grpc

from juki.domain.errors import JukiError, Reason
from juki.rpc.call import MethodName, current_call
from juki.rpc.identity import DEFAULT_TRUST_DOMAIN, Identity, IdentityKind, identity_of_call
from juki.rpc.interceptors.wrapping import (
    Handler,
    WrappingInterceptor,
    behaviour_of,
    with_behaviour,
)

Callers = AbstractSet[IdentityKind] | Callable[[Identity], bool]
"""Which callers: kinds, or a predicate over the identity."""

AllowList = Mapping[str, Callers]
"""Full service name → its callers. A service that is not named is refused to everyone."""


class IdentityInterceptor(WrappingInterceptor):
    """Refuses with IDENTITY_NOT_PERMITTED; otherwise the handler sees `current_identity()`.

    Raises `JukiError(CONFIGURATION_INVALID)` for an empty allow-list: a server that can answer
    nobody is a mistake, and must not look like one that runs.
    """

    def __init__(self, allow_list: AllowList, trust_domain: str = DEFAULT_TRUST_DOMAIN) -> None:
        super().__init__()
        if not allow_list:
            raise JukiError(Reason.CONFIGURATION_INVALID, "the allow-list of callers is empty")
        self._allow_list = dict(allow_list)
        self._trust_domain = trust_domain

    def wrap(self, name: MethodName, handler: Handler) -> Handler:
        behaviour = behaviour_of(handler)
        callers: Callers = self._allow_list.get(name.service, frozenset())

        def admit(context: grpc.ServicerContext) -> None:
            identity = identity_of_call(context, self._trust_domain)
            permitted = callers(identity) if callable(callers) else identity.kind in callers
            if not permitted:
                raise JukiError(
                    Reason.IDENTITY_NOT_PERMITTED,
                    "this identity may not call this service",
                    {"service": name.service},
                )
            current_call().identity = identity

        def unary(request: Any, context: grpc.ServicerContext) -> Any:
            admit(context)
            return behaviour(request, context)

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            admit(context)
            yield from behaviour(request, context)

        return with_behaviour(handler, stream if handler.response_streaming else unary)
