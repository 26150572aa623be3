"""The root certificates that a process trusts, read from its PEM file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from juki.domain.errors import JukiError, Reason


@dataclass(frozen=True)
class Roots:
    """The same certificates in both of their forms."""

    pem: bytes
    der: list[bytes]


def load_roots(path: Path) -> Roots:
    """The roots in a PEM file.

    Raises:
        JukiError: CONFIGURATION_INVALID when it cannot be read or holds no certificate.
    """
    try:
        pem = path.read_bytes()
        certificates = x509.load_pem_x509_certificates(pem)
    except (OSError, ValueError):
        raise JukiError(
            Reason.CONFIGURATION_INVALID, "the root certificates cannot be read"
        ) from None
    return Roots(pem, [one.public_bytes(Encoding.DER) for one in certificates])
