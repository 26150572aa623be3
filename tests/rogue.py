"""Certificates that an honest custody never makes: what a thief of an issuing key could."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hsm.certificates import chain_file, read_chain
from hsm.profiles import Profile
from hsm.token import open_token
from tests.custody_fixtures import TrustDomain


@dataclass(frozen=True)
class RogueCertificate:
    """A certificate over a key in memory, with its issuer's chain."""

    private_key_pem: bytes
    chain: tuple[x509.Certificate, ...]

    @property
    def chain_pem(self) -> bytes:
        """Leaf first, without the root."""
        return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in self.chain)


def rogue_certificate(
    trust_domain: TrustDomain,
    host: str,
    issuer_label: str,
    profile: Profile | None,
    *,
    uris: tuple[str, ...] = (),
    dns: tuple[str, ...] = (),
    addresses: tuple[str, ...] = (),
    permits: tuple[str, ...] = (),
    subject: str = "rogue",
    under: RogueCertificate | None = None,
    is_authority: bool = False,
    expired: bool = False,
) -> RogueCertificate:
    """A certificate signed by a host's issuing key without asking custody's rules.

    With `under`, signed by that rogue authority's key in memory instead. In all but its names it
    is as RFC 5280 wants it, so that a strict verifier has nothing else to refuse. `permits` are
    URI hosts that it claims as its name constraints.
    """
    files = trust_domain.files(host)
    chain = under.chain if under else read_chain(chain_file(files.certificates, issuer_label))
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(chain[0].subject)
        .public_key(key.public_key())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + (timedelta(minutes=-1) if expired else timedelta(hours=1)))
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .add_extension(_key_usage(is_authority=is_authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                chain[0].extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            ),
            critical=False,
        )
    )
    if permits:
        permitted = [*map(x509.UniformResourceIdentifier, permits)]
        constraints = x509.NameConstraints(permitted, None)
        builder = builder.add_extension(constraints, critical=True)
    names: list[x509.GeneralName] = [
        *(x509.UniformResourceIdentifier(uri) for uri in uris),
        *(x509.DNSName(name) for name in dns),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
    ]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if profile is not None and profile.extended_key_usage is not None:
        usage = x509.ExtendedKeyUsage([profile.extended_key_usage])
        builder = builder.add_extension(usage, critical=False)
    if under:
        issuer_key = serialization.load_pem_private_key(under.private_key_pem, None)
        assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
        certificate = builder.sign(issuer_key, hashes.SHA256())
    else:
        with open_token(files.token(trust_domain.plan.module, host)) as token:
            certificate = builder.sign(token.signing_key(issuer_label), hashes.SHA256())
    private_key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return RogueCertificate(private_key_pem, (certificate, *chain))


def _key_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
