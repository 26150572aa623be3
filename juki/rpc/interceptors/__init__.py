"""The chain every call passes on the server, and why it stands in this order.

1. **metrics** outermost, so that calls which the others refuse are counted, by reason;
2. **errors** next, so that whatever is raised further in becomes a status with a reason, and
   nothing else of an exception ever reaches the peer;
3. **identity**: who may not call a service is refused before a byte of its message is parsed, so
   that a stranger neither costs us the work nor probes the parser;
4. **message** innermost: size, parsing and the contract's rules; the handler gets valid messages.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from prometheus_client import CollectorRegistry

from juki.rpc.identity import DEFAULT_TRUST_DOMAIN
from juki.rpc.interceptors.errors import ErrorInterceptor
from juki.rpc.interceptors.identity import AllowList, IdentityInterceptor
from juki.rpc.interceptors.message import MessageInterceptor
from juki.rpc.interceptors.metrics import MetricsInterceptor
from juki.rpc.interceptors.open_calls import OpenCalls
from juki.rpc.interceptors.wrapping import WrappingInterceptor
from juki.rpc.revocation_check import RevocationCheck

__all__ = ["AllowList", "OpenCalls", "interceptor_chain"]


def interceptor_chain(
    allow_list: AllowList,
    *,
    revocation: RevocationCheck,
    open_calls: OpenCalls,
    registry: CollectorRegistry,
    maximum_message_bytes: int,
    raw: AbstractSet[str] = frozenset(),
    trust_domain: str = DEFAULT_TRUST_DOMAIN,
) -> tuple[WrappingInterceptor, ...]:
    """The chain, outermost first. `raw` names services, or `service/method`, whose handlers take
    bytes (the hot path); their size is still checked. Raises `JukiError(CONFIGURATION_INVALID)`
    for an empty allow-list.
    """
    return (
        MetricsInterceptor(registry),
        ErrorInterceptor(),
        IdentityInterceptor(allow_list, revocation, open_calls, trust_domain),
        MessageInterceptor(maximum_message_bytes, raw),
    )
