"""Opens the channel by which one tier or body calls another."""

from __future__ import annotations

import json
from dataclasses import dataclass

import grpc

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """How a client calls."""

    maximum_response_bytes: int = 16 * MEBIBYTE
    keepalive_seconds: float = 30.0
    """Not below 10: the servers would take it for abuse and hang up."""
    keepalive_timeout_seconds: float = 10.0
    attempts: int = 4
    """How often a call is tried while the peer is UNAVAILABLE, 2 to 5; 1 never repeats.

    Only calls that are safe to repeat may use more than 1: a notification, a lookup, a write that
    carries a request id.
    """
    first_backoff_seconds: float = 0.1
    maximum_backoff_seconds: float = 2.0
    first_reconnect_backoff_seconds: float = 0.2
    """gRPC's default of 1 s, times 1.6 at each try, would find a restarted peer seconds late."""
    maximum_reconnect_backoff_seconds: float = 5.0
    """A peer that was restarted is found again within about this time."""


_DEFAULTS = ChannelSettings()
_STREAMS = [
    {"service": "juki.v1.NotificationIntakeService", "method": "FollowReturns"},
    {"service": "juki.v1.ResidentRegisterService", "method": "FollowProgress"},
    {"service": "juki.v1.LookupService", "method": "StreamLookup"},
    {"service": "juki.v1.LookupService", "method": "ExchangeLookup"},
]
"""Whoever reads one of these opens it anew from where it stood. Retried by gRPC, such a call was
seen to stay open for ever with nothing behind it: the server was killed before the stream's first
item, and the repeated call reached no handler."""


def open_channel(
    address: str,
    server_name: str,
    credentials: grpc.ChannelCredentials,
    settings: ChannelSettings = _DEFAULTS,
) -> grpc.Channel:
    """A channel to `address` (`host:port`) that accepts only a certificate for `server_name`.

    The name is given apart from the address, so that a tier is known by its certificate wherever
    it runs. Nothing is connected before the first call. The caller closes the channel.
    """
    return grpc.secure_channel(address, credentials, _options(server_name, settings))


def _options(server_name: str, settings: ChannelSettings) -> list[tuple[str, str | int]]:
    options: list[tuple[str, str | int]] = [
        ("grpc.ssl_target_name_override", server_name),
        ("grpc.default_authority", server_name),
        ("grpc.max_receive_message_length", settings.maximum_response_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.keepalive_time_ms", int(settings.keepalive_seconds * 1000)),
        ("grpc.keepalive_timeout_ms", int(settings.keepalive_timeout_seconds * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        (
            "grpc.initial_reconnect_backoff_ms",
            int(settings.first_reconnect_backoff_seconds * 1000),
        ),
        (
            "grpc.max_reconnect_backoff_ms",
            int(settings.maximum_reconnect_backoff_seconds * 1000),
        ),
        # Two channels to one address must not share a connection: bulk clients open several so
        # that they spread over the server's processes.
        ("grpc.use_local_subchannel_pool", 1),
        # Never take a service configuration from DNS, nor send through a proxy.
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.enable_http_proxy", 0),
        ("grpc.enable_retries", int(settings.attempts > 1)),
    ]
    if settings.attempts > 1:
        options.append(("grpc.service_config", json.dumps(_service_config(settings))))
    return options


def _service_config(settings: ChannelSettings) -> dict[str, object]:
    """gRPC's own retries (gRFC A6) of UNAVAILABLE, for every method but the endless streams."""
    policy = {
        "maxAttempts": settings.attempts,
        "initialBackoff": f"{settings.first_backoff_seconds}s",
        "maxBackoff": f"{settings.maximum_backoff_seconds}s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return {"methodConfig": [{"name": [{}], "retryPolicy": policy}, {"name": _STREAMS}]}
