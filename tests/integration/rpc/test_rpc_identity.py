"""Who gets through the door: handshake, identity, allow-list."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from cryptography import x509

from juki.domain.errors import Reason
from juki.rpc.channel import open_channel
from juki.rpc.errors import details_of, reason_of


def _refused(harness: Any, channel: grpc.Channel) -> grpc.RpcError:
    stub = harness.services.ProbeServiceStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.One(harness.request(), timeout=10)
    return caught.value


def test_a_prefectural_server_is_known_to_the_handler_by_its_certificate(harness: Any) -> None:
    uri = "spiffe://pref22.juki.example/server"
    assert harness.stub(uri).One(harness.request("who")).word == uri


def test_callers_at_the_same_time_are_never_taken_for_each_other(harness: Any) -> None:
    uris = [f"spiffe://pref{number}.juki.example/server" for number in (21, 22, 23, 24)]

    def ask(uri: str) -> set[str]:
        stub = harness.stub(uri)
        words = {stub.One(harness.request("who"), timeout=10).word for _ in range(50)}
        return words | {r.word for r in stub.Exchange(iter([harness.request("who")] * 50))}

    with ThreadPoolExecutor(len(uris)) as callers:
        assert list(callers.map(ask, uris)) == [{uri} for uri in uris]


def test_a_client_without_a_certificate_never_reaches_a_handler(harness: Any) -> None:
    error = _refused(harness, harness.channel("spiffe://x/y", certificate=False))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert reason_of(error) is None
    assert harness.probe.reached == 0


def test_a_client_with_an_expired_certificate_never_reaches_a_handler(harness: Any) -> None:
    channel = harness.channel("spiffe://pref22.juki.example/server", expired=True)
    assert _refused(harness, channel).code() is grpc.StatusCode.UNAVAILABLE
    assert harness.probe.reached == 0


def test_a_client_certified_by_a_foreign_authority_never_reaches_a_handler(harness: Any) -> None:
    foreign = type(harness.authority)("throwaway authority")
    channel = harness.channel("spiffe://pref22.juki.example/server", authority=foreign)
    assert _refused(harness, channel).code() is grpc.StatusCode.UNAVAILABLE
    assert harness.probe.reached == 0


@pytest.mark.parametrize(
    "uris",
    [
        (),
        ("spiffe://pref22.juki.example/server", "spiffe://pref23.juki.example/server"),
        ("spiffe://pref22.juki.example/server", "https://juki.example/"),
        ("spiffe://pref22.other.example/server",),
        ("spiffe://pref48.juki.example/server",),
    ],
)
def test_a_certificate_without_exactly_one_identity_of_ours_is_refused(
    harness: Any, uris: tuple[str, ...]
) -> None:
    error = _refused(harness, harness.channel(*uris, names=(x509.DNSName("a.example"),)))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert reason_of(error) is Reason.IDENTITY_NOT_PERMITTED
    assert harness.probe.reached == 0


def test_a_dns_name_spelled_like_an_identity_is_no_identity(harness: Any) -> None:
    names = (x509.DNSName("spiffe://pref22.juki.example/server"),)
    error = _refused(harness, harness.channel(names=names))
    assert reason_of(error) is Reason.IDENTITY_NOT_PERMITTED
    assert harness.probe.reached == 0


@pytest.mark.parametrize("method", ["One", "Many", "Gather", "Exchange"])
def test_an_agency_not_on_the_allow_list_is_refused_in_every_arity(
    harness: Any, method: str
) -> None:
    stub = harness.stub("spiffe://agency.juki.example/pension-service")
    argument = harness.request() if method in ("One", "Many") else iter([harness.request()])
    with pytest.raises(grpc.RpcError) as caught:
        list(getattr(stub, method)(argument, timeout=10))
    assert details_of(caught.value).metadata == {"service": "juki.test.v1.ProbeService"}
    assert reason_of(caught.value) is Reason.IDENTITY_NOT_PERMITTED
    assert harness.probe.reached == 0
    counted = harness.requests_counted(method, "PERMISSION_DENIED", "IDENTITY_NOT_PERMITTED")
    assert counted == 1


def test_a_service_that_is_not_listed_is_refused_to_everyone(harness: Any) -> None:
    channel = harness.channel("spiffe://national.juki.example/server")
    with pytest.raises(grpc.RpcError) as caught:
        harness.services.UnlistedServiceStub(channel).One(harness.request())
    assert reason_of(caught.value) is Reason.IDENTITY_NOT_PERMITTED
    assert harness.probe.reached == 0


def test_a_stranger_is_refused_before_its_message_is_parsed(harness: Any) -> None:
    channel = harness.channel("spiffe://agency.juki.example/pension-service")
    call = channel.unary_unary("/juki.test.v1.ProbeService/One")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"\xff\xff\xff")
    assert reason_of(caught.value) is Reason.IDENTITY_NOT_PERMITTED


def test_a_server_that_forgot_to_require_certificates_still_answers_nobody(
    start: Callable[..., Any],
) -> None:
    harness = start(require_client_certificate=False)
    for certificate in (False, True):
        channel = harness.channel("spiffe://pref22.juki.example/server", certificate=certificate)
        assert reason_of(_refused(harness, channel)) is Reason.IDENTITY_NOT_PERMITTED
    assert harness.probe.reached == 0


def test_a_server_known_by_another_name_is_not_called(harness: Any) -> None:
    key, chain = harness.authority.leaf(
        x509.UniformResourceIdentifier("spiffe://pref22.juki.example/server")
    )
    credentials = grpc.ssl_channel_credentials(harness.authority.certificate(), key, chain)
    address = f"127.0.0.1:{harness.server.port}"
    with open_channel(address, "pref22.juki.example", credentials) as channel:
        assert _refused(harness, channel).code() is grpc.StatusCode.UNAVAILABLE
    assert harness.probe.reached == 0
