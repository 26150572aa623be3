"""The public certificates of a host, one PEM file for each key, leaf first, without the root."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from hsm.token import Token
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


def read_chains(
    folder: Path, labels: Iterable[str], token: Token
) -> dict[str, tuple[x509.Certificate, ...]]:
    """The chains of those keys that have one, each checked to be of the key in the token."""
    chains: dict[str, tuple[x509.Certificate, ...]] = {}
    for label in sorted(labels):
        file = chain_file(folder, label)
        if not file.exists():
            continue
        chains[label] = read_chain(file)
        if chains[label][0].public_key() != token.public_key(label):
            raise JukiError(
                Reason.CONFIGURATION_INVALID, f"{file} certifies another key than the token's"
            )
    return chains
