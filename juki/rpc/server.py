"""Builds the gRPC server every tier uses: mutual TLS, the interceptor chain, health, reflection.

Synchronous grpcio: measured at twice the calls per second of its asyncio form. Each running call
holds a thread of the pool, a response stream until it ends: servers with endless streams (such as
`FollowReturns`) need at least as many threads as followers, plus those for other calls. Streams may
take three quarters of the threads, and one caller's a quarter.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry

from juki.domain.errors import JukiError, Reason
from juki.rpc.identity import DEFAULT_TRUST_DOMAIN, IdentityKind
from juki.rpc.interceptors import AllowList, OpenCalls, interceptor_chain
from juki.rpc.revocation_check import RevocationCheck
from juki.rpc.unix_listener import UnixListener, bind_unix

HEALTH_SERVICE = "grpc.health.v1.Health"
REFLECTION_SERVICE = reflection.SERVICE_NAME
EVERY_KIND: frozenset[IdentityKind] = frozenset(IdentityKind)
MEBIBYTE = 1024 * 1024
_RECEIVED_TIMES = 4
"""Up to so many times the limit a message is received and refused with a reason."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a server listens and what it takes."""

    address: str
    """`host:port`; port 0 takes a free one."""
    worker_threads: int = 16
    maximum_message_bytes: int = 4 * MEBIBYTE
    """Larger requests are refused as MESSAGE_TOO_LARGE; above four times this by grpcio itself."""
    raw: frozenset[str] = frozenset()
    """Services, or `service/method`, whose handlers take unparsed bytes (the hot path)."""
    trust_domain: str = DEFAULT_TRUST_DOMAIN
    reuse_port: bool = False
    """SO_REUSEPORT: several processes on one port. Off, so that a second server on a port fails."""
    maximum_concurrent_calls: int | None = None
    """Further calls are refused by grpcio itself, RESOURCE_EXHAUSTED without a reason."""
    maximum_connection_age_seconds: float | None = None
    """Connections are closed in good order at this age, so that clients present their renewed
    certificates and spread anew."""
    keepalive_seconds: float = 30.0
    """A silent connection is asked for a sign of life this often."""
    keepalive_timeout_seconds: float = 10.0
    health_callers: frozenset[IdentityKind] = EVERY_KIND
    reflection_callers: frozenset[IdentityKind] = frozenset()
    """Who may ask for the contracts by reflection; empty: it is not served at all."""


class JukiServer:
    """A server with the interceptor chain. Add services to `grpc_server`, then `start`."""

    def __init__(
        self,
        settings: ServerSettings,
        credentials: grpc.ServerCredentials | UnixListener,
        allow_list: AllowList,
        *,
        health_servicer: health.HealthServicer,
        revocation: RevocationCheck,
        registry: CollectorRegistry,
        reflected_services: Sequence[str] = (),
    ) -> None:
        """`credentials` must require client certificates; without one every call is refused.

        A `UnixListener` in their place: nginx ends TLS, and no TCP port is opened at all.

        `health_servicer` is that of the `HealthMonitor`, `revocation` the server's book of
        revocation lists, asked before each call. Raises
        `JukiError(CONFIGURATION_INVALID)` for an empty allow-list or an address that is taken.
        """
        if not allow_list:
            raise JukiError(Reason.CONFIGURATION_INVALID, "the allow-list of callers is empty")
        threads = settings.worker_threads
        self._open_calls = OpenCalls(
            revocation, registry, most=max(2, threads * 3 // 4), most_of_one=max(2, threads // 4)
        )
        chain = interceptor_chain(
            {
                HEALTH_SERVICE: settings.health_callers,
                REFLECTION_SERVICE: settings.reflection_callers,
                **allow_list,
            },
            revocation=revocation,
            open_calls=self._open_calls,
            registry=registry,
            maximum_message_bytes=settings.maximum_message_bytes,
            raw=settings.raw,
            trust_domain=settings.trust_domain,
        )
        self._pool = ThreadPoolExecutor(settings.worker_threads, thread_name_prefix="juki-rpc")
        self.grpc_server: grpc.Server = grpc.server(
            self._pool,
            interceptors=list(chain),
            options=_options(settings),
            maximum_concurrent_rpcs=settings.maximum_concurrent_calls,
        )
        health_pb2_grpc.add_HealthServicer_to_server(health_servicer, self.grpc_server)
        if settings.reflection_callers:
            reflection.enable_server_reflection(
                (*reflected_services, HEALTH_SERVICE, REFLECTION_SERVICE), self.grpc_server
            )
        self.port = _bind(self.grpc_server, settings.address, credentials)
        """The port bound, also when the address asked for port 0; 0 behind nginx."""

    def start(self) -> None:
        """Starts answering."""
        self.grpc_server.start()

    def cut_revoked(self) -> None:
        """Ends open streams whose callers may not be served any more; quick, and never raises."""
        self._open_calls.sweep()

    def stop(self, grace_seconds: float = 5.0) -> None:
        """Takes no new calls, lets running ones finish for `grace_seconds`, returns when ended."""
        self.grpc_server.stop(grace_seconds).wait()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def wait(self) -> None:
        """Blocks until the server has ended."""
        self.grpc_server.wait_for_termination()


def _bind(
    server: grpc.Server, address: str, credentials: grpc.ServerCredentials | UnixListener
) -> int:
    if isinstance(credentials, UnixListener):
        bind_unix(server, credentials)
        return 0
    try:
        port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise JukiError(
            Reason.CONFIGURATION_INVALID, "the server's address cannot be bound"
        ) from error
    if port == 0:
        raise JukiError(Reason.CONFIGURATION_INVALID, "the server's address cannot be bound")
    return port


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    # Far above our own limit, so that ours is met first and answers with a reason. What is larger
    # still is cut off by grpcio, RESOURCE_EXHAUSTED without one: memory is not anybody's to fill.
    receive_bytes = _RECEIVED_TIMES * settings.maximum_message_bytes
    options = [
        ("grpc.max_receive_message_length", receive_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", int(settings.reuse_port)),
        ("grpc.keepalive_time_ms", int(settings.keepalive_seconds * 1000)),
        ("grpc.keepalive_timeout_ms", int(settings.keepalive_timeout_seconds * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        # Clients of ours ping every 30 s also between calls; grpcio's default calls that abuse.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]
    if settings.maximum_connection_age_seconds is not None:
        age = int(settings.maximum_connection_age_seconds * 1000)
        options += [("grpc.max_connection_age_ms", age), ("grpc.max_connection_age_grace_ms", age)]
    return options
