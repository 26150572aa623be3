"""Verification of what custody signed: signatures, and the chains that name the signer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import pairwise
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from juki.custody.port import DOCUMENT_SIGNING, SEALED_EXCHANGE, SIGNATURE_BYTES
from juki.domain.errors import JukiError, Reason

_SHA256_DIGEST = ec.ECDSA(Prehashed(hashes.SHA256()))
_KNOWN_CRITICAL = (x509.BasicConstraints, x509.KeyUsage, x509.NameConstraints)
_BROKEN_CERTIFICATE = (
    ValueError,
    TypeError,
    InvalidSignature,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True)
class VerifiedSigner:
    """The holder of a signing certificate whose chain has been verified."""

    identity: str
    """The URI subject alternative name, for example `spiffe://pref22.juki.example/cs/221309`."""
    key_id: bytes
    """SHA-256 of the SubjectPublicKeyInfo, 32 bytes: what names the key on the network."""
    public_key: ec.EllipticCurvePublicKey
    not_before: datetime
    not_after: datetime


def signature_to_der(raw_signature: bytes) -> bytes:
    """A raw P-256 signature (r || s, 64 bytes) as an ECDSA-Sig-Value in DER (RFC 3279 2.2.3)."""
    half = SIGNATURE_BYTES // 2
    return encode_dss_signature(
        int.from_bytes(raw_signature[:half]), int.from_bytes(raw_signature[half:])
    )


def verify_signature(
    public_key: ec.EllipticCurvePublicKey, digest: bytes, raw_signature: bytes
) -> bool:
    """Whether the raw signature (64 bytes) over the SHA-256 digest (32 bytes) is the key's.

    Keep the loaded key between calls: loading it from a certificate costs more than verifying.
    """
    if len(raw_signature) != SIGNATURE_BYTES:
        return False
    try:
        public_key.verify(signature_to_der(raw_signature), digest, _SHA256_DIGEST)
    except (InvalidSignature, ValueError):
        return False
    return True


def fingerprint(certificate_der: bytes) -> bytes:
    """SHA-256 of the certificate's SubjectPublicKeyInfo (32 bytes): the key's id."""
    return _key_id(x509.load_der_x509_certificate(certificate_der))


def verify_chain(
    chain_der: Sequence[bytes],
    roots_der: Sequence[bytes],
    now: datetime,
    expected_uri: str,
    purpose: x509.ObjectIdentifier = DOCUMENT_SIGNING,
) -> VerifiedSigner:
    """Verify a signing certificate's chain (leaf first, without the root) at `now` (aware).

    After RFC 5280 section 6.1, narrowed to the chains of this network: each certificate is issued
    directly by the next, the last by one of `roots_der`; each is in force; issuers are authorities
    that may sign certificates within their path lengths; the leaf is no authority, serves the one
    `purpose` and no other, and has exactly one URI, which lies within every issuer's name
    constraints and equals `expected_uri`. `cryptography`'s own verifier knows no URI constraints.

    Raises UNKNOWN_SIGNING_KEY where the chain does not hold, SIGNER_MISMATCH for another identity.
    """
    try:
        chain = [x509.load_der_x509_certificate(der) for der in chain_der]
        roots = [x509.load_der_x509_certificate(der) for der in roots_der]
        if not chain:
            raise _refused("is empty")
        path = [*chain, _issuer_among(roots, chain[-1])]
        for certificate, issuer in pairwise(path):
            certificate.verify_directly_issued_by(issuer)
        for certificate in path:
            _check_in_force(certificate, now)
            _check_critical_extensions(certificate)
        identity = _identity(path[0])
        _check_purpose(path[0], purpose)
        for depth, issuer in enumerate(path[1:]):
            _check_authority(issuer, authorities_below=depth)
            _check_name_constraints(issuer, identity)
        public_key = path[0].public_key()
    except _BROKEN_CERTIFICATE as error:
        if isinstance(error, JukiError):
            raise
        raise _refused("is malformed or badly signed") from None
    if (
        not isinstance(public_key, ec.EllipticCurvePublicKey)
        or public_key.curve.name != "secp256r1"
    ):
        raise _refused("has a key that is not on P-256")
    if identity != expected_uri:
        raise JukiError(
            Reason.SIGNER_MISMATCH, "the signing certificate belongs to another identity"
        )
    return VerifiedSigner(
        identity=identity,
        key_id=_key_id(path[0]),
        public_key=public_key,
        not_before=path[0].not_valid_before_utc,
        not_after=path[0].not_valid_after_utc,
    )


def verify_list_issuer(
    chain_der: list[bytes], roots_der: list[bytes], now: datetime
) -> tuple[x509.Certificate, frozenset[str]]:
    """The authority (its certificate first, without the root) that may sign revocation lists.

    Verified as `verify_chain` does. Gives its certificate and the hosts that its name constraints
    let it name: what it may revoke within. Raises UNKNOWN_SIGNING_KEY where it does not hold.
    """
    try:
        chain = [x509.load_der_x509_certificate(der) for der in chain_der]
        roots = [x509.load_der_x509_certificate(der) for der in roots_der]
        if not chain:
            raise _refused("is empty")
        path = [*chain, _issuer_among(roots, chain[-1])]
        for certificate, issuer in pairwise(path):
            certificate.verify_directly_issued_by(issuer)
        for depth, certificate in enumerate(path):
            _check_in_force(certificate, now)
            _check_critical_extensions(certificate)
            _check_authority(certificate, authorities_below=depth)
        authority = path[0]
        if not authority.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign:
            raise _refused("has an issuer that may not sign revocation lists")
        constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
        hosts = frozenset(_uri_constraints(constraints.permitted_subtrees))
    except _BROKEN_CERTIFICATE as error:
        if isinstance(error, JukiError):
            raise
        raise _refused("is malformed or badly signed") from None
    if not hosts:
        raise _refused("has an authority that may name nobody")
    for issuer in path[1:-1]:
        for host in hosts:
            _check_name_constraints(issuer, f"spiffe://{host}/")
    return authority, hosts


def _refused(what: str) -> JukiError:
    return JukiError(Reason.UNKNOWN_SIGNING_KEY, f"the signing certificate's chain {what}")


def _key_id(certificate: x509.Certificate) -> bytes:
    public_key = certificate.public_key()
    return sha256(
        public_key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    ).digest()


def _issuer_among(roots: list[x509.Certificate], last: x509.Certificate) -> x509.Certificate:
    for root in roots:
        if root.subject == last.issuer:
            return root
    raise _refused("leads to no known root")


def _check_in_force(certificate: x509.Certificate, now: datetime) -> None:
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise _refused("is not in force at that time")


def _check_critical_extensions(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        if extension.critical and not isinstance(extension.value, _KNOWN_CRITICAL):
            raise _refused("has a critical extension that is not understood")


def _identity(leaf: x509.Certificate) -> str:
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    if len(uris) != 1 or len(list(names)) != 1:
        raise _refused("names more than one identity, or none")
    return uris[0]


def _check_purpose(leaf: x509.Certificate, purpose: x509.ObjectIdentifier) -> None:
    if leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        raise _refused("has an authority for a leaf")
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    if purpose == SEALED_EXCHANGE and not usage.key_agreement:
        raise _refused("has a leaf that may not agree on keys")
    if purpose != SEALED_EXCHANGE and not usage.digital_signature:
        raise _refused("has a leaf that may not sign")
    purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    if list(purposes) != [purpose]:
        raise _refused("has a leaf made for another purpose")


def _check_authority(issuer: x509.Certificate, authorities_below: int) -> None:
    constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    if not constraints.ca:
        raise _refused("has an issuer that is no authority")
    if constraints.path_length is not None and authorities_below > constraints.path_length:
        raise _refused("is longer than an issuer allows")
    if not issuer.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign:
        raise _refused("has an issuer that may not sign certificates")


def _check_name_constraints(issuer: x509.Certificate, identity: str) -> None:
    """RFC 5280 section 4.2.1.10: a URI constraint without a leading dot is exactly one host."""
    found = [
        extension.value
        for extension in issuer.extensions
        if isinstance(extension.value, x509.NameConstraints)
    ]
    if not found:
        return
    (constraints,) = found
    host = urlsplit(identity).hostname or ""
    permitted = _uri_constraints(constraints.permitted_subtrees)
    if not host or (permitted and not any(_covers(constraint, host) for constraint in permitted)):
        raise _refused("names an identity outside its issuer's name constraints")
    if any(_covers(one, host) for one in _uri_constraints(constraints.excluded_subtrees)):
        raise _refused("names an identity that its issuer's name constraints exclude")


def _uri_constraints(subtrees: list[x509.GeneralName] | None) -> list[str]:
    return [
        name.value for name in subtrees or () if isinstance(name, x509.UniformResourceIdentifier)
    ]


def _covers(constraint: str, host: str) -> bool:
    if constraint.startswith("."):
        return host.endswith(constraint.lower())
    return host == constraint.lower()
