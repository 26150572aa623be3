"""nginx ends TLS before the prefecture and the nation: who calls is known to them all the same."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import grpc
import pkcs11
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pkcs11 import Attribute, ObjectClass

from hsm.certificates import chain_file, read_chain
from hsm.host_files import host_files
from hsm.plan import AUTHORITY_SOCKET
from hsm.profiles import TLS_CLIENT_PROFILE
from hsm.token import load_module
from juki.audit.port import AuditRecord
from juki.custody.client import CustodyClient
from juki.custody.port import ISSUING_AUTHORITY, TLS_CLIENT
from juki.demo.checks import NATIONAL_PENSION
from juki.demo.gateway import Register
from juki.domain.errors import Reason
from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan
from juki.rpc.channel import ChannelSettings, open_channel
from juki.rpc.errors import details_of
from juki.rpc.terminated import PEER_CERTIFICATE
from juki.v1 import lookup_pb2, lookup_pb2_grpc
from tests.custody_fixtures import TrustDomain
from tests.e2e.asking import records_of
from tests.network_fixtures import wait_until
from tests.planted_person import planted_birth
from tests.rogue import RogueCertificate, rogue_certificate

MUNICIPALITY = "221309"
NENKIN = "spiffe://agency.juki.example/nenkin"
GAIMU = "spiffe://agency.juki.example/gaimu"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    """The nation, prefecture 22 and one gateway; nginx stands before the two servers."""
    if shutil.which("nginx", path="/usr/sbin:/usr/bin") is None:
        pytest.skip("nginx is not installed")
    plan = NetworkPlan(
        tmp_path_factory.mktemp("network"),
        {"22": (MUNICIPALITY,)},
        agencies=("nenkin", "gaimu"),
        nginx_before=("national", "pref22"),
    )
    with LocalNetwork(plan) as network:
        network.provision()
        network.start()
        yield network


@pytest.fixture(scope="module")
def number(network: LocalNetwork) -> str:
    """The Individual Number of somebody whose birth went up through both nginx."""
    register = Register(network, MUNICIPALITY)
    try:
        register.record(planted_birth())
        wait_until(lambda: bool(register.event("planted-1").outcome.individual_number), 60)
        wait_until(lambda: register.progress.nation >= register.progress.issued >= 2, 60)
        return str(register.event("planted-1").outcome.individual_number)
    finally:
        register.close()


def asked(request_id: str, number: str) -> lookup_pb2.LookupRequest:
    context = lookup_pb2.LookupContext(
        affair=NATIONAL_PENSION,
        request_id=request_id,
        office="office",
        operator="operator",
        fields=[lookup_pb2.FIELD_ADDRESS],
    )
    return lookup_pb2.LookupRequest(context=context, individual_number=number)


def recorded(network: LocalNetwork, request_id: str) -> list[AuditRecord]:
    records = records_of(network.plan.host_directory("national") / "audit")
    return [record for record in records if record.request_id == request_id]


def status(network: LocalNetwork, credentials: grpc.ChannelCredentials, request_id: str) -> str:
    """What a look-up of nobody with these credentials ends with: the status code's name."""
    channel = open_channel(
        f"127.0.0.1:{network.ports['national']}",
        network.server_name("national"),
        credentials,
        ChannelSettings(attempts=1),
    )
    with channel:
        stub = lookup_pb2_grpc.LookupServiceStub(channel)
        try:
            stub.Lookup(asked(request_id, "123456789018"), timeout=30)
        except grpc.RpcError as error:
            return str(error.code().name)
    return "OK"


def test_a_body_looks_up_through_nginx_and_is_recorded_as_itself(
    network: LocalNetwork, number: str
) -> None:
    with network.channel("agency-nenkin", "national") as channel:
        answer = lookup_pb2_grpc.LookupServiceStub(channel).Lookup(asked("through-nginx", number))
    assert answer.result.outcome == lookup_pb2.LOOKUP_OUTCOME_FOUND
    (record,) = recorded(network, "through-nginx")
    assert record.body_identity == NENKIN


def test_a_certificate_that_a_client_sends_as_metadata_does_not_pass(
    network: LocalNetwork, number: str
) -> None:
    files = host_files(network.plan.directory, "agency-nenkin")
    others = quote(chain_file(files.certificates, TLS_CLIENT).read_text())
    with network.channel("agency-gaimu", "national") as channel:
        stub = lookup_pb2_grpc.LookupServiceStub(channel)
        for turn, forged in enumerate(([others], [others, others], [""])):
            metadata = [(PEER_CERTIFICATE, value) for value in forged]
            with pytest.raises(grpc.RpcError) as failed:
                stub.Lookup(asked(f"forged-{turn}", number), metadata=metadata, timeout=30)
            assert details_of(failed.value).reason is Reason.AFFAIR_NOT_GRANTED
            (record,) = recorded(network, f"forged-{turn}")
            assert record.body_identity == GAIMU


def test_over_tcp_a_certificate_named_in_metadata_is_refused(network: LocalNetwork) -> None:
    server = f"cs-{MUNICIPALITY}"
    with network.channel(f"{server}-register", server) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        stub.Check(health_pb2.HealthCheckRequest(), timeout=30)
        with pytest.raises(grpc.RpcError) as failed:
            stub.Check(
                health_pb2.HealthCheckRequest(),
                metadata=[(PEER_CERTIFICATE, "anything")],
                timeout=30,
            )
    assert details_of(failed.value).reason is Reason.IDENTITY_NOT_PERMITTED


def test_who_shows_no_certificate_or_a_foreign_one_does_not_reach_the_server(
    network: LocalNetwork,
) -> None:
    roots = network.plan.roots.read_bytes()
    domain = TrustDomain(network.plan.provisioning)

    def rogue(host: str, *, expired: bool = False) -> RogueCertificate:
        return rogue_certificate(
            domain, host, ISSUING_AUTHORITY, TLS_CLIENT_PROFILE, uris=(NENKIN,), expired=expired
        )

    def credentials(shown: RogueCertificate) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(roots, shown.private_key_pem, shown.chain_pem)

    shown = {
        "no-certificate": grpc.ssl_channel_credentials(roots),
        "self-signed": credentials(self_signed(NENKIN)),
        "beyond-its-issuers-names": credentials(rogue("pref22")),
        "expired": credentials(rogue("national", expired=True)),
    }
    for name, one in shown.items():
        assert status(network, one, name) == "UNAUTHENTICATED", name
        assert recorded(network, name) == []
    assert status(network, credentials(rogue("national")), "well-certified") == "OK"
    assert len(recorded(network, "well-certified")) == 1


def test_the_servers_behind_nginx_open_no_port_for_callers(network: LocalNetwork) -> None:
    for server in ("national", "pref22"):
        process = network.processes[server]
        assert process.facts["port"] == 0
        assert listening_ports(process.pid) == {network.ports[f"{server}/metrics"]}


def test_the_key_of_nginx_is_alone_in_its_token_and_in_no_file(network: LocalNetwork) -> None:
    module = network.plan.provisioning.module
    files = host_files(network.plan.directory, "national-nginx")
    library = load_module(module, files.directory / "softhsm2.conf")
    try:
        token = library.get_token(token_label="national-nginx")
        pin = (files.directory / "pin").read_text()
        with token.open(user_pin=pin) as session:
            (key,) = session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})
            assert not list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY}))
            assert key.label == "tls-server"
            assert key[Attribute.NEVER_EXTRACTABLE]
            with pytest.raises(pkcs11.exceptions.AttributeSensitive):
                _ = key[Attribute.VALUE]
    finally:
        library.finalize()
    own = {path for path in network.plan.directory.rglob("*") if path.is_file()}
    assert chain_file(files.certificates, "tls-server") in own
    assert not [path for path in own if b"PRIVATE KEY-----" in path.read_bytes()]


def test_nginx_shows_the_certificate_of_the_tokens_key(network: LocalNetwork) -> None:
    shown = ssl.get_server_certificate(("127.0.0.1", network.ports["national"]))
    files = host_files(network.plan.directory, "national-nginx")
    own = read_chain(chain_file(files.certificates, "tls-server"))[0]
    assert x509.load_pem_x509_certificate(shown.encode()) == own


def test_a_server_that_was_killed_and_an_nginx_that_was_reloaded_answer_again(
    network: LocalNetwork, number: str
) -> None:
    nginx = network.processes["nginx/national"].pid
    before = workers(nginx)
    os.kill(nginx, signal.SIGHUP)
    wait_until(lambda: bool(workers(nginx) - before), 60)
    network.processes["national"].kill()
    with network.channel("agency-nenkin", "national") as channel:
        stub = lookup_pb2_grpc.LookupServiceStub(channel)
        with pytest.raises(grpc.RpcError) as failed:
            stub.Lookup(asked("while-away", number), timeout=30)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        network.processes["national"].start()
        found = stub.Lookup(asked("back-again", number), timeout=30)
    assert found.result.outcome == lookup_pb2.LOOKUP_OUTCOME_FOUND


def test_a_revoked_body_is_refused_through_nginx_too(network: LocalNetwork, number: str) -> None:
    socket = host_files(network.plan.directory, "national").socket(AUTHORITY_SOCKET)
    with CustodyClient(socket) as authority:
        authority.revoke(ISSUING_AUTHORITY, GAIMU, [], "keyCompromise")

    def reason(agency: str) -> Reason | None:
        with network.channel(agency, "national") as channel:
            stub = lookup_pb2_grpc.LookupServiceStub(channel)
            try:
                stub.Lookup(asked(f"{agency}-after-revocation", number), timeout=30)
            except grpc.RpcError as error:
                return details_of(error).reason
        return None

    wait_until(lambda: reason("agency-gaimu") is Reason.IDENTITY_REVOKED, 60)
    assert reason("agency-nenkin") is None


def workers(nginx: int) -> set[str]:
    """nginx's worker processes."""
    return set(Path(f"/proc/{nginx}/task/{nginx}/children").read_text().split())


def self_signed(identity: str) -> RogueCertificate:
    """A certificate of nobody's authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stranger")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .serial_number(1)
        .public_key(key.public_key())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return RogueCertificate(pem, (certificate,))


def listening_ports(pid: int) -> set[int]:
    """TCP ports at which a process listens."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            inodes.add(str(link.readlink()).removeprefix("socket:[").rstrip("]"))
    found = set()
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            columns = row.split()
            if columns[3] == "0A" and columns[9] in inodes:
                found.add(int(columns[1].rsplit(":", 1)[1], 16))
    return found
