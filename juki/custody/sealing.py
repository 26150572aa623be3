"""Seals messages to another host's key in its token (RFC 9180): whoever is between cannot read."""

from __future__ import annotations

from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from juki.custody.port import (
    ENCAPSULATED_KEY_BYTES,
    MAXIMUM_CONTEXT_BYTES,
    MAXIMUM_SEALED_BYTES,
    SEALED_EXCHANGE,
    TAG_BYTES,
    SealedMessage,
)
from juki.custody.verify import verify_chain
from juki.domain.errors import JukiError, Reason

_SUITE = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


def recipient_key(
    chain_der: list[bytes], roots_der: list[bytes], now: datetime, expected_uri: str
) -> ec.EllipticCurvePublicKey:
    """The key to seal to, of the host with the identity `expected_uri`.

    Raises UNKNOWN_SIGNING_KEY where the chain (leaf first, without the root) does not hold at
    `now` (aware), SIGNER_MISMATCH where it is another host's.
    """
    return verify_chain(chain_der, roots_der, now, expected_uri, SEALED_EXCHANGE).public_key


def seal(recipient: ec.EllipticCurvePublicKey, plaintext: bytes, info: bytes) -> SealedMessage:
    """A message that only the recipient's custody opens, and only with the same `info`.

    `info` says what the message belongs to: who sends what to whom (at most 4,096 bytes). It is
    not secret. Nothing in the message proves who sealed it: whoever relays it signs it. Raises
    MESSAGE_TOO_LARGE.
    """
    if len(plaintext) + TAG_BYTES > MAXIMUM_SEALED_BYTES or len(info) > MAXIMUM_CONTEXT_BYTES:
        raise JukiError(Reason.MESSAGE_TOO_LARGE, "the message is too long to be sealed")
    sealed = _SUITE.encrypt(plaintext, recipient, info)
    return SealedMessage(
        encapsulated_key=sealed[:ENCAPSULATED_KEY_BYTES],
        ciphertext=sealed[ENCAPSULATED_KEY_BYTES:],
        info=info,
    )
