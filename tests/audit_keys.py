"""A key that signs an audit log's checkpoints, in memory."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from juki.audit.checkpoint import CheckpointKey, CheckpointSigning

ORIGIN = "national.juki.example/audit"


def key_of(private: ec.EllipticCurvePrivateKey) -> CheckpointKey:
    """The key as a token gives it."""

    def sign(digest: bytes) -> bytes:
        r, s = decode_dss_signature(private.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    encoded = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return CheckpointKey(hashlib.sha256(encoded).digest(), sign)


def signing_with(private: ec.EllipticCurvePrivateKey, seconds: float = 3600.0) -> CheckpointSigning:
    """Signs when a log is opened and closed, and every so many seconds."""
    key = key_of(private)
    return CheckpointSigning(ORIGIN, lambda: key, interval_seconds=seconds)
