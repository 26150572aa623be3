"""Signs digests with the gateway's signing key and knows which certificates speak for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

from cs_gateway.ports import GatewayCustody
from juki.custody.signing import DocumentSigner, SigningKey
from juki.custody.verify import verify_signature
from juki.domain.errors import JukiError, Reason


class StreamSigner:
    """Signs many digests in one call to custody, with the generation of the key in use."""

    def __init__(
        self, custody: GatewayCustody, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._signer = DocumentSigner(custody, monotonic)

    def certificates(self, key_ids: Collection[bytes]) -> list[bytes]:
        """DER certificates of those of this gateway's keys, the chain of the one in use first."""
        return self._signer.certificates(key_ids)

    def sign(self, digests: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
        """The key's id and one signature (r and s of 32 bytes each) for each digest.

        Raises:
            JukiError: CUSTODY_UNAVAILABLE, also when custody's signatures do not verify.
        """
        try:
            signed = self._signer.sign(digests)
        except JukiError:
            raise
        except Exception as error:
            raise JukiError(
                Reason.CUSTODY_UNAVAILABLE,
                "the custody of keys does not sign",
                {"kind": type(error).__name__},
            ) from None
        if not verify_signature(signed.key.public_key, digests[0], signed.signatures[0]):
            raise JukiError(Reason.CUSTODY_UNAVAILABLE, "signatures do not fit the certificate")
        return signed.key.key_id, signed.signatures

    def check(self, key_id: bytes, digest: bytes, signature: bytes) -> None:
        """Checks that a key of this gateway made a signature, the one in use or an earlier one.

        Raises:
            JukiError: UNKNOWN_SIGNING_KEY or SIGNATURE_INVALID.
        """
        key: SigningKey | None = self._signer.own_key(key_id)
        if key is None:
            raise JukiError(Reason.UNKNOWN_SIGNING_KEY, "not signed with this gateway's key")
        if not verify_signature(key.public_key, digest, signature):
            raise JukiError(Reason.SIGNATURE_INVALID, "a notification's signature is not ours")
