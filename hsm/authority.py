"""The certification authority of a token: certificates by profile, within name constraints."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hsm.profiles import Profile
from juki.domain.errors import JukiError, Reason

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far before now a certificate begins, for peers whose clocks are behind."""
_LONGEST_COMMON_NAME = 64
_NO_ADDRESSES = (
    x509.IPAddress(ipaddress.ip_network("0.0.0.0/0")),
    x509.IPAddress(ipaddress.ip_network("::/0")),
)


@dataclass(frozen=True)
class Names:
    """The names of a certificate, or of what an authority may name."""

    uris: tuple[str, ...] = ()
    """Identities (`spiffe://…`) of a certificate; hosts where these are constraints."""
    dns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Issuer:
    """An authority: its key in the token and its chain, its own certificate first."""

    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]
    """Without the root, except that the root's own chain is the root."""


class Authority:
    """Issues certificates; the clock and the serial numbers are injected."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        serial_number: Callable[[], int] = x509.random_serial_number,
    ) -> None:
        self._clock = clock
        self._serial_number = serial_number

    def root(
        self, key: ec.EllipticCurvePrivateKey, name: str, profile: Profile
    ) -> x509.Certificate:
        """A self-signed root."""
        begin = self._clock() - CLOCK_TOLERANCE
        builder = self._builder(key.public_key(), name, profile, begin)
        builder = builder.issuer_name(_subject(name)).not_valid_after(begin + profile.lifetime)
        return builder.sign(key, hashes.SHA256())

    def certify(
        self,
        issuer: Issuer,
        public_key: ec.EllipticCurvePublicKey,
        subject: str,
        names: Names,
        profile: Profile,
    ) -> x509.Certificate:
        """A certificate for the key; raises IDENTITY_NOT_PERMITTED for names out of bounds."""
        certificate = issuer.chain[0]
        refuse_outside_constraints(issuer.chain, names, are_constraints=profile.constrains_names)
        begin = max(self._clock() - CLOCK_TOLERANCE, certificate.not_valid_before_utc)
        end = min(begin + profile.lifetime, certificate.not_valid_after_utc)
        builder = self._builder(public_key, subject, profile, begin)
        builder = builder.issuer_name(certificate.subject).not_valid_after(end)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
        builder = _add_names(builder, names, profile)
        return builder.sign(issuer.key, hashes.SHA256())

    def _builder(
        self, public_key: ec.EllipticCurvePublicKey, subject: str, profile: Profile, begin: datetime
    ) -> x509.CertificateBuilder:
        is_authority = profile.path_length is not None
        builder = (
            x509.CertificateBuilder()
            .serial_number(self._serial_number())
            .subject_name(_subject(subject))
            .public_key(public_key)
            .not_valid_before(begin)
            .add_extension(x509.BasicConstraints(is_authority, profile.path_length), critical=True)
            .add_extension(_key_usage(profile), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        )
        if profile.extended_key_usage is not None:
            usage = x509.ExtendedKeyUsage([profile.extended_key_usage])
            builder = builder.add_extension(usage, critical=False)
        return builder


def public_key_of(signing_request: bytes) -> ec.EllipticCurvePublicKey:
    """The P-256 key of a PKCS#10 request whose signature holds; raises INVALID_FIELD."""
    return _parsed(signing_request)[1]


def names_of(signing_request: bytes) -> Names:
    """The subject alternative names of a PKCS#10 request; raises INVALID_FIELD."""
    request, _ = _parsed(signing_request)
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        raise JukiError(Reason.INVALID_FIELD, "the certificate request names nobody") from None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    dns = names.get_values_for_type(x509.DNSName)
    if len(uris) + len(dns) != len(list(names)):
        raise JukiError(Reason.INVALID_FIELD, "a certificate request names URIs and DNS names only")
    return Names(tuple(uris), tuple(dns))


def names_for(profile: Profile, requested: Names) -> Names:
    """The names to certify under a profile; raises INVALID_FIELD where the request misfits.

    Every certificate on request bears exactly one identity. A client's or signer's has no DNS
    name; a server's has; a server issuer's request names the server, which becomes its constraints.
    """
    if len(requested.uris) != 1 or bool(requested.dns) != profile.takes_dns:
        raise JukiError(Reason.INVALID_FIELD, "the request's names do not fit the profile")
    host = urlsplit(requested.uris[0]).hostname
    if not host:
        raise JukiError(Reason.INVALID_FIELD, "an identity is a URI with a host")
    return Names((host,), requested.dns) if profile.constrains_names else requested


def subject_of(profile: Profile, requested: Names) -> str:
    """The common name: for people and logs only, no verifier decides by it.

    Distinct for every issuer, since verifiers find issuers by their subjects.
    """
    return f"{profile.name} {requested.uris[0]}" if requested.uris else profile.name


def refuse_outside_constraints(
    chain: Sequence[x509.Certificate], names: Names, *, are_constraints: bool
) -> None:
    """Raise IDENTITY_NOT_PERMITTED for a name that a verifier of the chain would refuse.

    Relying parties check the same (RFC 5280 section 4.2.1.10); refusing early gives a reason.
    """
    hosts = names.uris if are_constraints else [urlsplit(uri).hostname or "" for uri in names.uris]
    for certificate in chain:
        try:
            constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
        except x509.ExtensionNotFound:
            continue
        permitted = constraints.permitted_subtrees or ()
        permitted_hosts = {
            name.value for name in permitted if isinstance(name, x509.UniformResourceIdentifier)
        }
        permitted_dns = [name.value for name in permitted if isinstance(name, x509.DNSName)]
        inside = all(host in permitted_hosts for host in hosts) and all(
            any(name == tree or name.endswith("." + tree) for tree in permitted_dns)
            for name in names.dns
        )
        if not inside:
            raise JukiError(
                Reason.IDENTITY_NOT_PERMITTED, "the issuing authority may not name this identity"
            )


def _parsed(
    signing_request: bytes,
) -> tuple[x509.CertificateSigningRequest, ec.EllipticCurvePublicKey]:
    try:
        request = x509.load_der_x509_csr(signing_request)
        public_key = request.public_key()
        valid = request.is_signature_valid
    except (ValueError, TypeError):
        raise JukiError(Reason.INVALID_FIELD, "the certificate request cannot be read") from None
    if not valid or not isinstance(public_key, ec.EllipticCurvePublicKey):
        raise JukiError(Reason.INVALID_FIELD, "the certificate request is badly signed")
    if not isinstance(public_key.curve, ec.SECP256R1):
        raise JukiError(Reason.INVALID_FIELD, "the certificate request's key is not on P-256")
    return request, public_key


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_LONGEST_COMMON_NAME])])


def _add_names(
    builder: x509.CertificateBuilder, names: Names, profile: Profile
) -> x509.CertificateBuilder:
    general = [
        *(x509.UniformResourceIdentifier(uri) for uri in names.uris),
        *(x509.DNSName(name) for name in names.dns),
    ]
    if profile.constrains_names:
        constraints = x509.NameConstraints(general, _NO_ADDRESSES)
        return builder.add_extension(constraints, critical=True)
    return builder.add_extension(x509.SubjectAlternativeName(general), critical=False)


def _key_usage(profile: Profile) -> x509.KeyUsage:
    is_authority = profile.path_length is not None
    return x509.KeyUsage(
        digital_signature=not is_authority and not profile.agrees_on_keys,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=profile.agrees_on_keys,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
