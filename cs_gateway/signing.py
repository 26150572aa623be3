"""Signs digests with the gateway's signing key and knows which certificate speaks for it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cs_gateway.ports import GatewayCustody
from juki.domain.errors import JukiError, Reason

SIGNING_KEY: Final = "signing"
_ECDSA: Final = ec.ECDSA(Prehashed(SHA256()))


class StreamSigner:
    """Signs many digests in one call to custody."""

    def __init__(self, custody: GatewayCustody) -> None:
        self._custody = custody
        self._lock = threading.Lock()
        self._load()

    @property
    def certificates(self) -> list[bytes]:
        """DER certificates of the signing key, leaf first."""
        with self._lock:
            return list(self._certificates)

    def sign(self, digests: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
        """The key's id and one signature (r and s of 32 bytes each) for each digest.

        Raises:
            JukiError: CUSTODY_UNAVAILABLE, also when custody's signatures do not verify.
        """
        try:
            signatures = self._custody.sign(SIGNING_KEY, digests)
            with self._lock:
                if not self._verifies(digests[0], signatures[0]):
                    # The key was rotated since its certificate was read.
                    self._load()
                    if not self._verifies(digests[0], signatures[0]):
                        raise JukiError(
                            Reason.CUSTODY_UNAVAILABLE, "signatures do not fit the certificate"
                        )
                return self._key_id, signatures
        except JukiError:
            raise
        except Exception as error:
            raise JukiError(
                Reason.CUSTODY_UNAVAILABLE,
                "the custody of keys does not sign",
                {"kind": type(error).__name__},
            ) from None

    def check(self, key_id: bytes, digest: bytes, signature: bytes) -> None:
        """Checks that this gateway's present key made a signature.

        Raises:
            JukiError: UNKNOWN_SIGNING_KEY or SIGNATURE_INVALID.
        """
        with self._lock:
            if key_id != self._key_id:
                raise JukiError(Reason.UNKNOWN_SIGNING_KEY, "not signed with this gateway's key")
            if len(signature) != 64 or not self._verifies(digest, signature):
                raise JukiError(Reason.SIGNATURE_INVALID, "a notification's signature is not ours")

    def _load(self) -> None:
        self._certificates = self._custody.certificate_chain(SIGNING_KEY)
        public_key = x509.load_der_x509_certificate(self._certificates[0]).public_key()
        if not isinstance(public_key, ec.EllipticCurvePublicKey):
            raise JukiError(Reason.CONFIGURATION_INVALID, "the signing key is not on P-256")
        self._public_key = public_key
        spki = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self._key_id = hashlib.sha256(spki).digest()

    def _verifies(self, digest: bytes, signature: bytes) -> bool:
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        try:
            self._public_key.verify(encode_dss_signature(r, s), digest, _ECDSA)
        except InvalidSignature:
            return False
        return True
