"""What every custody keeps, in SoftHSM behind its socket and in memory alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from juki.custody.port import (
    EXCHANGE,
    INDIVIDUAL_NUMBER,
    SERVER_ISSUER,
    SIGNING,
    TLS_CLIENT,
    WRAPPING,
    Custody,
    SealedMessage,
)
from juki.custody.sealing import recipient_key, seal
from juki.custody.verify import verify_chain, verify_signature
from juki.domain.errors import JukiError, Reason
from tests.custody_fixtures import RunningCustody, TrustDomain
from tests.memory_custody import MemoryCustody, MemoryNetwork

CS_IDENTITY = "spiffe://pref22.juki.example/cs/221309"
DIGESTS = [sha256(bytes([number])).digest() for number in range(5)]


@dataclass(frozen=True)
class Held:
    """A custody of the CS gateway of 221309, and the root it is certified under."""

    custody: Custody
    roots_der: list[bytes]


@pytest.fixture(params=["softhsm", "memory"])
def held(
    request: pytest.FixtureRequest, trust_domain: TrustDomain, provisioned_host: RunningCustody
) -> Iterator[Held]:
    if request.param == "softhsm":
        root = x509.load_pem_x509_certificate(trust_domain.roots_pem)
        yield Held(provisioned_host.client, [root.public_bytes(serialization.Encoding.DER)])
        return
    network = MemoryNetwork()
    hosts = {host.name: host for host in trust_domain.plan.hosts()}
    MemoryCustody(network, hosts["pref22"])
    yield Held(MemoryCustody(network, hosts["cs-221309"]), network.roots_der)


def test_signatures_verify_under_the_certified_identity_in_their_order(held: Held) -> None:
    signer = verify_chain(
        held.custody.certificate_chain(SIGNING), held.roots_der, datetime.now(UTC), CS_IDENTITY
    )
    signatures = held.custody.sign(SIGNING, DIGESTS)
    for digest, signature in zip(DIGESTS, signatures, strict=True):
        assert verify_signature(signer.public_key, digest, signature)
    assert held.custody.sign(SIGNING, []) == []


def test_a_data_key_is_unwrapped_by_its_own_custody_and_untouched_only(held: Held) -> None:
    made = held.custody.new_data_key(WRAPPING)
    assert held.custody.unwrap_data_key(WRAPPING, made.wrapped) == made.plaintext
    assert made.plaintext.hex() not in repr(made)
    with pytest.raises(JukiError) as refused:
        held.custody.unwrap_data_key(WRAPPING, made.wrapped[:-1] + bytes([made.wrapped[-1] ^ 1]))
    assert refused.value.reason is Reason.TAMPERING_DETECTED
    with pytest.raises(JukiError) as refused:
        held.custody.unwrap_data_key(WRAPPING, made.wrapped[:-1])
    assert refused.value.reason is Reason.INVALID_FIELD


def test_a_message_sealed_to_a_municipality_is_opened_by_its_custody_only_as_sealed(
    held: Held,
) -> None:
    chain = held.custody.certificate_chain(EXCHANGE)
    recipient = recipient_key(chain, held.roots_der, datetime.now(UTC), CS_IDENTITY)
    sealed = seal(recipient, b"moving-out certificate", b"221309 to 131016")
    assert b"moving-out" not in sealed.ciphertext
    assert held.custody.open_sealed(EXCHANGE, sealed) == b"moving-out certificate"
    with pytest.raises(JukiError) as refused:
        held.custody.open_sealed(EXCHANGE, replace(sealed, info=b"221309 to 131024"))
    assert refused.value.reason is Reason.TAMPERING_DETECTED


@pytest.mark.parametrize(
    "attempt",
    [
        lambda custody: custody.sign(SERVER_ISSUER, DIGESTS),
        lambda custody: custody.sign(WRAPPING, DIGESTS),
        lambda custody: custody.sign("no such key", DIGESTS),
        lambda custody: custody.mac(INDIVIDUAL_NUMBER, DIGESTS),
        lambda custody: custody.mac(WRAPPING, DIGESTS),
        lambda custody: custody.sign(EXCHANGE, DIGESTS),
        lambda custody: custody.open_sealed(SIGNING, SealedMessage(bytes(65), bytes(16), b"")),
        lambda custody: custody.new_data_key(SIGNING),
        lambda custody: custody.certificate_chain("issuing-ca"),
        lambda custody: custody.certify_server_leaf(TLS_CLIENT, b""),
        lambda custody: custody.certify(SERVER_ISSUER, b"", TLS_CLIENT),
    ],
)
def test_what_is_not_granted_is_refused(held: Held, attempt: Callable[[Custody], object]) -> None:
    with pytest.raises(JukiError) as refused:
        attempt(held.custody)
    assert refused.value.reason is Reason.KEY_USE_NOT_PERMITTED


def test_what_is_no_digest_is_not_signed(held: Held) -> None:
    with pytest.raises(JukiError) as refused:
        held.custody.sign(SIGNING, [bytes(31)])
    assert refused.value.reason is Reason.INVALID_FIELD


@pytest.mark.parametrize("length", [0, 65_537])
def test_random_bytes_are_drawn_within_limits(held: Held, length: int) -> None:
    assert len(held.custody.random(65_536)) == 65_536
    with pytest.raises(JukiError) as refused:
        held.custody.random(length)
    assert refused.value.reason is Reason.INVALID_FIELD


def test_a_server_leaf_bears_the_hosts_own_names(held: Held) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, hashes.SHA256())
    chain = held.custody.certify_server_leaf(
        SERVER_ISSUER, request.public_bytes(serialization.Encoding.DER)
    )
    leaf = x509.load_der_x509_certificate(chain[0])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    bare = [cast(str, name.value) for name in names]
    assert bare == [CS_IDENTITY, "cs-221309.pref22.juki.example"]
    assert leaf.public_key() == key.public_key()


def test_health_names_the_key_that_signed(held: Held) -> None:
    assert held.custody.health().key == TLS_CLIENT
