"""Sealed messages (RFC 9180) opened in the token: vectors, other implementations, every fault."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyhpke
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11.util.ec import encode_named_curve_parameters

from hsm.hpke import key_schedule, open_sealed, sealed_message
from hsm.plan import DEFAULT_MODULE
from hsm.token import Token, TokenLocation, open_token
from hsm.token_making import make_softhsm_token, write_secret
from hsm.wiping import taken, wiped_after
from juki.custody.port import (
    EXCHANGE,
    MAXIMUM_CONTEXT_BYTES,
    MAXIMUM_SEALED_BYTES,
    Aead,
    Custody,
    SealedMessage,
)
from juki.custody.sealing import recipient_key, seal
from juki.custody.verify import verify_chain
from juki.domain.errors import JukiError, Reason
from juki.v1 import custody_pb2 as pb
from tests.custody_fixtures import RunningCustody, TrustDomain

CS_IDENTITY = "spiffe://pref22.juki.example/cs/221309"
INFO = b"221309 to 131016"
PLAINTEXT = "転出証明書情報".encode()

# RFC 9180 appendix A.3.1: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, base mode, first
# message.
VECTOR_PRIVATE = bytes.fromhex("f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2")
VECTOR_PUBLIC = bytes.fromhex(
    "04fe8c19ce0905191ebc298a9245792531f26f0cece2460639e8bc39cb7f706a82"
    "6a779b4cf969b8a0e539c7f62fb3d30ad6aa8f80e30f1d128aafd68a2ce72ea0"
)
VECTOR = SealedMessage(
    encapsulated_key=bytes.fromhex(
        "04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac9"
        "8536d7b61a1af4b78e5b7f951c0900be863c403ce65c9bfcb9382657222d18c4"
    ),
    ciphertext=bytes.fromhex(
        "5ad590bb8baa577f8619db35a36311226a896e7342a6d836d8b7bcd2f20b6c7f9076ac232e3ab2523f39513434"
    ),
    info=bytes.fromhex("4f6465206f6e2061204772656369616e2055726e"),
    associated_data=b"Count-0",
    aead=Aead.AES_128_GCM,
)
VECTOR_PLAINTEXT = b"Beauty is truth, truth beauty"
VECTOR_SHARED = "c0d26aeab536609a572b07695d933b589dcf363ff9d93c93adea537aeabb8cb8"
VECTOR_KEY = "868c066ef58aae6dc589b6cfdd18f97e"
VECTOR_NONCE = "4e0bc5018beba4bf004cca59"


@pytest.fixture
def token_of_the_vector(tmp_path: Path) -> Iterator[Token]:
    """A token of the test's own into which the vector's private key is put."""
    location = TokenLocation(DEFAULT_MODULE, "vector", tmp_path / "pin", tmp_path / "softhsm2.conf")
    make_softhsm_token(location, "123456", "12345678")
    write_secret(location.pin_file, "123456")
    with open_token(location, writable=True) as token:
        common = {
            Attribute.KEY_TYPE: KeyType.EC,
            Attribute.LABEL: EXCHANGE,
            Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1"),
        }
        octets = b"\x04\x41" + VECTOR_PUBLIC  # DER: an OCTET STRING of 65 bytes
        token._session.create_object(
            {**common, Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.EC_POINT: octets}
        )
        token._session.create_object(
            {
                **common,
                Attribute.CLASS: ObjectClass.PRIVATE_KEY,
                Attribute.VALUE: VECTOR_PRIVATE,
                Attribute.DERIVE: True,
                Attribute.SENSITIVE: True,
                Attribute.EXTRACTABLE: False,
            }
        )
        yield token


def opened(token: Token, message: SealedMessage) -> bytes:
    """What custody's operation answers, over a key that custody itself would refuse: the vector's
    was not made in the token."""
    asked = pb.CustodyOpenRequest(
        key=EXCHANGE,
        aead=message.aead,
        encapsulated_key=message.encapsulated_key,
        ciphertext=message.ciphertext,
        info=message.info,
        associated_data=message.associated_data,
    )
    return open_sealed(
        sealed_message(asked),
        token.public_key(EXCHANGE),
        lambda point: token.agreed_secret(EXCHANGE, point),
    )


def recipient(trust_domain: TrustDomain, custody: Custody) -> ec.EllipticCurvePublicKey:
    root = x509.load_pem_x509_certificate(trust_domain.roots_pem).public_bytes(Encoding.DER)
    return recipient_key(
        custody.certificate_chain(EXCHANGE), [root], datetime.now(UTC), CS_IDENTITY
    )


def sealed_by_pyhpke(
    key: ec.EllipticCurvePublicKey, aead: pyhpke.AEADId, associated_data: bytes
) -> SealedMessage:
    suite = pyhpke.CipherSuite.new(
        pyhpke.KEMId.DHKEM_P256_HKDF_SHA256, pyhpke.KDFId.HKDF_SHA256, aead
    )
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    encapsulated, sender = suite.create_sender_context(
        suite.kem.deserialize_public_key(point), INFO
    )
    return SealedMessage(
        encapsulated_key=encapsulated,
        ciphertext=sender.seal(PLAINTEXT, associated_data),
        info=INFO,
        associated_data=associated_data,
        aead=Aead(aead.value),
    )


def test_the_vector_of_rfc_9180_opens_in_the_token(token_of_the_vector: Token) -> None:
    assert opened(token_of_the_vector, VECTOR) == VECTOR_PLAINTEXT
    changed = replace(VECTOR, associated_data=b"Count-1")
    with pytest.raises(JukiError) as refused:
        opened(token_of_the_vector, changed)
    assert refused.value.reason is Reason.TAMPERING_DETECTED


def test_the_key_schedule_is_that_of_rfc_9180() -> None:
    key, nonce = key_schedule(bytearray.fromhex(VECTOR_SHARED), Aead.AES_128_GCM, VECTOR.info)
    assert (key.hex(), nonce.hex()) == (VECTOR_KEY, VECTOR_NONCE)


def test_a_secret_that_begins_with_zeros_keeps_its_length(token_of_the_vector: Token) -> None:
    own = ec.derive_private_key(int.from_bytes(VECTOR_PRIVATE), ec.SECP256R1())
    for scalar in range(2, 5000):
        point = ec.derive_private_key(scalar, ec.SECP256R1()).public_key()
        expected = own.exchange(ec.ECDH(), point)
        if expected[0] == 0:
            break
    encoded = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert expected[0] == 0
    assert token_of_the_vector.agreed_secret(EXCHANGE, encoded) == expected


def test_the_secret_agreed_on_is_no_object_of_the_token(token_of_the_vector: Token) -> None:
    def secrets() -> int:
        kind = {Attribute.CLASS: ObjectClass.SECRET_KEY}
        return len(list(token_of_the_vector._session.get_objects(kind)))

    assert opened(token_of_the_vector, VECTOR) == VECTOR_PLAINTEXT
    assert secrets() == 0


@pytest.mark.parametrize("associated_data", [b"", b"bound too"])
@pytest.mark.parametrize("aead", [pyhpke.AEADId.AES128_GCM, pyhpke.AEADId.AES256_GCM])
def test_custody_opens_what_pyhpke_seals(
    trust_domain: TrustDomain,
    provisioned_host: RunningCustody,
    aead: pyhpke.AEADId,
    associated_data: bytes,
) -> None:
    key = recipient(trust_domain, provisioned_host.client)
    sealed = sealed_by_pyhpke(key, aead, associated_data)
    assert provisioned_host.client.open_sealed(EXCHANGE, sealed) == PLAINTEXT


@pytest.mark.parametrize("aead", [Aead.AES_128_GCM, Aead.AES_256_GCM])
def test_custody_opens_what_cryptography_seals(
    trust_domain: TrustDomain, provisioned_host: RunningCustody, aead: Aead
) -> None:
    key = recipient(trust_domain, provisioned_host.client)
    sealed = Suite(KEM.P256, KDF.HKDF_SHA256, getattr(AEAD, aead.name)).encrypt(
        PLAINTEXT, key, INFO
    )
    message = SealedMessage(sealed[:65], sealed[65:], INFO, aead=aead)
    assert provisioned_host.client.open_sealed(EXCHANGE, message) == PLAINTEXT


def test_others_open_what_our_sender_seals() -> None:
    own = ec.generate_private_key(ec.SECP256R1())
    sealed = seal(own.public_key(), PLAINTEXT, INFO)
    suite = pyhpke.CipherSuite.new(
        pyhpke.KEMId.DHKEM_P256_HKDF_SHA256, pyhpke.KDFId.HKDF_SHA256, pyhpke.AEADId.AES256_GCM
    )
    private = suite.kem.deserialize_private_key(own.private_numbers().private_value.to_bytes(32))
    context = suite.create_recipient_context(sealed.encapsulated_key, private, INFO)
    assert context.open(sealed.ciphertext) == PLAINTEXT


def test_the_longest_message_and_an_empty_one_come_through(
    trust_domain: TrustDomain, provisioned_host: RunningCustody
) -> None:
    key = recipient(trust_domain, provisioned_host.client)
    longest = bytes(MAXIMUM_SEALED_BYTES - 16)
    for plaintext in (b"", longest):
        sealed = seal(key, plaintext, bytes(MAXIMUM_CONTEXT_BYTES))
        assert provisioned_host.client.open_sealed(EXCHANGE, sealed) == plaintext
    for too_long in ((longest + b"1", INFO), (b"", bytes(MAXIMUM_CONTEXT_BYTES + 1))):
        with pytest.raises(JukiError) as refused:
            seal(key, *too_long)
        assert refused.value.reason is Reason.MESSAGE_TOO_LARGE


def test_whatever_is_wrong_with_a_message_the_answer_is_the_same(
    trust_domain: TrustDomain, provisioned_host: RunningCustody
) -> None:
    sealed = seal(recipient(trust_domain, provisioned_host.client), PLAINTEXT, INFO)
    other = seal(ec.generate_private_key(ec.SECP256R1()).public_key(), PLAINTEXT, INFO)
    flipped = bytearray(sealed.ciphertext)
    flipped[-1] ^= 1
    off_the_curve = sealed.encapsulated_key[:-1] + bytes([sealed.encapsulated_key[-1] ^ 1])
    compressed = bytes([2 + sealed.encapsulated_key[-1] % 2]) + sealed.encapsulated_key[1:33]
    faults = [
        other,
        replace(sealed, ciphertext=bytes(flipped)),
        replace(sealed, ciphertext=sealed.ciphertext[:-1]),
        replace(sealed, ciphertext=sealed.ciphertext[:15]),
        replace(sealed, ciphertext=b""),
        replace(sealed, info=b"another"),
        replace(sealed, associated_data=b"another"),
        replace(sealed, aead=Aead.AES_128_GCM),
        replace(sealed, encapsulated_key=other.encapsulated_key),
        replace(sealed, encapsulated_key=off_the_curve),
        replace(sealed, encapsulated_key=compressed),
        replace(sealed, encapsulated_key=b"\x04" + bytes(64)),
        replace(sealed, encapsulated_key=b"\x00"),
        replace(sealed, encapsulated_key=b""),
    ]
    said = set()
    for fault in faults:
        with pytest.raises(JukiError) as refused:
            provisioned_host.client.open_sealed(EXCHANGE, fault)
        said.add((refused.value.reason, refused.value.message))
    assert said == {(Reason.TAMPERING_DETECTED, "a sealed message does not open")}
    assert provisioned_host.client.open_sealed(EXCHANGE, sealed) == PLAINTEXT


def test_what_is_over_the_limits_is_refused_by_custody_itself(
    provisioned_host: RunningCustody,
) -> None:
    for message in (
        SealedMessage(bytes(65), bytes(16), bytes(MAXIMUM_CONTEXT_BYTES + 1)),
        SealedMessage(bytes(65), bytes(16), b"", bytes(MAXIMUM_CONTEXT_BYTES + 1)),
        SealedMessage(bytes(65), bytes(MAXIMUM_SEALED_BYTES + 1), b""),
        SealedMessage(bytes(65), bytes(16), b"", aead=3),  # type: ignore[arg-type]
    ):
        with pytest.raises(JukiError) as refused:
            provisioned_host.client.open_sealed(EXCHANGE, message)
        assert refused.value.reason is Reason.INVALID_FIELD


def test_the_key_to_seal_to_signs_nothing_and_the_signing_key_is_none_to_seal_to(
    trust_domain: TrustDomain, provisioned_host: RunningCustody
) -> None:
    root = x509.load_pem_x509_certificate(trust_domain.roots_pem).public_bytes(Encoding.DER)
    chain = provisioned_host.client.certificate_chain(EXCHANGE)
    with pytest.raises(JukiError) as refused:
        verify_chain(chain, [root], datetime.now(UTC), CS_IDENTITY)
    assert refused.value.reason is Reason.UNKNOWN_SIGNING_KEY
    with pytest.raises(JukiError) as refused:
        recipient_key(
            provisioned_host.client.certificate_chain("signing"),
            [root],
            datetime.now(UTC),
            CS_IDENTITY,
        )
    assert refused.value.reason is Reason.UNKNOWN_SIGNING_KEY
    with pytest.raises(JukiError) as refused:
        recipient_key(chain, [root], datetime.now(UTC), CS_IDENTITY + "0")
    assert refused.value.reason is Reason.SIGNER_MISMATCH
    with pytest.raises(JukiError) as refused:
        provisioned_host.client.sign(EXCHANGE, [bytes(32)])
    assert refused.value.reason is Reason.KEY_USE_NOT_PERMITTED


def test_a_secret_taken_is_wiped_where_it_was_and_after_its_use() -> None:
    original = bytes(bytearray(b"thirty-two bytes of some secret!"))
    copy = taken(original)
    assert (original, bytes(copy)) == (bytes(32), b"thirty-two bytes of some secret!")
    with pytest.raises(ValueError, match="the block fails"), wiped_after(copy):
        raise ValueError("the block fails")
    assert copy == bytes(32)
