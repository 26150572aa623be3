"""Who is a stranger to the real servers reaches no handler of theirs, and nothing is stored.

Strangers are: clients without a certificate, with an expired one, with one of another trust domain
(the handshake fails), and members of the network at a service that is not for them.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import grpc
import pytest
from google.protobuf.descriptor import ServiceDescriptor

from hsm.profiles import TLS_CLIENT_PROFILE
from juki.domain.errors import Reason
from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan
from juki.rpc.errors import details_of
from juki.v1 import (
    codes_pb2,
    digital_agency_pb2,
    disclosure_pb2,
    health_pb2,
    health_pb2_grpc,
    intake_pb2,
    lookup_pb2,
    register_pb2,
    witness_pb2,
)
from tests.custody_fixtures import TrustDomain, new_trust_domain
from tests.integration.test_bad_input import Target, send
from tests.rogue import RogueCertificate, rogue_certificate

SERVERS = {"national": "pref22", "pref22": "cs-221309", "cs-221309": "cs-221309-register"}
"""Each server and a host that may call it."""

IDENTITIES = {
    "national": "spiffe://pref22.juki.example/server",
    "pref22": "spiffe://pref22.juki.example/cs/221309",
    "cs-221309": "spiffe://pref22.juki.example/cs/221309/register",
}


@dataclass(frozen=True)
class Strangers:
    """A running network and a trust domain that is not its own but has the same names."""

    network: LocalNetwork
    foreign: TrustDomain

    @property
    def domain(self) -> TrustDomain:
        return TrustDomain(self.network.plan.provisioning)

    def handshakes_of(self, credentials: grpc.ChannelCredentials, server: str) -> grpc.RpcError:
        """How the server ends a call under these credentials."""
        name = self.network.server_name(server)
        options = [("grpc.ssl_target_name_override", name)]
        address = f"127.0.0.1:{self.network.ports[server]}"
        with grpc.secure_channel(address, credentials, options) as channel:
            stub = health_pb2_grpc.HealthReportServiceStub(channel)
            with pytest.raises(grpc.RpcError) as refused:
                stub.GetHealthReport(health_pb2.GetHealthReportRequest(), timeout=20)
            return refused.value

    def calls_counted(self, server: str) -> list[str]:
        """The server's counters of what strangers call, which no server does of its own accord."""
        port = self.network.ports[f"{server}/metrics"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
            lines = response.read().decode().splitlines()
        return [
            line
            for line in lines
            if line.startswith("juki_rpc_requests_total") and "HealthReportService" in line
        ]


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Strangers]:
    plan = NetworkPlan(tmp_path_factory.mktemp("network"), {"22": ("221309",)})
    foreign = new_trust_domain(tmp_path_factory.mktemp("foreign"))
    with LocalNetwork(plan) as network:
        network.provision()
        network.start()
        yield Strangers(network, foreign)


def credentials(rogue: RogueCertificate, roots_pem: bytes) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(roots_pem, rogue.private_key_pem, rogue.chain_pem)


@pytest.mark.parametrize("server", SERVERS)
def test_the_same_certificate_in_force_and_of_this_network_is_answered(
    strangers: Strangers, server: str
) -> None:
    """The control: what the refusals below share with a handshake that succeeds."""
    own = rogue_certificate(
        strangers.domain, "pref22", "issuing-ca", TLS_CLIENT_PROFILE, uris=(IDENTITIES[server],)
    )
    before = strangers.calls_counted(server)
    name = strangers.network.server_name(server)
    with grpc.secure_channel(
        f"127.0.0.1:{strangers.network.ports[server]}",
        credentials(own, strangers.domain.roots_pem),
        [("grpc.ssl_target_name_override", name)],
    ) as channel:
        stub = health_pb2_grpc.HealthReportServiceStub(channel)
        stub.GetHealthReport(health_pb2.GetHealthReportRequest(), timeout=20)
    assert strangers.calls_counted(server) != before


@pytest.mark.parametrize("stranger", ["missing", "expired", "foreign"])
@pytest.mark.parametrize("server", SERVERS)
def test_a_missing_expired_or_foreign_certificate_reaches_no_handler(
    strangers: Strangers, server: str, stranger: str
) -> None:
    roots_pem = strangers.domain.roots_pem
    if stranger == "missing":
        shown = grpc.ssl_channel_credentials(roots_pem)
    else:
        rogue = rogue_certificate(
            strangers.foreign if stranger == "foreign" else strangers.domain,
            "pref22",
            "issuing-ca",
            TLS_CLIENT_PROFILE,
            uris=(IDENTITIES[server],),
            expired=stranger == "expired",
        )
        shown = credentials(rogue, roots_pem)
    before = strangers.calls_counted(server)
    refused = strangers.handshakes_of(shown, server)
    assert refused.code() is grpc.StatusCode.UNAVAILABLE
    assert details_of(refused).reason is None
    assert strangers.calls_counted(server) == before


def services(server: str) -> tuple[ServiceDescriptor, ...]:
    intake = intake_pb2.DESCRIPTOR.services_by_name["NotificationIntakeService"]
    codes = codes_pb2.DESCRIPTOR.services_by_name["CodeService"]
    return {
        "national": (
            intake,
            codes,
            lookup_pb2.DESCRIPTOR.services_by_name["LookupService"],
            disclosure_pb2.DESCRIPTOR.services_by_name["DisclosureService"],
            digital_agency_pb2.DESCRIPTOR.services_by_name["DigitalAgencyService"],
            witness_pb2.DESCRIPTOR.services_by_name["WitnessService"],
        ),
        "pref22": (intake, codes),
        "cs-221309": (register_pb2.DESCRIPTOR.services_by_name["ResidentRegisterService"],),
    }[server]


CALLERS = (
    "national",
    "pref22",
    "cs-221309",
    "cs-221309-register",
    "agency-nenkin",
)
PERMITTED: dict[tuple[str, str], set[str]] = {
    ("national", "NotificationIntakeService"): {"pref22"},
    ("national", "CodeService"): {"pref22"},
    # A governor's server asks for others.
    ("national", "LookupService"): {"agency-nenkin", "pref22"},
    ("national", "DisclosureService"): {"cs-221309"},
    ("national", "DigitalAgencyService"): {"agency-nenkin"},
    ("national", "WitnessService"): {"pref22"},
    ("pref22", "NotificationIntakeService"): {"cs-221309"},
    ("pref22", "CodeService"): {"cs-221309"},
    ("cs-221309", "ResidentRegisterService"): {"cs-221309-register"},
}


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("server", SERVERS)
def test_a_member_of_the_network_is_refused_at_every_method_that_is_not_for_it(
    strangers: Strangers, server: str, caller: str
) -> None:
    with strangers.network.channel(caller, server) as channel:
        for service in services(server):
            if caller in PERMITTED[server, service.name]:
                continue
            for method in service.methods:
                with pytest.raises(grpc.RpcError) as refused:
                    send(channel, Target(server, caller, method), b"")
                refusal = details_of(refused.value)
                assert refusal.reason is Reason.IDENTITY_NOT_PERMITTED, method.full_name
