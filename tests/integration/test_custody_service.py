"""The custody process: what it does, for whom, and what it survives."""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pkcs11 import Attribute

from hsm.host_files import HostFiles
from hsm.plan import AUTHORITY_SOCKET, SERVER_SOCKET
from hsm.token import _NEVER_LEAVES, open_token
from juki.custody.client import CustodyClient
from juki.custody.framing import LENGTH, MAXIMUM_FRAME_BYTES, frame, take_frames
from juki.custody.port import (
    INDIVIDUAL_NUMBER,
    ISSUING_AUTHORITY,
    MAXIMUM_ITEMS,
    SERVER_ISSUER,
    SIGNING,
    TLS_CLIENT,
    WRAPPING,
)
from juki.custody.verify import fingerprint, verify_chain, verify_signature
from juki.domain.errors import JukiError, Reason
from juki.v1 import custody_pb2 as pb
from tests.custody_fixtures import (
    REPOSITORY,
    RunningCustody,
    TrustDomain,
    running_custody,
    start_custody,
)

CS_IDENTITY = "spiffe://pref22.juki.example/cs/221309"


def digests(count: int) -> list[bytes]:
    return [hashlib.sha256(number.to_bytes(4)).digest() for number in range(count)]


def change(files: HostFiles, old: str, new: str) -> None:
    text = files.configuration.read_text()
    assert old in text
    files.configuration.write_text(text.replace(old, new))


def refusal_to_start(files: HostFiles) -> str:
    with pytest.raises(AssertionError) as refused:
        start_custody(files.configuration)
    return str(refused.value)


def test_what_the_token_signs_verifies_under_the_hosts_certified_identity(
    provisioned_host: RunningCustody, trust_domain: TrustDomain
) -> None:
    chain = provisioned_host.client.certificate_chain(SIGNING)
    root = x509.load_pem_x509_certificate(trust_domain.roots_pem)
    roots = [root.public_bytes(serialization.Encoding.DER)]
    signer = verify_chain(chain, roots, datetime.now(UTC), CS_IDENTITY)
    assert signer.key_id == fingerprint(chain[0])
    signatures = provisioned_host.client.sign(SIGNING, digests(300))
    for digest, signature in zip(digests(300), signatures, strict=True):
        assert verify_signature(signer.public_key, digest, signature)
    assert not verify_signature(signer.public_key, digests(2)[1], signatures[0])


def test_a_batch_longer_than_a_request_is_cut_and_keeps_its_order(
    provisioned_host: RunningCustody,
) -> None:
    asked = digests(MAXIMUM_ITEMS + 1)
    signatures = provisioned_host.client.sign(SIGNING, asked)
    assert len(signatures) == len(asked)
    leaf = x509.load_der_x509_certificate(provisioned_host.client.certificate_chain(SIGNING)[0])
    public_key = leaf.public_key()
    assert isinstance(public_key, ec.EllipticCurvePublicKey)
    assert verify_signature(public_key, asked[-1], signatures[-1])
    assert verify_signature(public_key, asked[0], signatures[0])


def test_an_empty_batch_asks_nothing(provisioned_host: RunningCustody) -> None:
    assert provisioned_host.client.sign(SIGNING, []) == []


def test_what_is_no_digest_is_not_signed(provisioned_host: RunningCustody) -> None:
    with pytest.raises(JukiError) as refused:
        provisioned_host.client.sign(SIGNING, [b"thirty-one bytes are no digest.."[:31]])
    assert refused.value.reason is Reason.INVALID_FIELD


def test_a_data_key_comes_back_from_its_wrapping_and_from_no_other(
    provisioned_host: RunningCustody,
) -> None:
    made = provisioned_host.client.new_data_key(WRAPPING)
    assert len(made.plaintext) == 32
    assert made.plaintext not in made.wrapped
    assert provisioned_host.client.unwrap_data_key(WRAPPING, made.wrapped) == made.plaintext
    for place in (0, 20, len(made.wrapped) - 1):
        tampered = bytearray(made.wrapped)
        tampered[place] ^= 1
        with pytest.raises(JukiError) as refused:
            provisioned_host.client.unwrap_data_key(WRAPPING, bytes(tampered))
        assert refused.value.reason is Reason.TAMPERING_DETECTED
    assert provisioned_host.client.unwrap_data_key(WRAPPING, made.wrapped) == made.plaintext


def test_random_bytes_differ(provisioned_host: RunningCustody) -> None:
    assert len(provisioned_host.client.random(48)) == 48
    assert provisioned_host.client.random(48) != provisioned_host.client.random(48)


def test_health_has_signed_something(provisioned_host: RunningCustody) -> None:
    health = provisioned_host.client.health()
    assert health.key == TLS_CLIENT
    assert health.sign_microseconds > 0
    assert health.token_label == "cs-221309"


def test_what_is_not_listed_is_refused(provisioned_host: RunningCustody) -> None:
    client = provisioned_host.client
    for attempt in (
        lambda: client.sign(SERVER_ISSUER, digests(1)),
        lambda: client.sign(WRAPPING, digests(1)),
        lambda: client.sign("no such key", digests(1)),
        lambda: client.mac(INDIVIDUAL_NUMBER, [b"message"]),
        lambda: client.unwrap_data_key(SIGNING, bytes(60)),
        lambda: client.certify(SERVER_ISSUER, b"", TLS_CLIENT),
    ):
        with pytest.raises(JukiError) as refused:
            attempt()
        assert refused.value.reason is Reason.KEY_USE_NOT_PERMITTED


def test_only_the_nation_converts_to_individual_numbers(trust_domain: TrustDomain) -> None:
    with running_custody(trust_domain.files("national")) as national:
        first, again, other = national.client.mac(INDIVIDUAL_NUMBER, [b"one", b"one", b"two"])
    assert first == again
    assert first != other
    assert len(first) == 32
    assert first != hmac.digest(b"", b"one", "sha256")


def request_for(identity: str, dns: str | None = None) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(identity)]
    if dns:
        names.append(x509.DNSName(dns))
    request = (
        x509.CertificateSigningRequestBuilder(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key, request.public_bytes(serialization.Encoding.DER)


def test_a_prefecture_certifies_its_own_new_hosts_and_no_others(trust_domain: TrustDomain) -> None:
    files = trust_domain.files("pref22")
    root = x509.load_pem_x509_certificate(trust_domain.roots_pem)
    roots = [root.public_bytes(serialization.Encoding.DER)]
    with (
        running_custody(files) as server,
        CustodyClient(files.socket(AUTHORITY_SOCKET)) as authority,
    ):
        key, request = request_for("spiffe://pref22.juki.example/cs/221007")
        chain = authority.certify(ISSUING_AUTHORITY, request, SIGNING)
        signer = verify_chain(
            chain, roots, datetime.now(UTC), "spiffe://pref22.juki.example/cs/221007"
        )
        assert signer.public_key == key.public_key()

        _, foreign = request_for("spiffe://pref13.juki.example/server")
        with pytest.raises(JukiError) as refused:
            authority.certify(ISSUING_AUTHORITY, foreign, TLS_CLIENT)
        assert refused.value.reason is Reason.IDENTITY_NOT_PERMITTED

        _, foreign = request_for("spiffe://pref22.juki.example/cs/221007", "pref13.juki.example")
        with pytest.raises(JukiError) as refused:
            authority.certify(ISSUING_AUTHORITY, foreign, SERVER_ISSUER)
        assert refused.value.reason is Reason.IDENTITY_NOT_PERMITTED

        with pytest.raises(JukiError) as refused:
            server.client.certify(ISSUING_AUTHORITY, request, SIGNING)
        assert refused.value.reason is Reason.KEY_USE_NOT_PERMITTED


def test_a_server_leaf_bears_the_hosts_names_whatever_the_request_says(
    provisioned_host: RunningCustody,
) -> None:
    _, request = request_for(
        "spiffe://national.juki.example/server", "server.national.juki.example"
    )
    chain = provisioned_host.client.certify_server_leaf(SERVER_ISSUER, request)
    leaf = x509.load_der_x509_certificate(chain[0])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in names] == [CS_IDENTITY, "cs-221309.pref22.juki.example"]
    assert len(chain) == 3


def test_another_users_process_is_refused(own_host: HostFiles) -> None:
    change(own_host, f"allowed_uids = [{os.getuid()}]", f"allowed_uids = [{os.getuid() + 1}]")
    with running_custody(own_host) as custody:
        with pytest.raises(JukiError) as refused:
            custody.client.sign(SIGNING, digests(1))
        assert refused.value.reason is Reason.IDENTITY_NOT_PERMITTED


def test_the_socket_is_closed_to_other_users(provisioned_host: RunningCustody) -> None:
    assert provisioned_host.files.socket(SERVER_SOCKET).stat().st_mode & 0o777 == 0o600


def test_a_client_goes_on_after_custody_was_killed_and_started_again(own_host: HostFiles) -> None:
    with running_custody(own_host) as custody:
        before = custody.client.certificate_chain(SIGNING)
        custody.kill()
        custody.start_again()
        assert custody.client.certificate_chain(SIGNING) == before
        assert len(custody.client.sign(SIGNING, digests(2))) == 2


def test_a_call_made_while_custody_is_down_is_answered_once_it_is_back(
    own_host: HostFiles,
) -> None:
    with running_custody(own_host) as custody:
        custody.kill()
        tried = threading.Event()
        answers: list[list[bytes]] = []

        def pause(seconds: float) -> None:
            tried.set()
            threading.Event().wait(seconds)

        with CustodyClient(own_host.socket(SERVER_SOCKET), 60, pause=pause) as client:
            caller = threading.Thread(
                target=lambda: answers.append(client.sign(SIGNING, digests(1)))
            )
            caller.start()
            assert tried.wait(60)
            custody.start_again()
            caller.join()
        assert len(answers) == 1


def test_a_client_gives_up_when_custody_stays_away(tmp_path: Path) -> None:
    time = [0.0]

    def pause(seconds: float) -> None:
        assert 0 < seconds <= 0.5
        time[0] += seconds

    client = CustodyClient(
        tmp_path / "nobody.sock", timeout_seconds=3, monotonic=lambda: time[0], pause=pause
    )
    with pytest.raises(JukiError) as refused:
        client.health()
    assert refused.value.reason is Reason.CUSTODY_UNAVAILABLE
    assert time[0] == pytest.approx(3)


def test_a_wrong_pin_is_named_with_its_file_and_never_shown(own_host: HostFiles) -> None:
    pin = own_host.directory / "pin"
    pin.write_text("0123456789abcdef")
    words = refusal_to_start(own_host)
    assert "the token 'cs-221309' refuses the PIN in its file" in words
    assert str(pin) in words
    assert "0123456789abcdef" not in words


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("health_key =", "helth_key =", "helth_key: Extra inputs are not permitted"),
        ('label = "cs-221309"', 'label = "cs-1"', "no token is labelled 'cs-1'"),
        ('mode = "0600"', 'mode = "0666"', "sockets.0.mode"),
        ('key = "signing"', 'key = "singing"', "no key labelled 'singing'"),
        ('operations = ["sign", "certificate_chain"]', "operations = []", "operations"),
        ("libsofthsm2.so", "libabsent.so", "cannot be initialised"),
    ],
)
def test_a_faulty_configuration_stops_the_start_with_what_is_wrong(
    own_host: HostFiles, old: str, new: str, words: str
) -> None:
    change(own_host, old, new)
    assert words in refusal_to_start(own_host)


def test_two_keys_of_one_label_are_never_chosen_between(
    own_host: HostFiles, trust_domain: TrustDomain
) -> None:
    location = own_host.token(trust_domain.plan.module, "cs-221309")
    with open_token(location, writable=True) as token:
        token.generate_signing_key(SIGNING)
    assert "several keys labelled 'signing'" in refusal_to_start(own_host)


def test_a_key_that_could_leave_the_token_is_not_used(
    own_host: HostFiles, trust_domain: TrustDomain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_NEVER_LEAVES, Attribute.EXTRACTABLE, True)
    location = own_host.token(trust_domain.plan.module, "cs-221309")
    with open_token(location, writable=True) as token:
        token.generate_signing_key("loose")
    change(own_host, 'key = "signing"', 'key = "loose"')
    assert "the key 'loose' is extractable" in refusal_to_start(own_host)


def test_a_socket_that_permits_nothing_does_not_start(own_host: HostFiles) -> None:
    text = own_host.configuration.read_text()
    own_host.configuration.write_text(text[: text.index("[[sockets.permissions]]")])
    assert "sockets.0.permissions" in refusal_to_start(own_host)


def test_a_second_custody_does_not_take_the_socket_of_a_living_one(
    provisioned_host: RunningCustody,
) -> None:
    assert "another custody listens" in refusal_to_start(provisioned_host.files)
    assert provisioned_host.client.health().token_label == "cs-221309"


def test_custody_ends_in_order_at_a_sigterm(own_host: HostFiles) -> None:
    with running_custody(own_host) as custody:
        custody.process.terminate()
        assert custody.process.wait() == 0
        assert not own_host.socket(SERVER_SOCKET).exists()


@pytest.mark.parametrize("request_bytes", [b"", b"\x30\x00", bytes(100)])
def test_a_broken_certificate_request_is_refused_and_custody_lives_on(
    provisioned_host: RunningCustody, request_bytes: bytes
) -> None:
    with pytest.raises(JukiError) as refused:
        provisioned_host.client.certify_server_leaf(SERVER_ISSUER, request_bytes)
    assert refused.value.reason is Reason.INVALID_FIELD
    assert provisioned_host.client.health().token_label == "cs-221309"


@pytest.fixture
def bare(provisioned_host: RunningCustody) -> Iterator[socket.socket]:
    """A connection without the client's good manners."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(provisioned_host.files.socket(SERVER_SOCKET)))
        yield connection


def responses(connection: socket.socket, count: int) -> list[pb.CustodyResponse]:
    received = bytearray()
    found: list[pb.CustodyResponse] = []
    while len(found) < count:
        data = connection.recv(1 << 16)
        assert data, "custody closed the connection"
        received += data
        found += [pb.CustodyResponse.FromString(one) for one in take_frames(received)]
    return found


def test_requests_are_pipelined_and_a_long_batch_does_not_delay_a_short_one(
    bare: socket.socket,
) -> None:
    long = pb.CustodySignRequest(key=SIGNING, digests=digests(MAXIMUM_ITEMS))
    short = pb.CustodySignRequest(key=SIGNING, digests=digests(1))
    bare.sendall(
        frame(pb.CustodyRequest(request_id=1, sign=long).SerializeToString())
        + frame(pb.CustodyRequest(request_id=2, sign=short).SerializeToString())
    )
    first, second = responses(bare, 2)
    assert (first.request_id, len(first.items.items)) == (2, 1)
    assert (second.request_id, len(second.items.items)) == (1, MAXIMUM_ITEMS)


def test_hundreds_of_requests_may_be_sent_before_the_first_answer_is_read(
    bare: socket.socket,
) -> None:
    short = pb.CustodySignRequest(key=SIGNING, digests=digests(1))
    for number in range(1, 501):
        bare.sendall(frame(pb.CustodyRequest(request_id=number, sign=short).SerializeToString()))
    assert {one.request_id for one in responses(bare, 500)} == set(range(1, 501))


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (LENGTH.pack(MAXIMUM_FRAME_BYTES + 1), Reason.MESSAGE_TOO_LARGE),
        (frame(b"\xff\xff\xff"), Reason.MALFORMED_MESSAGE),
    ],
)
def test_a_caller_who_breaks_the_framing_is_answered_and_cut_off(
    bare: socket.socket, sent: bytes, reason: Reason
) -> None:
    bare.sendall(sent)
    (response,) = responses(bare, 1)
    assert (response.request_id, response.error.reason) == (0, reason)
    assert bare.recv(1) == b""


@pytest.mark.parametrize("count", [0, MAXIMUM_ITEMS + 1])
def test_a_request_holds_one_to_4096_items(bare: socket.socket, count: int) -> None:
    asked = pb.CustodySignRequest(key=SIGNING, digests=digests(count))
    bare.sendall(frame(pb.CustodyRequest(request_id=7, sign=asked).SerializeToString()))
    (response,) = responses(bare, 1)
    assert (response.request_id, response.error.reason) == (7, Reason.INVALID_FIELD)


def test_a_request_without_an_operation_is_refused(bare: socket.socket) -> None:
    bare.sendall(frame(pb.CustodyRequest(request_id=7).SerializeToString()))
    assert responses(bare, 1)[0].error.reason == Reason.MALFORMED_MESSAGE


def test_many_threads_share_one_client(provisioned_host: RunningCustody) -> None:
    def use() -> None:
        for _ in range(20):
            results.append(len(provisioned_host.client.sign(SIGNING, digests(3))))

    results: list[int] = []
    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [3] * 160


def test_custody_takes_nothing_but_its_configuration_file_as_argument() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "hsm", "--pin", "1"],
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 2
