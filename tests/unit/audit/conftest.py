"""Records as a lookup server writes them, and a signer for checkpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from juki.audit.checkpoint import CheckpointSigning
from juki.audit.port import AuditRecord
from juki.domain.legal_basis import AffairReference, Field, SearchKey
from juki.domain.outcome import Outcome
from tests.audit_keys import signing_with

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
def log_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="session")
def signing(log_key: ec.EllipticCurvePrivateKey) -> CheckpointSigning:
    """Signs when the log is opened and when it is closed."""
    return signing_with(log_key)


@pytest.fixture(scope="session")
def public_key(
    tmp_path_factory: pytest.TempPathFactory, log_key: ec.EllipticCurvePrivateKey
) -> Path:
    path = tmp_path_factory.mktemp("key") / "log.pem"
    path.write_bytes(
        log_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return path
