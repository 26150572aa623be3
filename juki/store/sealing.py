"""Sealing of personal columns at rest, and keyed blind indexes for equality look-ups.

A sealed value is bound to its table, column and row by the associated data, so that a value moved
to another place does not open. Layout: version (1 byte), key version (4), nonce (12), AES-256-GCM
ciphertext with its tag (16).
"""

from __future__ import annotations

import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from juki.domain.errors import JukiError, Reason

_VERSION: Final = 1
_HEADER: Final = 5
_NONCE: Final = 12
BLIND_LENGTH: Final = 16
"""Bytes of a blind index: 128 bits of HMAC-SHA256, collision-free for any nation."""


class Sealer:
    """Seals and opens column values under one data key, held in memory only."""

    def __init__(self, data_key: bytes, key_version: int = 1) -> None:
        """`data_key` is 32 bytes, unwrapped by the token; sub-keys derive from it (RFC 5869)."""
        self._aead = AESGCM(_derive(data_key, b"juki.store.seal"))
        self._blind_key = _derive(data_key, b"juki.store.blind")
        self._prefix = bytes([_VERSION]) + key_version.to_bytes(4, "big")

    def seal(self, plaintext: bytes, place: bytes) -> bytes:
        """`plaintext` sealed for `place`, for example b"notification.envelope|221309|1|42"."""
        nonce = os.urandom(_NONCE)
        return self._prefix + nonce + self._aead.encrypt(nonce, plaintext, self._prefix + place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """What `seal` was given.

        Raises:
            JukiError: TAMPERING_DETECTED when the value was altered, cut off or moved.
        """
        if sealed[:_HEADER] != self._prefix:
            raise JukiError(Reason.TAMPERING_DETECTED, "a sealed value has an unknown header")
        body = _HEADER + _NONCE
        try:
            return self._aead.decrypt(sealed[_HEADER:body], sealed[body:], self._prefix + place)
        except (InvalidTag, ValueError):
            raise JukiError(
                Reason.TAMPERING_DETECTED, "a sealed value does not open in its place"
            ) from None

    def blind(self, kind: str, value: str) -> bytes:
        """Blind index of `value` among values of `kind`: 16 bytes, equal only for equal values."""
        message = f"{kind}\0{value}".encode()
        return hmac.digest(self._blind_key, message, "sha256")[:BLIND_LENGTH]


def _derive(data_key: bytes, label: bytes) -> bytes:
    return HKDFExpand(algorithm=hashes.SHA256(), length=32, info=label).derive(data_key)
