"""Records as a lookup server writes them, and a signer for heads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from juki.audit.head import HeadKey, HeadSigning
from juki.audit.port import AuditRecord
from juki.domain.legal_basis import AffairReference, Field, SearchKey
from juki.domain.outcome import Outcome

MakeRecord = Callable[..., AuditRecord]


@pytest.fixture(scope="session")
def record() -> MakeRecord:
    def make(request: str = "request-1", persons: int = 1, **changes: Any) -> AuditRecord:
        fields: dict[str, Any] = {
            "time_unix_nanos": 1_793_000_000_000_000_000,
            "body_identity": "spiffe://agency.juki.example/nenkin",
            "request_id": request,
            "affair": AffairReference(1, "77"),
            "search_key": SearchKey.INDIVIDUAL_NUMBER,
            "office": "第一課",
            "operator": "operator-7",
            "article": "30-9",
            "requested_fields": frozenset({Field.NAME, Field.RESIDENT_RECORD_CODE}),
            "granted_fields": frozenset({Field.NAME}),
            "pseudonyms": b"".join(
                hashlib.sha256(f"{request}/{n}".encode()).digest()[:16] for n in range(persons)
            ),
            "outcomes": bytes([Outcome.FOUND]) * persons,
        }
        return AuditRecord(**(fields | changes))

    return make


@pytest.fixture(scope="session")
def head_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="session")
def head_signing(head_key: ec.EllipticCurvePrivateKey) -> HeadSigning:
    def sign(digest: bytes) -> bytes:
        r, s = decode_dss_signature(head_key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return HeadSigning(
        lambda: HeadKey("key-1", sign), lambda: 1_793_000_000_000_000_000, interval_seconds=3600.0
    )
