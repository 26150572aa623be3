"""Custody with keys in memory: the test signer, for tests that need no token of their own."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from hsm.authority import Authority, Issuer, Names, names_for, public_key_of, subject_of
from hsm.plan import Host
from hsm.profiles import CERTIFIABLE, ISSUING, ROOT, SERVER_LEAF
from juki.custody.naming import KeyName
from juki.custody.port import (
    DIGEST_BYTES,
    EXCHANGE,
    INDIVIDUAL_NUMBER,
    ISSUING_AUTHORITY,
    SERVER_ISSUER,
    TLS_CLIENT,
    WRAPPING,
    CertifiedKey,
    CustodyHealth,
    DataKey,
    KeyGenerations,
    SealedMessage,
)
from juki.domain.errors import JukiError, Reason

_SHA256_DIGEST = ec.ECDSA(Prehashed(hashes.SHA256()))


class MemoryNetwork:
    """A root and the issuing authorities of several hosts, in memory."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.authority = Authority(clock)
        key = ec.generate_private_key(ec.SECP256R1())
        self.root = Issuer(key, (self.authority.root(key, "memory root", ROOT),))
        self.issuers: dict[str, Issuer] = {}

    @property
    def roots_pem(self) -> bytes:
        """The root certificate in PEM."""
        return self.root.chain[0].public_bytes(serialization.Encoding.PEM)

    @property
    def roots_der(self) -> list[bytes]:
        """The root certificate in DER."""
        return [self.root.chain[0].public_bytes(serialization.Encoding.DER)]


class MemoryCustody:
    """`juki.custody.port.Custody` of one host; whatever the host's own socket does not grant fails.

    An issuing host is made before the hosts that it certifies.
    """

    def __init__(self, network: MemoryNetwork, host: Host) -> None:
        self._authority = network.authority
        self._host = host
        self._keys = {
            label: ec.generate_private_key(ec.SECP256R1()) for label in host.elliptic_labels()
        }
        self._secrets = {
            label: secrets.token_bytes(32) for label in host.wrapping_labels() + host.mac_labels()
        }
        self._chains: dict[str, tuple[x509.Certificate, ...]] = {}
        if host.issuing_names:
            key = self._keys[ISSUING_AUTHORITY]
            made = self._authority.certify(
                network.root, key.public_key(), f"issuing {host.name}", host.issuing_names, ISSUING
            )
            network.issuers[host.name] = Issuer(key, (made,))
            self._chains[ISSUING_AUTHORITY] = (made,)
        self._issuer = issuer = network.issuers[host.issuer]
        for label, profile in CERTIFIABLE.items():
            if label in self._keys:
                asked = Names((host.identity,), host.dns if profile.takes_dns else ())
                made = self._authority.certify(
                    issuer,
                    self._keys[label].public_key(),
                    subject_of(profile, asked),
                    names_for(profile, asked),
                    profile,
                )
                self._chains[label] = (made, *issuer.chain)

    def sign(self, key: str, digests: Sequence[bytes]) -> list[bytes]:
        """See `Custody.sign`."""
        key = _class_of(key)
        if key not in self._keys or key in (SERVER_ISSUER, ISSUING_AUTHORITY, EXCHANGE):
            raise _not_permitted()
        return [self._raw(key, digest) for digest in digests]

    def mac(self, key: str, messages: Sequence[bytes]) -> list[bytes]:
        """See `Custody.mac`."""
        secret = self._secret(key, INDIVIDUAL_NUMBER)
        return [hmac.digest(secret, message, "sha256") for message in messages]

    def random(self, length: int) -> bytes:
        """See `Custody.random`."""
        if not 1 <= length <= 65_536:
            raise JukiError(Reason.INVALID_FIELD, "1 to 65536 random bytes at a time")
        return secrets.token_bytes(length)

    def new_data_key(self, wrapping_key: str) -> DataKey:
        """See `Custody.new_data_key`."""
        plaintext, nonce = secrets.token_bytes(32), secrets.token_bytes(12)
        sealed = AESGCM(self._secret(wrapping_key, WRAPPING)).encrypt(nonce, plaintext, None)
        return DataKey(plaintext, nonce + sealed)

    def unwrap_data_key(self, wrapping_key: str, wrapped: bytes) -> bytes:
        """See `Custody.unwrap_data_key`."""
        key = AESGCM(self._secret(wrapping_key, WRAPPING))
        if len(wrapped) != 60:
            raise JukiError(Reason.INVALID_FIELD, "a wrapped data key has 60 bytes")
        try:
            return key.decrypt(wrapped[:12], wrapped[12:], None)
        except InvalidTag:
            raise JukiError(Reason.TAMPERING_DETECTED, "a data key of another token") from None

    def rewrap_data_key(self, wrapping_key: str, wrapped: bytes) -> bytes:
        """See `Custody.rewrap_data_key`: here no key is ever rotated."""
        self.unwrap_data_key(wrapping_key, wrapped)
        return wrapped

    def generations(self, key: str) -> KeyGenerations:
        """See `Custody.generations`."""
        name = f"{_class_of(key)}.1"
        certified = (name,) if _class_of(key) in self._chains else ()
        return KeyGenerations(name, (name,), certified)

    def open_sealed(self, key: str, message: SealedMessage) -> bytes:
        """See `Custody.open_sealed`; AES-256-GCM without associated data only."""
        if key != EXCHANGE or key not in self._keys:
            raise _not_permitted()
        suite = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
        sealed = message.encapsulated_key + message.ciphertext
        try:
            return bytes(suite.decrypt(sealed, self._keys[key], message.info))
        except (InvalidTag, ValueError):
            raise JukiError(Reason.TAMPERING_DETECTED, "a sealed message does not open") from None

    def certificate_chain(self, key: str) -> list[bytes]:
        """See `Custody.certificate_chain`."""
        return list(self.certified_key(key).chain)

    def certified_key(self, key: str) -> CertifiedKey:
        """See `Custody.certified_key`."""
        key = _class_of(key)
        if key not in self._chains or key == ISSUING_AUTHORITY:
            raise _not_permitted()
        return CertifiedKey(f"{key}.1", tuple(_ders(self._chains[key])))

    def renewed_chain(self, key: str, clock: Callable[[], datetime]) -> list[bytes]:
        """A new certificate for the same key, begun at the instant that `clock` gives."""
        profile, asked = CERTIFIABLE[key], Names((self._host.identity,), ())
        made = Authority(clock).certify(
            self._issuer,
            self._keys[key].public_key(),
            subject_of(profile, asked),
            names_for(profile, asked),
            profile,
        )
        return _ders((made, *self._issuer.chain))

    def certify_server_leaf(self, issuer_key: str, signing_request: bytes) -> list[bytes]:
        """See `Custody.certify_server_leaf`."""
        if issuer_key != SERVER_ISSUER or issuer_key not in self._keys:
            raise _not_permitted()
        issuer = Issuer(self._keys[issuer_key], self._chains[issuer_key])
        names = Names((self._host.identity,), self._host.dns)
        key = public_key_of(signing_request)
        leaf = self._authority.certify(issuer, key, self._host.dns[0], names, SERVER_LEAF)
        return _ders((leaf, *issuer.chain))

    def certify(self, issuer_key: str, signing_request: bytes, profile: str) -> list[bytes]:
        """Refused: a server's own socket never certifies others."""
        raise _not_permitted()

    def health(self) -> CustodyHealth:
        """See `Custody.health`."""
        self._raw(TLS_CLIENT, bytes(DIGEST_BYTES))
        return CustodyHealth(TLS_CLIENT, 1, self._host.name, "memory", "memory", 0)

    def _raw(self, key: str, digest: bytes) -> bytes:
        if len(digest) != DIGEST_BYTES:
            raise JukiError(Reason.INVALID_FIELD, "a digest to sign has 32 bytes")
        r, s = decode_dss_signature(self._keys[key].sign(digest, _SHA256_DIGEST))
        return r.to_bytes(32) + s.to_bytes(32)

    def _secret(self, label: str, expected: str) -> bytes:
        label = _class_of(label)
        if label != expected or label not in self._secrets:
            raise _not_permitted()
        return self._secrets[label]


def _class_of(key: str) -> str:
    """The class of a key named by itself or by the only generation there is."""
    name = KeyName.parse(key)
    if name.generation not in (None, 1):
        raise JukiError(Reason.INVALID_FIELD, "the token does not hold this generation of the key")
    return name.key_class


def _not_permitted() -> JukiError:
    return JukiError(Reason.KEY_USE_NOT_PERMITTED, "this caller may not use this key for that")


def _ders(chain: Sequence[x509.Certificate]) -> list[bytes]:
    return [one.public_bytes(serialization.Encoding.DER) for one in chain]
