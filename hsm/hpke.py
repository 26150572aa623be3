"""HPKE's receiving side (RFC 9180, base mode), with the Diffie-Hellman secret from the token.

DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-GCM; the first message of each context only.
Decapsulation, key schedule and AEAD happen here, inside custody: no caller sees a secret between.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from hsm.wiping import taken, wiped_after
from juki.custody.port import (
    ENCAPSULATED_KEY_BYTES,
    MAXIMUM_CONTEXT_BYTES,
    MAXIMUM_SEALED_BYTES,
    Aead,
    SealedMessage,
)
from juki.domain.errors import JukiError, Reason
from juki.v1 import custody_pb2 as pb

_KEM = 0x0010
_KDF = 0x0001
_KEY_BYTES = {Aead.AES_128_GCM: 16, Aead.AES_256_GCM: 32}
_NONCE_BYTES = 12
_SECRET_BYTES = 32
_KEM_SUITE = b"KEM" + _KEM.to_bytes(2)
_BASE_MODE = b"\x00"

Agree = Callable[[bytes], bytearray]
"""Gives the ECDH secret with a peer's uncompressed point."""


def sealed_message(asked: pb.CustodyOpenRequest) -> SealedMessage:
    """The message of a request; raises INVALID_FIELD for an unknown AEAD or too much of it."""
    if asked.aead not in _KEY_BYTES:
        raise JukiError(Reason.INVALID_FIELD, "sealed messages use AES-128-GCM or AES-256-GCM")
    if max(len(asked.info), len(asked.associated_data)) > MAXIMUM_CONTEXT_BYTES:
        raise JukiError(
            Reason.INVALID_FIELD, f"info and associated data have {MAXIMUM_CONTEXT_BYTES} bytes"
        )
    if len(asked.ciphertext) > MAXIMUM_SEALED_BYTES:
        raise JukiError(
            Reason.INVALID_FIELD, f"a sealed message has at most {MAXIMUM_SEALED_BYTES} bytes"
        )
    return SealedMessage(
        encapsulated_key=asked.encapsulated_key,
        ciphertext=asked.ciphertext,
        info=asked.info,
        associated_data=asked.associated_data,
        aead=Aead(asked.aead),
    )


def open_sealed(message: SealedMessage, own: ec.EllipticCurvePublicKey, agree: Agree) -> bytes:
    """What the message holds; raises TAMPERING_DETECTED, in the same words for every fault."""
    _refuse_invalid_point(message.encapsulated_key)
    with (
        wiped_after(agree(message.encapsulated_key)) as agreed,
        wiped_after(_shared_secret(agreed, message.encapsulated_key, own)) as shared,
    ):
        key, nonce = key_schedule(shared, message.aead, message.info)
        with wiped_after(key):
            try:
                return AESGCM(key).decrypt(nonce, message.ciphertext, message.associated_data)
            except InvalidTag:
                raise _does_not_open() from None


def key_schedule(shared: bytearray, aead: Aead, info: bytes) -> tuple[bytearray, bytes]:
    """Key and nonce of a context's first message (RFC 9180 section 5.1, mode_base)."""
    suite = b"HPKE" + _KEM.to_bytes(2) + _KDF.to_bytes(2) + int(aead).to_bytes(2)
    context = (
        _BASE_MODE
        + _extract(suite, b"", b"psk_id_hash", b"")
        + _extract(suite, b"", b"info_hash", info)
    )
    with wiped_after(_extract(suite, shared, b"secret", b"")) as secret:
        key = _expand(suite, secret, b"key", context, _KEY_BYTES[aead])
        return key, bytes(_expand(suite, secret, b"base_nonce", context, _NONCE_BYTES))


def _shared_secret(
    agreed: bytearray, encapsulated_key: bytes, own: ec.EllipticCurvePublicKey
) -> bytearray:
    """ExtractAndExpand of RFC 9180 section 4.1."""
    context = encapsulated_key + own.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    with wiped_after(_extract(_KEM_SUITE, b"", b"eae_prk", agreed)) as key:
        return _expand(_KEM_SUITE, key, b"shared_secret", context, _SECRET_BYTES)


def _refuse_invalid_point(encapsulated_key: bytes) -> None:
    """Section 7.1.4: a point that is not on the curve would tell of the private key."""
    if len(encapsulated_key) != ENCAPSULATED_KEY_BYTES:
        raise _does_not_open()
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), encapsulated_key)
    except ValueError:
        raise _does_not_open() from None


def _does_not_open() -> JukiError:
    return JukiError(Reason.TAMPERING_DETECTED, "a sealed message does not open")


def _extract(
    suite: bytes, salt: bytes | bytearray, label: bytes, material: bytes | bytearray
) -> bytearray:
    """LabeledExtract of RFC 9180 section 4."""
    code = hmac.new(salt, b"HPKE-v1" + suite + label, sha256)
    code.update(material)  # not joined with the label: that would leave a copy behind
    return taken(code.digest())


def _expand(suite: bytes, key: bytearray, label: bytes, context: bytes, length: int) -> bytearray:
    """LabeledExpand of RFC 9180 section 4."""
    labelled = length.to_bytes(2) + b"HPKE-v1" + suite + label + context
    expanded = bytearray(length)
    HKDFExpand(hashes.SHA256(), length, labelled).derive_into(key, expanded)
    return expanded
