"""OpenSSL as the verifier: a relying party that knows nothing of our code."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization


def openssl_verdict(
    root: Path, chain: Sequence[x509.Certificate], folder: Path, *options: str
) -> str:
    """What `openssl verify -x509_strict` says of a chain, leaf first, under a root's PEM file."""
    names = []
    for place, certificate in enumerate(chain):
        names.append(folder / f"{place}.pem")
        names[-1].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    between = [part for name in names[1:] for part in ("-untrusted", str(name))]
    command = ["openssl", "verify", "-x509_strict", *options, "-CAfile", str(root)]
    verdict = subprocess.run(
        [*command, *between, str(names[0])], capture_output=True, text=True, check=False
    )
    return verdict.stdout + verdict.stderr
