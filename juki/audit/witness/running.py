"""Puts the parts of witnessing together for a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from prometheus_client import CollectorRegistry

from juki.audit.checkpoint import SignedCheckpoint
from juki.audit.witness.cosignature import Cosigner
from juki.audit.witness.metrics import WitnessMetrics
from juki.audit.witness.records import WitnessRecords
from juki.audit.witness.rule import SigningKeys, WatchedLog, Witness
from juki.custody.signing import DocumentSigner
from juki.custody.verify import fingerprint
from juki.domain.errors import JukiError, Reason
from juki.register.signers import SignerDirectory


def log_origin(identity: str) -> str:
    """The origin of a server's log by its identity, for example `national.juki.example/audit`."""
    return f"{urlsplit(identity).hostname}/audit"


def watched(identity: str) -> WatchedLog:
    """The log of the server with this identity (URI)."""
    return WatchedLog(log_origin(identity), identity)


def keys_of(signers: SignerDirectory) -> SigningKeys:
    """Finds signing keys by the certificates that come along, verified and not revoked."""

    def find(certificates: Sequence[bytes], identity: str) -> ec.EllipticCurvePublicKey:
        try:
            key_id = fingerprint(certificates[0])
        except (IndexError, ValueError):
            raise JukiError(
                Reason.UNKNOWN_SIGNING_KEY, "no certificate of the signing key is presented"
            ) from None
        return signers.find(key_id, identity, certificates).public_key

    return find


class OwnCertificates:
    """The certificates of the generations that sign the checkpoints of the log here."""

    def __init__(self, signer: DocumentSigner) -> None:
        self._signer = signer
        self._seen: dict[bytes, tuple[bytes, ...]] = {}

    def __call__(self, signed: SignedCheckpoint) -> Sequence[bytes]:
        """Those of the key that signed; of the one in use where that one was never seen here."""
        key = self._signer.key
        own = signed.signatures[0].key_id
        self._seen[key.key_id[: len(own)]] = key.chain
        return self._seen.get(own, key.chain)


def open_witness(
    directory: Path,
    *,
    signer: DocumentSigner,
    signers: SignerDirectory,
    identity: str,
    clock: Callable[[], int],
    registry: CollectorRegistry,
) -> tuple[Witness, WitnessRecords, WitnessMetrics]:
    """The witness of the server with this identity; `clock` gives nanoseconds since 1970 UTC.

    The records are the caller's to close. Raises STORE_UNAVAILABLE where they cannot be used.
    """
    records = WitnessRecords(directory)
    metrics = WitnessMetrics(registry)
    witness = Witness(
        records=records,
        cosigner=Cosigner(signer, identity, clock),
        find_key=keys_of(signers),
        clock=clock,
        alarmed=metrics.alarmed,
        cosigned=metrics.cosigned,
    )
    return witness, records, metrics
