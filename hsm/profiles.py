"""Certificate profiles of the network, kept as data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from juki.custody.port import (
    DOCUMENT_SIGNING,
    EXCHANGE,
    SEALED_EXCHANGE,
    SERVER_ISSUER,
    SIGNING,
    TLS_CLIENT,
    TLS_SERVER,
)


@dataclass(frozen=True)
class Profile:
    """What a certificate may be used for, and for how long."""

    name: str
    lifetime: timedelta
    """From notBefore to notAfter; cut to the issuer's own end."""
    path_length: int | None = None
    """How many authorities may follow; None for a leaf, which is no authority."""
    extended_key_usage: x509.ObjectIdentifier | None = None
    """The one purpose; None for any (authority)."""
    agrees_on_keys: bool = False
    """Whether the key agrees on secrets (ECDH) instead of signing."""
    constrains_names: bool = False
    """Whether the certificate's names are its critical name constraints instead of its own."""
    names_server: bool = False
    """Whether the certificate names a server by DNS, beside its identity."""

    @property
    def takes_dns(self) -> bool:
        """Whether DNS names go into the certificate at all."""
        return self.constrains_names or self.names_server


ROOT = Profile("root", timedelta(days=20 * 365), path_length=2)
ISSUING = Profile("issuing", timedelta(days=10 * 365), path_length=1, constrains_names=True)
SERVER_ISSUER_PROFILE = Profile(
    SERVER_ISSUER,
    timedelta(days=398),
    path_length=0,
    extended_key_usage=ExtendedKeyUsageOID.SERVER_AUTH,
    constrains_names=True,
)
SERVER_LEAF = Profile(
    "server-leaf", timedelta(hours=24), extended_key_usage=ExtendedKeyUsageOID.SERVER_AUTH
)
TLS_CLIENT_PROFILE = Profile(
    TLS_CLIENT, timedelta(days=398), extended_key_usage=ExtendedKeyUsageOID.CLIENT_AUTH
)
SIGNING_PROFILE = Profile(SIGNING, timedelta(days=3 * 365), extended_key_usage=DOCUMENT_SIGNING)
"""Of notifications and receipts; its purpose keeps it from being shown as a TLS client's."""
TLS_SERVER_PROFILE = Profile(
    TLS_SERVER,
    timedelta(days=398),
    extended_key_usage=ExtendedKeyUsageOID.SERVER_AUTH,
    names_server=True,
)
"""Of a server key that stays in a token; those in memory have `SERVER_LEAF`."""
EXCHANGE_PROFILE = Profile(
    EXCHANGE, timedelta(days=398), extended_key_usage=SEALED_EXCHANGE, agrees_on_keys=True
)
"""Of the keys that messages between municipalities are sealed to."""

CERTIFIABLE = {
    profile.name: profile
    for profile in (
        TLS_CLIENT_PROFILE,
        SIGNING_PROFILE,
        SERVER_ISSUER_PROFILE,
        TLS_SERVER_PROFILE,
        EXCHANGE_PROFILE,
    )
}
"""The profiles that an issuing authority certifies on request."""
