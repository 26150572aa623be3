"""The public certificates of a host, one PEM file for each key, leaf first, without the root."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from juki.domain.errors import JukiError, Reason


def chain_file(folder: Path, label: str) -> Path:
    """Where the chain of a key is kept."""
    return folder / f"{label}.pem"


def write_chain(file: Path, chain: Sequence[x509.Certificate]) -> None:
    """Write a chain, whole or not at all."""
    unfinished = file.with_name(file.name + ".new")
    unfinished.write_bytes(b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain))
    unfinished.rename(file)


def read_chain(file: Path) -> tuple[x509.Certificate, ...]:
    """Read a chain; raises CONFIGURATION_INVALID where the file holds none."""
    try:
        return tuple(x509.load_pem_x509_certificates(file.read_bytes()))
    except (OSError, ValueError) as error:
        raise JukiError(
            Reason.CONFIGURATION_INVALID, f"{file} holds no certificate chain"
        ) from error
