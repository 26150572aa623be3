"""Signs documents with the signing key in use, and says which generation of it signed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from juki.custody.port import SIGNING, CertifiedKey, KeyGenerations
from juki.custody.verify import fingerprint
from juki.domain.errors import JukiError, Reason

_ASK_AGAIN_SECONDS = 1.0


class SigningCustody(Protocol):
    """What signing needs of custody; see `juki.custody.port.Custody`."""

    def sign(self, key: str, digests: Sequence[bytes]) -> list[bytes]:
        """ECDSA P-256 signatures over SHA-256 digests, each r and s of 32 bytes."""
        ...

    def certified_key(self, key: str) -> CertifiedKey:
        """A key's generation and its certificates."""
        ...

    def generations(self, key: str) -> KeyGenerations:
        """The generations of a key."""
        ...


@dataclass(frozen=True)
class SigningKey:
    """One generation of the signing key."""

    name: str
    """For example "signing.2"."""
    key_id: bytes
    """SHA-256 of its SubjectPublicKeyInfo, 32 bytes."""
    public_key: ec.EllipticCurvePublicKey
    chain: tuple[bytes, ...]
    """Certificates in DER, leaf first, without the root."""


@dataclass(frozen=True)
class Signed:
    """Signatures and the key that made all of them."""

    key: SigningKey
    signatures: list[bytes]


class DocumentSigner:
    """Signs with the generation in use; safe for threads.

    Custody is asked once a second at most which one that is, so that a rotation takes effect
    without a restart. A call names the generation: whatever custody does meanwhile, key id,
    certificates and signatures belong together.
    """

    def __init__(
        self, custody: SigningCustody, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises what custody raises: a tier that cannot sign does not start."""
        self._custody = custody
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._read: dict[tuple[bytes, ...], SigningKey] = {}
        self._own: dict[bytes, SigningKey] = {}
        """Every generation seen, by key id."""
        self._current = self._ask()

    @property
    def key(self) -> SigningKey:
        """The generation in use, as last heard where custody does not answer."""
        with self._lock:
            if self._monotonic() >= self._ask_at:
                try:
                    self._current = self._ask()
                except JukiError as error:
                    if error.reason is not Reason.CUSTODY_UNAVAILABLE:
                        raise
            return self._current

    def sign(self, digests: Sequence[bytes]) -> Signed:
        """Signatures over SHA-256 digests, in their order; raises what custody raises."""
        key = self.key
        try:
            return Signed(key, self._custody.sign(key.name, digests))
        except JukiError as error:
            if error.reason is not Reason.INVALID_FIELD:
                raise
            # The generation may have been taken out of use within the last second.
            with self._lock:
                self._current = again = self._ask()
            if again.name == key.name:
                raise
            return Signed(again, self._custody.sign(again.name, digests))

    def own_key(self, key_id: bytes) -> SigningKey | None:
        """The generation of this host's key with an id, of those that have a certificate."""
        with self._lock:
            if key_id not in self._own:
                for name in self._custody.generations(SIGNING).certified:
                    self._keep(self._custody.certified_key(name))
            return self._own.get(key_id)

    def certificates(self, key_ids: Collection[bytes] = ()) -> list[bytes]:
        """The chain of the generation in use, and after it those of this host's other `key_ids`.

        What was signed before a rotation is sent after it together with what verifies it.
        """
        current = self.key
        certificates = list(current.chain)
        for key_id in sorted(set(key_ids) - {current.key_id}):
            key = self.own_key(key_id)
            if key is not None:
                certificates += key.chain
        return certificates

    def _ask(self) -> SigningKey:
        key = self._keep(self._custody.certified_key(SIGNING))
        self._ask_at = self._monotonic() + _ASK_AGAIN_SECONDS
        return key

    def _keep(self, certified: CertifiedKey) -> SigningKey:
        key = self._read.get(certified.chain)
        if key is None:
            public_key = x509.load_der_x509_certificate(certified.chain[0]).public_key()
            if not isinstance(public_key, ec.EllipticCurvePublicKey):
                raise JukiError(Reason.CONFIGURATION_INVALID, "the signing key is not on P-256")
            key = SigningKey(
                certified.name, fingerprint(certified.chain[0]), public_key, certified.chain
            )
            self._read = {**self._read, certified.chain: key}
            self._own[key.key_id] = key
        return key
