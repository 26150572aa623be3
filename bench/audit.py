"""The audit log alone: leaves, durable appends with publishing, verification; batches and singles.

Leaves and verification are counted in processor time of one core, since that is what they cost a
server; appends in elapsed time, since they wait for the disk.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.machine import Machine
from juki.audit.checkpoint import CheckpointKey, CheckpointSigning
from juki.audit.encoding import SEED_BYTES, encode, split
from juki.audit.leaves import leaf_data
from juki.audit.log import FileAuditLog
from juki.audit.port import PSEUDONYM_BYTES, AuditRecord
from juki.audit.verify import verify
from juki.domain.legal_basis import AffairReference, Field, SearchKey
from juki.domain.outcome import Outcome

THREADS: Final = 8
"""Callers that append at once."""

_FIELDS: Final = frozenset({Field.NAME, Field.BIRTH_DATE, Field.SEX, Field.ADDRESS})


@dataclass(frozen=True, slots=True)
class AuditFigures:
    """Figures of one size of call."""

    persons: int
    """A call."""

    leaf_microseconds: float
    """Of processor time, a call's leaf."""

    appends_a_second: float
    """Durable, by `THREADS` callers, with tiles and checkpoints following."""

    verified_persons_a_second: float
    """On one core."""

    segment_bytes: float
    """A person."""

    machine: Machine

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measure_audit(persons: int, calls: int, progress: Callable[[], None]) -> AuditFigures:
    """Figures of `calls` calls for `persons` each; `progress` is called for each of them."""
    records = [_record(number, persons) for number in range(min(calls, 200))]
    encoded = [encode(record, os.urandom(SEED_BYTES)) for record in records]
    start = time.process_time()
    for data in encoded:
        leaf_data(split(data))
    leaf = (time.process_time() - start) / len(encoded)

    private = ec.generate_private_key(ec.SECP256R1())
    with tempfile.TemporaryDirectory(prefix="juki-bench-audit-") as name:
        directory = Path(name) / "log"
        with (
            FileAuditLog(directory, signing=_signing(private)) as log,
            ThreadPoolExecutor(THREADS) as pool,
        ):
            begun = time.monotonic()
            for _ in pool.map(lambda n: log.append(records[n % len(records)]), range(calls)):
                progress()
            elapsed = time.monotonic() - begun
        size = sum(path.stat().st_size for path in directory.glob("*.seg"))
        start = time.process_time()
        report = verify(directory, keys=[private.public_key()])
        verified = time.process_time() - start
    if report.problem is not None or report.entries != calls * persons:
        raise RuntimeError("the log that was measured does not verify")
    return AuditFigures(
        persons,
        leaf * 1e6,
        calls / elapsed,
        calls * persons / verified,
        size / (calls * persons),
        Machine.this(),
    )


def _record(number: int, persons: int) -> AuditRecord:
    return AuditRecord(
        time_unix_nanos=time.time_ns(),
        body_identity="spiffe://agency.juki.example/nenkin",
        request_id=f"request-{number:08d}",
        affair=AffairReference(1, "77"),
        search_key=SearchKey.INDIVIDUAL_NUMBER,
        office="office",
        operator="batch",
        article="30-9",
        requested_fields=_FIELDS,
        granted_fields=_FIELDS,
        pseudonyms=os.urandom(PSEUDONYM_BYTES * persons),
        pseudonym_key=1,
        outcomes=bytes([Outcome.FOUND]) * persons,
    )


def _signing(private: ec.EllipticCurvePrivateKey) -> CheckpointSigning:
    """Every second as in service, with a key in memory: a token's time is custody's figure."""
    encoded = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(digest: bytes) -> bytes:
        r, s = decode_dss_signature(private.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    key = CheckpointKey(hashlib.sha256(encoded).digest(), sign)
    return CheckpointSigning("bench.juki.example/audit", lambda: key)
