"""The gateway's process over mutual TLS, with keys in SoftHSM and a real database."""

from __future__ import annotations

import datetime
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from cs_gateway.cli import app
from juki.custody.client import CustodyClient
from juki.custody.port import SIGNING
from juki.custody.tls import channel_credentials, server_credentials
from juki.custody.verify import fingerprint, verify_chain, verify_signature
from juki.domain.change import ChangeReason
from juki.domain.envelope import notification_digest
from juki.domain.errors import Reason
from juki.revocation.service import REVOCATION_SERVICE, RevocationServicer
from juki.revocation.spreading import OwnList
from juki.rpc.channel import ChannelSettings, open_channel
from juki.rpc.errors import reason_of
from juki.rpc.health import HealthMonitor
from juki.rpc.identity import IdentityKind
from juki.rpc.server import JukiServer, ServerSettings
from juki.v1 import (
    codes_pb2_grpc,
    intake_pb2_grpc,
    register_pb2,
    register_pb2_grpc,
    revocation_pb2_grpc,
)
from tests.custody_fixtures import REPOSITORY, TrustDomain, new_trust_domain, running_custody
from tests.gateway_fixtures import MUNICIPALITY, register_event
from tests.prefecture_fixture import (
    NATION,
    PREFECTURE,
    CodeServicer,
    FakePrefecture,
    IntakeServicer,
    TestSigner,
)
from tests.revocation_fixtures import own_lists

GATEWAY_IDENTITY = f"spiffe://pref22.juki.example/cs/{MUNICIPALITY}"


def _signer(custody: CustodyClient, identity: str) -> TestSigner:
    chain = custody.certificate_chain(SIGNING)
    return TestSigner(
        identity, fingerprint(chain[0]), chain, lambda digest: custody.sign(SIGNING, [digest])[0]
    )


@dataclass
class Network:
    """Custody of every host, a prefecture behind gRPC, and the way to start a gateway."""

    domain: TrustDomain
    directory: Path
    gateway_custody: CustodyClient
    register_custody: CustodyClient
    agency_custody: CustodyClient
    prefecture: FakePrefecture
    prefecture_port: int

    def configuration(self) -> Path:
        """The gateway's configuration file."""
        path = self.directory / "cs.toml"
        roots = self.directory / "root.pem"
        roots.write_bytes(self.domain.roots_pem)
        socket = self.domain.files(f"cs-{MUNICIPALITY}").socket("custody.sock")
        path.write_text(
            f"""
            municipality = "{MUNICIPALITY}"
            listen_address = "127.0.0.1:0"
            database_url = "sqlite:///{self.directory / "gateway.db"}"
            custody_socket = "{socket}"
            roots_pem = "{roots}"
            low_water = 50
            target = 200

            [upstream]
            address = "127.0.0.1:{self.prefecture_port}"
            server_name = "server.pref22.juki.example"

            [drop_folder]
            directory = "{self.directory / "drop"}"
            """,
            encoding="utf-8",
        )
        return path

    @contextmanager
    def gateway(self) -> Iterator[tuple[subprocess.Popen[str], str]]:
        """A running gateway process and its address."""
        with (self.directory / "stderr").open("a") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "cs_gateway", "--config", str(self.configuration())],
                cwd=REPOSITORY,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            assert first, (self.directory / "stderr").read_text()
            yield process, f"127.0.0.1:{json.loads(first)['port']}"
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) in (0, -signal.SIGKILL)
            process.stdout.close()

    @contextmanager
    def stub(
        self, address: str, custody: CustodyClient | None = None
    ) -> Iterator[register_pb2_grpc.ResidentRegisterServiceStub]:
        """What the municipality's register calls with."""
        credentials = channel_credentials(custody or self.register_custody, self.domain.roots_pem)
        name = f"cs-{MUNICIPALITY}.pref22.juki.example"
        with open_channel(address, name, credentials, ChannelSettings(attempts=1)) as channel:
            yield register_pb2_grpc.ResidentRegisterServiceStub(channel)


@pytest.fixture(scope="module")
def own_domain(tmp_path_factory: pytest.TempPathFactory) -> TrustDomain:
    """Not the session's: its custody of the gateway may be running."""
    return new_trust_domain(tmp_path_factory.mktemp("domain"))


@pytest.fixture
def network(own_domain: TrustDomain, tmp_path: Path) -> Iterator[Network]:
    with ExitStack() as stack:
        custodies = {
            host: stack.enter_context(running_custody(own_domain.files(host))).client
            for host in (
                "national",
                "pref22",
                f"cs-{MUNICIPALITY}",
                f"cs-{MUNICIPALITY}-register",
                "agency-pension",
            )
        }
        prefecture = FakePrefecture(
            signer=_signer(custodies["pref22"], PREFECTURE),
            nation=_signer(custodies["national"], NATION),
        )
        registry = CollectorRegistry()
        book = own_lists(custodies["pref22"], own_domain)
        OwnList(custodies["national"], book).take()
        health = HealthMonitor({"always": lambda: None}, registry=registry)
        allowed = frozenset({IdentityKind.CS_GATEWAY})
        server = JukiServer(
            ServerSettings(address="127.0.0.1:0"),
            server_credentials(custodies["pref22"], own_domain.roots_pem),
            {
                "juki.v1.NotificationIntakeService": allowed,
                "juki.v1.CodeService": allowed,
                REVOCATION_SERVICE: allowed,
            },
            health_servicer=health.servicer,
            revocation=book,
            registry=registry,
        )
        intake_pb2_grpc.add_NotificationIntakeServiceServicer_to_server(
            IntakeServicer(prefecture), server.grpc_server
        )
        codes_pb2_grpc.add_CodeServiceServicer_to_server(
            CodeServicer(prefecture), server.grpc_server
        )
        revocation_pb2_grpc.add_RevocationServiceServicer_to_server(
            RevocationServicer(book, lambda _: None), server.grpc_server
        )
        server.start()
        stack.callback(server.stop, 0)
        stack.callback(prefecture.close_returns)
        yield Network(
            domain=own_domain,
            directory=tmp_path,
            gateway_custody=custodies[f"cs-{MUNICIPALITY}"],
            register_custody=custodies[f"cs-{MUNICIPALITY}-register"],
            agency_custody=custodies["agency-pension"],
            prefecture=prefecture,
            prefecture_port=server.port,
        )


def _births(first: int, count: int) -> register_pb2.RecordEventsRequest:
    return register_pb2.RecordEventsRequest(
        events=[
            register_event(f"e{n}", f"r{n}", ChangeReason.BIRTH)
            for n in range(first, first + count)
        ]
    )


def _follow_until_known_nationally(
    stub: register_pb2_grpc.ResidentRegisterServiceStub, sequence: int
) -> register_pb2.FollowProgressResponse:
    call = stub.FollowProgress(register_pb2.FollowProgressRequest(), timeout=60)
    for progress in call:
        if progress.nation_through >= sequence:
            call.cancel()
            return progress
    raise AssertionError("the stream of progress ended")


def test_a_registers_events_are_known_nationally_and_carry_the_gateways_signature(
    network: Network,
) -> None:
    with network.gateway() as (_, address), network.stub(address) as stub:
        response = stub.RecordEvents(_births(0, 60), timeout=30)
        assert [o.notification.sequence for o in response.outcomes] == list(range(1, 61))
        assert all(len(o.individual_number) == 12 for o in response.outcomes)
        progress = _follow_until_known_nationally(stub, 60)
        assert progress.nation_receipt_at.seconds > 0
        event = stub.GetEvent(register_pb2.GetEventRequest(event_id="e7"), timeout=10)
        assert event.known_nationally
        assert event.known_to_prefecture
        assert event.outcome == response.outcomes[7]
        with pytest.raises(grpc.RpcError) as unknown:
            stub.GetEvent(register_pb2.GetEventRequest(event_id="never"), timeout=10)
        assert reason_of(unknown.value) is Reason.RECORD_NOT_FOUND
    roots = [
        certificate.public_bytes(Encoding.DER)
        for certificate in x509.load_pem_x509_certificates(network.domain.roots_pem)
    ]
    chain = network.gateway_custody.certificate_chain(SIGNING)
    now = datetime.datetime.now(datetime.UTC)
    signer = verify_chain(chain, roots, now, GATEWAY_IDENTITY)
    for signed in network.prefecture.held.values():
        digest = notification_digest(signed.notification)
        assert verify_signature(signer.public_key, digest, signed.signature)
        assert signed.key_id == signer.key_id


def test_a_killed_gateway_has_lost_nothing_that_it_acknowledged(network: Network) -> None:
    acknowledged: list[register_pb2.EventOutcome] = []
    for start in (0, 100, 200):
        with network.gateway() as (process, address), network.stub(address) as stub:
            acknowledged += stub.RecordEvents(_births(start, 40), timeout=30).outcomes
            under_way = stub.RecordEvents.future(_births(start + 40, 40), timeout=30)
            process.kill()
            process.wait()
            under_way.exception()
    with network.gateway() as (_, address), network.stub(address) as stub:
        again = [
            outcome
            for start in (0, 100, 200)
            for outcome in stub.RecordEvents(_births(start, 80), timeout=30).outcomes
        ]
        by_id = {outcome.event_id: outcome for outcome in again}
        for outcome in acknowledged:
            assert by_id[outcome.event_id].notification == outcome.notification
            assert by_id[outcome.event_id].resident_record_code == outcome.resident_record_code
        assert len({outcome.resident_record_code for outcome in again}) == 240
        _follow_until_known_nationally(stub, 240)
    assert sorted(network.prefecture.held)[:240] == [(1, n) for n in range(1, 241)]


def test_only_the_municipalitys_own_register_may_call(network: Network) -> None:
    with (
        network.gateway() as (_, address),
        network.stub(address, network.agency_custody) as agency,
        network.stub(address, network.gateway_custody) as gateway,
    ):
        for stub in (agency, gateway):
            with pytest.raises(grpc.RpcError) as refused:
                stub.RecordEvents(_births(0, 1), timeout=10)
            assert reason_of(refused.value) is Reason.IDENTITY_NOT_PERMITTED


def test_an_operator_sees_the_standing_and_exports_refused_lines(
    network: Network, tmp_path: Path
) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    (drop / "a.jsonl").write_bytes(b"not JSON\n")
    with network.gateway() as (_, address), network.stub(address) as stub:
        stub.RecordEvents(_births(0, 2), timeout=30)
        _follow_until_known_nationally(stub, 4)
    assert not (drop / "a.jsonl").exists()
    config = str(network.configuration())
    runner = CliRunner()
    status = runner.invoke(app, ["status", "--config", config])
    assert status.exit_code == 0, status.output
    assert "nation" in status.output
    output = tmp_path / "lines.jsonl"
    export = ["quarantine", "export", "--config", config, "--file-id", "1", "--output", str(output)]
    assert "a.jsonl" in runner.invoke(app, ["quarantine", "list", "--config", config]).output
    assert runner.invoke(app, [*export, "--forget"]).exit_code == 0
    assert output.read_bytes() == b"not JSON\n"
    assert "a.jsonl" not in runner.invoke(app, ["quarantine", "list", "--config", config]).output
    start = ["new-epoch", "--config", config, "--reason", "exercise", "--operator", "op-7"]
    started = runner.invoke(app, start)
    assert "epoch 2 begins; 0 notifications fetched back" in started.output
    with network.gateway() as (_, address), network.stub(address) as stub:
        [outcome] = stub.RecordEvents(_births(9, 1), timeout=30).outcomes
        assert (outcome.notification.epoch, outcome.notification.sequence) == (2, 2)
        _follow_until_known_nationally(stub, 2)
