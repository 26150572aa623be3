"""The port of custody: what a server may ask of the keys it can never hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from cryptography import x509

TLS_CLIENT = "tls-client"
"""Label of the P-256 key of the host's client identity."""
SIGNING = "signing"
"""Label of the P-256 key that signs notifications and receipts."""
SERVER_ISSUER = "server-issuer"
"""Label of the P-256 key that certifies the host's own TLS leaves, and nothing else."""
WRAPPING = "wrapping"
"""Label of the AES-256 key that wraps data keys."""
INDIVIDUAL_NUMBER = "individual-number"
"""Label of the HMAC key of the conversion of codes to Individual Numbers (My Number Act Art. 8)."""
ISSUING_AUTHORITY = "issuing-ca"
"""Label of the P-256 key of a prefecture's or the nation's issuing authority."""

TLS_SERVER = "tls-server"
"""Label of the P-256 key with which nginx ends TLS, alone in a token of its own."""
EXCHANGE = "exchange"
"""Label of the P-256 key to which others seal messages for a municipality (RFC 9180)."""

DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
"""id-kp-documentSigning (RFC 9336): the purpose of the certificates of `SIGNING` keys."""
SEALED_EXCHANGE = x509.ObjectIdentifier("2.25.327345512332097740314516957820070108944")
"""The purpose of the certificates of `EXCHANGE` keys: no registered one fits (arc after X.667)."""

MAXIMUM_ITEMS = 4096
"""Most digests or messages in one request."""
DIGEST_BYTES = 32
"""Length of a SHA-256 digest, and of an HMAC-SHA256 value."""
SIGNATURE_BYTES = 64
"""Length of a raw P-256 signature: r and s, 32 bytes each, big-endian."""

ENCAPSULATED_KEY_BYTES = 65
"""Length of an encapsulated key: an uncompressed P-256 point (RFC 9180 section 7.1)."""
TAG_BYTES = 16
"""By how much a sealed message is longer than what it holds."""
MAXIMUM_SEALED_BYTES = 1 << 19
"""Longest ciphertext that custody opens, tag included."""
MAXIMUM_CONTEXT_BYTES = 1 << 12
"""Most bytes of `info`, and of associated data (RFC 9180 section 7.2.1 wants limits)."""


class Aead(IntEnum):
    """The AEADs of sealed messages, by their numbers in RFC 9180 section 7.3."""

    AES_128_GCM = 1
    AES_256_GCM = 2


@dataclass(frozen=True, repr=False)
class SealedMessage:
    """A message sealed to a P-256 key: HPKE's base mode (RFC 9180), first of its context."""

    encapsulated_key: bytes
    ciphertext: bytes
    info: bytes
    """What the message belongs to; not secret, and bound into its keys."""
    associated_data: bytes = b""
    aead: Aead = Aead.AES_256_GCM

    def __repr__(self) -> str:
        return "SealedMessage(…)"


@dataclass(frozen=True, repr=False)
class DataKey:
    """An AES-256 data key; `plaintext` is for memory only, `wrapped` may be stored."""

    plaintext: bytes
    wrapped: bytes

    def __repr__(self) -> str:
        return "DataKey(…)"


@dataclass(frozen=True)
class CertifiedKey:
    """One generation of a key and what certifies it."""

    name: str
    """For example "signing.2": asked for by this name, custody uses no other."""
    chain: tuple[bytes, ...]
    """Certificates in DER, leaf first, without the root."""


@dataclass(frozen=True)
class KeyGenerations:
    """The generations of a key, by names that custody takes in place of the class."""

    current: str
    """The one in use: what the class alone means now."""
    usable: tuple[str, ...]
    """All that are in the token, the oldest first."""
    certified: tuple[str, ...] = ()
    """All that have certificates, the oldest first, keys destroyed since among them."""


@dataclass(frozen=True)
class CustodyHealth:
    """A signature that custody has just made and verified, and the token that made it."""

    key: str
    """Label of the key that signed."""
    sign_microseconds: int
    token_label: str
    manufacturer: str
    model: str
    uptime_seconds: int


@dataclass(frozen=True)
class IssuedRevocationList:
    """A certificate revocation list (RFC 5280) of this host's issuing authority."""

    list_der: bytes
    certificates: tuple[bytes, ...]
    """The authority's certificates in DER, its own first, without the root."""
    newly_revoked: tuple[int, ...] = ()
    """Serial numbers that the request revoked."""


class RevocationSource(Protocol):
    """Custody of a host with an issuing authority, as its server sees it."""

    def generations(self, key: str) -> KeyGenerations:
        """The generations of the authority's key, each of which signs a list."""
        ...

    def revocation_list(self, issuer_key: str) -> IssuedRevocationList:
        """The newest list of a generation, signed anew when it is due; raises as `Custody`."""
        ...


class Custody(Protocol):
    """The keys of one host.

    A key is named by its class ("signing"), which means the generation in use, or by one of its
    generations ("signing.1"), as `generations` lists them.

    Every method raises `JukiError`: KEY_USE_NOT_PERMITTED where this caller may not use this key
    so, INVALID_FIELD for a request of the wrong shape, CUSTODY_UNAVAILABLE where custody cannot be
    reached or its token fails. Every operation may be repeated safely.
    """

    def sign(self, key: str, digests: Sequence[bytes]) -> list[bytes]:
        """ECDSA P-256 signatures (raw r || s, 64 bytes) of SHA-256 digests, in their order.

        Any number of digests; sent in requests of at most `MAXIMUM_ITEMS`.
        """
        ...

    def mac(self, key: str, messages: Sequence[bytes]) -> list[bytes]:
        """HMAC-SHA256 (32 bytes) of each message, in their order."""
        ...

    def random(self, length: int) -> bytes:
        """`length` random bytes (1 to 65,536) from the token's generator."""
        ...

    def new_data_key(self, wrapping_key: str) -> DataKey:
        """A new AES-256 key from the token's generator, in the clear and wrapped."""
        ...

    def unwrap_data_key(self, wrapping_key: str, wrapped: bytes) -> bytes:
        """The 32 bytes of a data key; raises TAMPERING_DETECTED where it was not wrapped here."""
        ...

    def rewrap_data_key(self, wrapping_key: str, wrapped: bytes) -> bytes:
        """The same data key wrapped by the generation in use; unchanged where it is already.

        The key itself does not leave custody. Raises as `unwrap_data_key`.
        """
        ...

    def generations(self, key: str) -> KeyGenerations:
        """The generations of a key of which this caller may use any."""
        ...

    def open_sealed(self, key: str, message: SealedMessage) -> bytes:
        """What a message sealed to the key holds.

        Raises TAMPERING_DETECTED, whatever the fault, where it does not open: another key,
        another `info`, a changed byte.
        """
        ...

    def certificate_chain(self, key: str) -> list[bytes]:
        """The certificate chain of a key in DER, leaf first, without the root."""
        ...

    def certified_key(self, key: str) -> CertifiedKey:
        """A key's generation and its certificates, which belong together."""
        ...

    def certify_server_leaf(self, issuer_key: str, signing_request: bytes) -> list[bytes]:
        """A TLS leaf for the PKCS#10 request's public key, for at most 24 hours; chain in DER.

        The names are this host's own, never the request's.
        """
        ...

    def certify(self, issuer_key: str, signing_request: bytes, profile: str) -> list[bytes]:
        """A certificate by profile for the PKCS#10 request's key and names; chain in DER.

        Raises IDENTITY_NOT_PERMITTED for a name outside the issuer's name constraints.
        """
        ...

    def health(self) -> CustodyHealth:
        """Sign and verify something now and say how it went."""
        ...
