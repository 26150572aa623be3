"""A throwaway authority, a server with real mutual TLS, and a contract compiled for the tests."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry

from juki.devtools.generate_protos import compile_protos
from juki.log import configure_logging
from juki.rpc.call import current_identity, current_request_id
from juki.rpc.channel import ChannelSettings, open_channel
from juki.rpc.health import HealthMonitor
from juki.rpc.identity import IdentityKind
from juki.rpc.server import JukiServer, ServerSettings
from tests.revocation_fixtures import NothingRevoked

SERVER_NAME = "national.juki.example"
PREFECTURE = "spiffe://pref22.juki.example/server"
USUAL_SETTINGS: dict[str, Any] = {
    "address": "127.0.0.1:0",
    "worker_threads": 8,
    "maximum_message_bytes": 64 * 1024,
}


@dataclass
class Authority:
    """Certifies keys in memory."""

    name: str
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def subject(self) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])

    def certificate(self) -> bytes:
        return self._issue(self.subject, self.key, [], authority=True)

    def leaf(self, *names: x509.GeneralName, expired: bool = False) -> tuple[bytes, bytes]:
        """(private key, certificate), both PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")])
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return private, self._issue(subject, key, list(names), expired=expired)

    def _issue(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        names: list[x509.GeneralName],
        *,
        authority: bool = False,
        expired: bool = False,
    ) -> bytes:
        now = datetime.now(UTC)
        end = now - timedelta(minutes=1) if expired else now + timedelta(hours=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = builder.sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)


@dataclass
class Probe:
    """The servicer: does what the request's word says, and counts that it was reached."""

    messages: ModuleType
    reached: int = 0
    seen: list[str] = field(default_factory=list)
    actions: dict[str, Callable[[grpc.ServicerContext], None]] = field(default_factory=dict)

    def _do(self, request: Any, context: grpc.ServicerContext) -> Any:
        if isinstance(request, bytes):
            return request
        if request.word in self.actions:
            self.actions[request.word](context)
        if request.word == "who":
            return self.messages.ProbeResponse(word=current_identity().uri)
        if request.word == "id":
            return self.messages.ProbeResponse(word=current_request_id())
        return self.messages.ProbeResponse(word=request.word)

    def One(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        self.reached += 1
        return self._do(request, context)

    def Many(self, request: Any, context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: N802
        self.reached += 1
        yield self.messages.ProbeResponse(word="first")
        yield self._do(request, context)

    def Gather(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Any:  # noqa: N802
        self.reached += 1
        words = [self._do(request, context).word for request in requests]
        self.seen += words
        return self.messages.ProbeResponse(word="".join(words))

    def Exchange(  # noqa: N802
        self, requests: Iterator[Any], context: grpc.ServicerContext
    ) -> Iterator[Any]:
        self.reached += 1
        for request in requests:
            yield self._do(request, context)


def _load(name: str, path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def contract(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModuleType, ModuleType]:
    """(messages, services) of rpc_probe.proto, compiled by the project's own generator."""
    output = tmp_path_factory.mktemp("contract")
    here = Path(__file__).parent
    protos = here.parents[2] / "proto"
    compile_protos([here / "proto", protos], ["rpc_probe.proto"], output)
    messages = _load("rpc_probe_pb2", output / "rpc_probe_pb2.py")
    return messages, _load("rpc_probe_pb2_grpc", output / "rpc_probe_pb2_grpc.py")


@dataclass
class Harness:
    """A running server and ways to call it."""

    authority: Authority
    messages: ModuleType
    services: ModuleType
    probe: Probe
    registry: CollectorRegistry
    monitor: HealthMonitor
    server: JukiServer
    log: StringIO
    exits: ExitStack

    def channel(
        self,
        *uris: str,
        names: tuple[x509.GeneralName, ...] = (),
        authority: Authority | None = None,
        expired: bool = False,
        certificate: bool = True,
    ) -> grpc.Channel:
        sans = (*(x509.UniformResourceIdentifier(uri) for uri in uris), *names)
        key, chain = (authority or self.authority).leaf(*sans, expired=expired)
        root = self.authority.certificate()
        credentials = (
            grpc.ssl_channel_credentials(root, key, chain)
            if certificate
            else grpc.ssl_channel_credentials(root)
        )
        channel = open_channel(
            f"127.0.0.1:{self.server.port}", SERVER_NAME, credentials, ChannelSettings(attempts=1)
        )
        self.exits.callback(channel.close)
        return channel

    def stub(self, uri: str = PREFECTURE) -> Any:
        return self.services.ProbeServiceStub(self.channel(uri))

    def request(self, word: str = "", **fields: Any) -> Any:
        return self.messages.ProbeRequest(word=word, **fields)

    def finish(self) -> None:
        """Stops the server and waits for every handler, also those whose client has left."""
        self.server.stop(5)
        self.server._pool.shutdown(wait=True)

    def requests_counted(self, method: str, code: str, reason: str) -> float:
        labels = {
            "service": "juki.test.v1.ProbeService",
            "method": method,
            "code": code,
            "reason": reason,
        }
        return self.registry.get_sample_value("juki_rpc_requests_total", labels) or 0.0


@pytest.fixture
def start(contract: tuple[ModuleType, ModuleType]) -> Iterator[Callable[..., Harness]]:
    """Starts a server; keyword arguments go to `ServerSettings`."""
    messages, services = contract
    with ExitStack() as exits:

        def begin(*, require_client_certificate: bool = True, **settings: Any) -> Harness:
            authority = Authority("throwaway authority")
            registry = CollectorRegistry()
            log = StringIO()
            configure_logging(stream=log, request_id=current_request_id)
            key, chain = authority.leaf(x509.DNSName(SERVER_NAME))
            monitor = HealthMonitor({"always": lambda: None}, registry=registry)
            server = JukiServer(
                ServerSettings(**{**USUAL_SETTINGS, **settings}),
                grpc.ssl_server_credentials(
                    [(key, chain)],
                    authority.certificate() if require_client_certificate else None,
                    require_client_auth=require_client_certificate,
                ),
                {
                    "juki.test.v1.ProbeService": {
                        IdentityKind.PREFECTURE_SERVER,
                        IdentityKind.CS_GATEWAY,
                    }
                },
                health_servicer=monitor.servicer,
                revocation=NothingRevoked(),
                registry=registry,
                reflected_services=("juki.test.v1.ProbeService",),
            )
            probe = Probe(messages)
            services.add_ProbeServiceServicer_to_server(probe, server.grpc_server)
            services.add_UnlistedServiceServicer_to_server(probe, server.grpc_server)
            server.start()
            exits.callback(server.stop, 0)
            return Harness(
                authority, messages, services, probe, registry, monitor, server, log, exits
            )

        yield begin


@pytest.fixture
def harness(start: Callable[..., Harness]) -> Harness:
    """A server with the tests' usual settings."""
    return start()
