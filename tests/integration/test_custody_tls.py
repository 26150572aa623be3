"""Real mTLS handshakes between grpcio peers with the keys of custody."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import cast

import grpc
import pytest

from hsm.host_files import HostFiles
from hsm.plan import SERVER_SOCKET
from hsm.profiles import SERVER_LEAF, TLS_CLIENT_PROFILE
from juki.custody.client import CustodyClient
from juki.custody.port import SERVER_ISSUER, SIGNING, Custody
from juki.custody.tls import channel_credentials, new_server_leaf, server_credentials
from juki.domain.errors import JukiError, Reason
from tests.custody_fixtures import RunningCustody, TrustDomain, running_custody
from tests.memory_custody import MemoryCustody, MemoryNetwork
from tests.rogue import RogueCertificate, rogue_certificate

CS_NAME = "cs-221309.pref22.juki.example"
CS_IDENTITY = "spiffe://pref22.juki.example/cs/221309"


class _WhoAmI(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in the stubs only
    """Answers every call with the identities that the handshake proved."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return grpc.unary_unary_rpc_method_handler(
            lambda _request, context: b"\n".join(context.peer_identities() or [])
        )


@contextmanager
def server(credentials: grpc.ServerCredentials) -> Iterator[int]:
    """A server on a port of its own."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        running = grpc.server(pool)
        running.add_generic_rpc_handlers((_WhoAmI(),))
        port = running.add_secure_port("localhost:0", credentials)
        running.start()
        try:
            yield port
        finally:
            running.stop(None).wait()


def call(port: int, credentials: grpc.ChannelCredentials, name: str) -> bytes:
    """One call to the server, expected to prove the DNS name; the identities it saw."""
    options = [("grpc.ssl_target_name_override", name), ("grpc.enable_retries", 0)]
    with grpc.secure_channel(f"localhost:{port}", credentials, options) as channel:
        method = channel.unary_unary("/test/WhoAmI", bytes, bytes)
        answer: bytes = method(b"", timeout=10)
        return answer


def refusal(port: int, credentials: grpc.ChannelCredentials, name: str) -> str:
    """The words with which a handshake failed."""
    with pytest.raises(grpc.RpcError) as refused:
        call(port, credentials, name)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    return str(refused.value.details())


def rogue_client(rogue: RogueCertificate, roots_pem: bytes) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(roots_pem, rogue.private_key_pem, rogue.chain_pem)


def rogue_server(rogue: RogueCertificate, roots_pem: bytes) -> grpc.ServerCredentials:
    pair = (rogue.private_key_pem, rogue.chain_pem)
    return grpc.ssl_server_credentials([pair], roots_pem, require_client_auth=True)


@pytest.fixture
def cs_port(provisioned_host: RunningCustody, trust_domain: TrustDomain) -> Iterator[int]:
    with server(server_credentials(provisioned_host.client, trust_domain.roots_pem)) as port:
        yield port


@pytest.fixture
def cs_channel(
    provisioned_host: RunningCustody, trust_domain: TrustDomain
) -> grpc.ChannelCredentials:
    return channel_credentials(provisioned_host.client, trust_domain.roots_pem)


def test_a_client_key_in_the_token_proves_its_identity_to_a_server(
    cs_port: int, cs_channel: grpc.ChannelCredentials
) -> None:
    assert call(cs_port, cs_channel, CS_NAME).decode() == CS_IDENTITY


def test_no_client_handshake_succeeds_while_custody_is_down_and_the_next_does_once_it_is_back(
    cs_port: int, trust_domain: TrustDomain, own_host: HostFiles
) -> None:
    with (
        running_custody(own_host) as custody,
        CustodyClient(own_host.socket(SERVER_SOCKET), timeout_seconds=2) as client,
    ):
        credentials = channel_credentials(client, trust_domain.roots_pem)
        custody.kill()
        assert "CUSTODY_UNAVAILABLE" in refusal(cs_port, credentials, CS_NAME)
        custody.start_again()
        assert call(cs_port, credentials, CS_NAME).decode() == CS_IDENTITY


def test_a_server_is_refused_under_a_name_that_is_not_its_own(
    cs_port: int, cs_channel: grpc.ChannelCredentials
) -> None:
    assert "Hostname Verification Check failed" in refusal(
        cs_port, cs_channel, "server.pref22.juki.example"
    )


def test_a_client_without_a_certificate_is_refused(cs_port: int, trust_domain: TrustDomain) -> None:
    refusal(cs_port, grpc.ssl_channel_credentials(trust_domain.roots_pem), CS_NAME)


def test_a_signing_certificate_does_not_open_a_connection(
    cs_port: int, provisioned_host: RunningCustody, trust_domain: TrustDomain
) -> None:
    """Notifications and handshakes are signed by different keys, each good for one purpose."""
    signing = channel_credentials(provisioned_host.client, trust_domain.roots_pem, key=SIGNING)
    refusal(cs_port, signing, CS_NAME)


@pytest.mark.parametrize("name", [CS_NAME, "anything." + CS_NAME])
def test_the_rogue_machinery_itself_works_within_the_issuers_constraints(
    trust_domain: TrustDomain, cs_channel: grpc.ChannelCredentials, name: str
) -> None:
    """The control: what the refusals below share with a handshake that succeeds."""
    rogue = rogue_certificate(trust_domain, "cs-221309", SERVER_ISSUER, SERVER_LEAF, dns=(name,))
    with server(rogue_server(rogue, trust_domain.roots_pem)) as port:
        assert call(port, cs_channel, name).decode() == CS_IDENTITY


@pytest.mark.parametrize(
    ("name", "in_subject_only"),
    [
        ("server.pref22.juki.example", False),
        ("server.national.juki.example", False),
        ("cs-221007.pref22.juki.example", False),
        ("server.pref22.juki.example", True),
    ],
)
def test_a_stolen_server_issuer_cannot_pose_as_another_server(
    trust_domain: TrustDomain,
    cs_channel: grpc.ChannelCredentials,
    name: str,
    in_subject_only: bool,
) -> None:
    rogue = rogue_certificate(
        trust_domain,
        "cs-221309",
        SERVER_ISSUER,
        SERVER_LEAF,
        dns=() if in_subject_only else (name,),
        subject=name,
    )
    with server(rogue_server(rogue, trust_domain.roots_pem)) as port:
        assert "CERTIFICATE_VERIFY_FAILED" in refusal(port, cs_channel, name)


@pytest.mark.parametrize("identity", [CS_IDENTITY, "spiffe://pref22.juki.example/server"])
@pytest.mark.parametrize("says_client_authentication", [True, False])
def test_a_stolen_server_issuer_cannot_mint_a_client_identity(
    cs_port: int, trust_domain: TrustDomain, identity: str, says_client_authentication: bool
) -> None:
    profile = TLS_CLIENT_PROFILE if says_client_authentication else None
    rogue = rogue_certificate(trust_domain, "cs-221309", SERVER_ISSUER, profile, uris=(identity,))
    refusal(cs_port, rogue_client(rogue, trust_domain.roots_pem), CS_NAME)


def test_a_stolen_issuing_authority_cannot_name_a_client_of_another_prefecture(
    cs_port: int, trust_domain: TrustDomain
) -> None:
    own, foreign = (
        rogue_certificate(
            trust_domain, "pref22", "issuing-ca", TLS_CLIENT_PROFILE, uris=(identity,)
        )
        for identity in (CS_IDENTITY, "spiffe://pref13.juki.example/server")
    )
    assert call(cs_port, rogue_client(own, trust_domain.roots_pem), CS_NAME).decode() == CS_IDENTITY
    refusal(cs_port, rogue_client(foreign, trust_domain.roots_pem), CS_NAME)


def test_a_server_leaf_lives_a_day_at_most_and_is_replaced_when_half_of_it_is_over(
    provisioned_host: RunningCustody, trust_domain: TrustDomain, cs_channel: grpc.ChannelCredentials
) -> None:
    leaf = new_server_leaf(provisioned_host.client)
    now = datetime.now(UTC)
    assert leaf.not_after - now <= timedelta(hours=24)
    assert now < leaf.replace_at <= now + timedelta(hours=12)


class _Certifier:
    """Custody that notes each leaf it certifies, and can be told to fail."""

    def __init__(self, custody: Custody) -> None:
        self._custody = custody
        self.asked = 0
        self.fails = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._custody, name)

    def certify_server_leaf(self, issuer_key: str, signing_request: bytes) -> list[bytes]:
        """Certify by the real custody."""
        self.asked += 1
        if self.fails:
            raise JukiError(Reason.CUSTODY_UNAVAILABLE, "custody is told to fail")
        return self._custody.certify_server_leaf(issuer_key, signing_request)


def test_a_server_renews_its_leaf_once_and_goes_on_with_the_old_one_when_it_cannot(
    provisioned_host: RunningCustody, trust_domain: TrustDomain
) -> None:
    time = [datetime.now(UTC) - timedelta(hours=13)]
    network = MemoryNetwork(lambda: time[0])
    hosts = {host.name: host for host in trust_domain.plan.hosts()}
    MemoryCustody(network, hosts["pref22"])
    custody = _Certifier(MemoryCustody(network, hosts["cs-221309"]))
    credentials = server_credentials(
        cast(Custody, custody), trust_domain.roots_pem, clock=lambda: time[0]
    )
    channel = channel_credentials(provisioned_host.client, network.roots_pem)

    def leaves_asked_for_after_a_handshake() -> int:
        assert call(port, channel, CS_NAME).decode() == CS_IDENTITY
        return custody.asked

    with server(credentials) as port:
        assert leaves_asked_for_after_a_handshake() == 1
        time[0] += timedelta(hours=12)
        custody.fails = True
        assert leaves_asked_for_after_a_handshake() == 2
        assert leaves_asked_for_after_a_handshake() == 2  # not at every handshake
        custody.fails = False
        time[0] += timedelta(seconds=30)
        assert leaves_asked_for_after_a_handshake() == 3
        assert leaves_asked_for_after_a_handshake() == 3
