"""One revocation list whose signature has been verified to the root, and what certificates say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from juki.custody.verify import verify_list_issuer
from juki.domain.errors import JukiError, Reason
from juki.v1 import revocation_pb2 as pb

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""How far a list's thisUpdate may lie ahead of our clock."""
_LARGEST_NUMBER: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a revocation list is asked about."""

    serial: int
    issuer_key_id: bytes
    """Authority key identifier; empty where the certificate names none, which no list answers."""


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A list that an issuing authority under one of our roots has signed."""

    issuer_key_id: bytes
    """Subject key identifier of the authority's certificate."""
    hosts: frozenset[str]
    """Hosts of the identities that the authority may certify."""
    number: int
    this_update: datetime
    next_update: datetime
    revoked: Mapping[int, datetime]
    """Serial number to the instant of revocation (aware)."""
    signed: pb.SignedRevocationList
    """As it came, to be passed on."""

    @property
    def authority(self) -> str:
        """Its name for operators: the first of its hosts, for example `pref22.juki.example`."""
        # The nation's authority also certifies agencies: it goes by its own host.
        return max(self.hosts)


def read_list(
    signed: pb.SignedRevocationList, roots_der: Sequence[bytes], now: datetime
) -> RevocationList:
    """Verify a list (RFC 5280 section 6.3, for full lists without distribution points).

    Whether it is stale is not asked here. Raises CRL_REFUSED where its authority does not lead to
    a root, its signature does not verify, or it is not a list of the kind this network has.
    """
    try:
        authority, hosts = verify_list_issuer(list(signed.certificates), list(roots_der), now)
    except JukiError:
        raise _refused("has no authority under a known root") from None
    try:
        crl = x509.load_der_x509_crl(signed.list)
        key = authority.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not crl.is_signature_valid(key):
            raise _refused("is not signed by its authority")
        if crl.issuer != authority.subject:
            raise _refused("names another issuer")
        if any(extension.critical for extension in crl.extensions):
            # Indirect, partial and delta lists say so in critical extensions.
            raise _refused("has a critical extension")
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        next_update = crl.next_update_utc
        revoked = {}
        for entry in crl:
            if any(extension.critical for extension in entry.extensions):
                raise _refused("has an entry with a critical extension")
            revoked[entry.serial_number] = entry.revocation_date_utc
        key_id = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except (ValueError, TypeError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        if isinstance(error, JukiError):
            raise
        raise _refused("is malformed") from None
    if next_update is None or not 0 < number <= _LARGEST_NUMBER:
        raise _refused("has no next update, or no number")
    if crl.last_update_utc > now + CLOCK_TOLERANCE:
        raise _refused("is of the future")
    return RevocationList(
        key_id.digest, hosts, number, crl.last_update_utc, next_update, revoked, signed
    )


@lru_cache(maxsize=16_384)
def facts_of_pem(certificate: bytes) -> CertificateFacts:
    """The facts of a certificate in PEM, as the TLS handshake hands it over; parsed once."""
    return _facts(x509.load_pem_x509_certificate(certificate))


def facts_of_der(certificate: bytes) -> CertificateFacts:
    """The facts of a certificate in DER."""
    return _facts(x509.load_der_x509_certificate(certificate))


def _facts(certificate: x509.Certificate) -> CertificateFacts:
    try:
        found = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        return CertificateFacts(certificate.serial_number, b"")
    return CertificateFacts(certificate.serial_number, found.key_identifier or b"")


def _refused(what: str) -> JukiError:
    return JukiError(Reason.CRL_REFUSED, f"a revocation list {what}")
