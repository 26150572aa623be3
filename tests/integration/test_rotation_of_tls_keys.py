"""TLS keys and those that certify them are rotated under running servers and channels."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from hsm.unattended_rotation import rotate
from juki.custody.port import ISSUING_AUTHORITY, SERVER_ISSUER, TLS_CLIENT
from juki.custody.roots import Roots, load_roots
from juki.custody.tls import ClientIdentity, server_credentials
from juki.rpc.channel import ChannelSettings, open_channel
from juki.rpc.renewing import RenewingChannel
from tests.custody_fixtures import RunningCustody, TrustDomain, new_trust_domain, running_custody
from tests.network_fixtures import wait_until

HOST = "cs-221309"
NAME = "cs-221309.pref22.juki.example"


class _Certificates(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Answers with the certificate that the caller's connection proved, once or on and on."""

    def __init__(self) -> None:
        self.closing = threading.Event()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        if details.method == "/test/Once":
            return grpc.unary_unary_rpc_method_handler(lambda _, context: _certificate(context))
        return grpc.unary_stream_rpc_method_handler(self._stream)

    def _stream(self, _request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        while context.is_active() and not self.closing.wait(0.02):
            yield _certificate(context)


def _certificate(context: grpc.ServicerContext) -> bytes:
    (pem,) = context.auth_context()["x509_pem_cert"]
    return bytes(pem)


class World:
    """A server and a client with the keys of one host, in a trust domain of their own."""

    def __init__(self, domain: TrustDomain, custody: RunningCustody, port: int) -> None:
        self.domain = domain
        self.custody = custody.client
        self.port = port

    @property
    def roots(self) -> Roots:
        return load_roots(self.domain.plan.directory / "root.pem")

    def rotate(self, key_class: str, *hosts: str) -> None:
        rotate(self.domain.plan, key_class, *hosts)

    def in_use(self, key_class: str) -> str:
        return self.custody.generations(key_class).current

    @contextmanager
    def channel(self, *, drain_seconds: float = 3600) -> Iterator[grpc.Channel]:
        identity = ClientIdentity(self.custody, self.roots)
        settings = ChannelSettings(attempts=1)
        address = f"localhost:{self.port}"
        with RenewingChannel(
            lambda: open_channel(address, NAME, identity.credentials(), settings),
            identity.version,
            look_again_seconds=0.1,
            drain_seconds=drain_seconds,
        ) as channel:
            yield channel


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    domain = new_trust_domain(tmp_path_factory.mktemp("domain"))
    with running_custody(domain.files(HOST)) as custody, ThreadPoolExecutor(8) as pool:
        running = grpc.server(pool)
        handler = _Certificates()
        running.add_generic_rpc_handlers((handler,))
        roots = load_roots(domain.plan.directory / "root.pem")
        port = running.add_secure_port("localhost:0", server_credentials(custody.client, roots))
        running.start()
        yield World(domain, custody, port)
        handler.closing.set()
        running.stop(None).wait()


class Calls:
    """Calls one after the other on one channel; none may fail."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.answers: list[bytes] = []
        self.failures: list[Exception] = []
        self._method = channel.unary_unary("/test/Once", bytes, bytes)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(0.005):
            try:
                self.answers.append(self._method(b"", timeout=30))
            except Exception as error:
                self.failures.append(error)
                return

    def wait(self, certificate: bytes) -> None:
        """Returns when calls are answered on a connection with another certificate."""
        wait_until(lambda: self.answers[-1:] not in ([], [certificate]) or bool(self.failures), 60)
        assert not self.failures

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        assert not self.failures


def test_a_channel_goes_over_to_the_new_client_key_without_a_failed_call_or_a_cut_stream(
    world: World,
) -> None:
    with world.channel() as channel:
        once = channel.unary_unary("/test/Once", bytes, bytes)
        stream = channel.unary_stream("/test/Stream", bytes, bytes)(b"")
        before = next(stream)
        calls = Calls(channel)
        world.rotate(TLS_CLIENT, HOST)
        calls.wait(before)
        assert once.future(b"", timeout=30).result() == once.with_call(b"", timeout=30)[0]
        calls.stop()
        assert set(calls.answers) == {before, once(b"", timeout=30)}
        assert next(stream) == before  # still on the old connection
        stream.cancel()
        wait_until(lambda: not channel._old)  # type: ignore[attr-defined]
    held = x509.load_der_x509_certificate(world.custody.certificate_chain(TLS_CLIENT)[0])
    assert x509.load_pem_x509_certificate(calls.answers[-1]) == held
    assert world.in_use(TLS_CLIENT) == "tls-client.2"


def test_a_stream_on_an_old_connection_is_cut_when_the_drain_is_over(world: World) -> None:
    with world.channel(drain_seconds=0) as channel:
        stream = channel.unary_stream("/test/Stream", bytes, bytes)(b"")
        next(stream)
        world.rotate(TLS_CLIENT, HOST)
        with pytest.raises(grpc.RpcError):
            for _ in stream:
                pass


def test_a_channel_stays_with_its_old_connection_while_no_new_one_can_be_made(
    world: World,
) -> None:
    with world.channel() as working:
        opened: list[grpc.Channel] = []
        versions = [1]

        def open_inner() -> grpc.Channel:
            opened.append(
                grpc.insecure_channel("localhost:1") if opened else grpc.intercept_channel(working)
            )
            return opened[-1]

        with RenewingChannel(open_inner, lambda: versions[0], look_again_seconds=0.05) as channel:
            versions[0] = 2
            wait_until(lambda: len(opened) > 1)
            assert channel.unary_unary("/test/Once", bytes, bytes)(b"", timeout=30)


def presented(world: World) -> x509.Certificate:
    """The leaf that the server shows now."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("localhost", world.port), timeout=30) as plain,
        context.wrap_socket(plain) as secured,
    ):
        return x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")


def issued_by_the_issuer_in_use(world: World) -> bool:
    issuer = x509.load_der_x509_certificate(world.custody.certificate_chain(SERVER_ISSUER)[0])
    key = issuer.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    try:
        presented(world).verify_directly_issued_by(issuer)
    except Exception:
        return False
    return True


@pytest.mark.parametrize(
    ("key_class", "holder"),
    [(SERVER_ISSUER, HOST), ("root", "root"), (ISSUING_AUTHORITY, "pref22")],
)
def test_servers_and_channels_follow_what_certifies_them(
    world: World, key_class: str, holder: str
) -> None:
    """In this order: in the end the leaf stands under a new issuer, authority and root."""
    with world.channel() as channel:
        calls = Calls(channel)
        chain = world.custody.certificate_chain(SERVER_ISSUER)
        world.rotate(key_class, holder)
        if key_class == "root":
            assert len(world.roots.der) == 2
        if key_class == ISSUING_AUTHORITY:
            # It certifies nothing again by itself: the next rotations stand under it.
            assert world.custody.certificate_chain(SERVER_ISSUER) == chain
            for below in (SERVER_ISSUER, TLS_CLIENT):
                world.rotate(below, HOST)
        if key_class != "root":
            wait_until(lambda: world.custody.certificate_chain(SERVER_ISSUER) != chain)
            wait_until(lambda: issued_by_the_issuer_in_use(world), 60)
        if key_class == ISSUING_AUTHORITY:
            calls.wait(calls.answers[0])
            authority = x509.load_der_x509_certificate(
                world.custody.certificate_chain(SERVER_ISSUER)[-1]
            )
            new_root, _ = map(x509.load_der_x509_certificate, world.roots.der)
            authority.verify_directly_issued_by(new_root)
        with world.channel() as another:
            another.unary_unary("/test/Once", bytes, bytes)(b"", timeout=30)
        seen = len(calls.answers)
        wait_until(lambda: len(calls.answers) > seen or bool(calls.failures))
        calls.stop()
