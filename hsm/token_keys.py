"""A `cryptography` private key whose signatures are made elsewhere: in the token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from juki.custody.verify import signature_to_der


class TokenKey(ec.EllipticCurvePrivateKey):
    """A P-256 key that stays in the token; works with the builders of certificates.

    `sign_digest` takes a SHA-256 digest and gives the raw signature (r || s, 64 bytes).
    """

    def __init__(
        self, public_key: ec.EllipticCurvePublicKey, sign_digest: Callable[[bytes], bytes]
    ) -> None:
        self._public_key = public_key
        self._sign_digest = sign_digest

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self._public_key

    @property
    def curve(self) -> ec.EllipticCurve:
        """P-256."""
        return self._public_key.curve

    @property
    def key_size(self) -> int:
        """256 bits."""
        return self._public_key.key_size

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        """A DER signature over SHA-256 of `data`; no other hash is offered."""
        algorithm = signature_algorithm.algorithm
        if isinstance(algorithm, Prehashed) or not isinstance(algorithm, hashes.SHA256):
            raise ValueError("a key in the token signs with SHA-256 only")
        digest = hashes.Hash(algorithm)
        digest.update(data)
        return signature_to_der(self._sign_digest(digest.finalize()))

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:
        """Refused: the key only signs."""
        raise TypeError("a signing key in the token takes part in no key agreement")

    def private_numbers(self) -> NoReturn:
        """Refused: the key cannot leave the token."""
        raise TypeError("a key in the token cannot leave it")

    def private_bytes(
        self,
        encoding: serialization.Encoding,
        format: serialization.PrivateFormat,  # noqa: A002 - the name of the base class
        encryption_algorithm: serialization.KeySerializationEncryption,
    ) -> NoReturn:
        """Refused: the key cannot leave the token."""
        raise TypeError("a key in the token cannot leave it")

    def __copy__(self) -> TokenKey:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> TokenKey:
        return self
