"""Puts the parts of witnessing together for a server."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from cryptography.hazmat.primitives.asymmetric import ec
from prometheus_client import CollectorRegistry

from juki.audit.checkpoint import SignedCheckpoint, audit_origin
from juki.audit.witness.cosignature import Cosigner
from juki.audit.witness.metrics import WitnessMetrics
from juki.audit.witness.offering import OfferedLog
from juki.audit.witness.records import WitnessRecords, read_records
from juki.audit.witness.rule import SigningKeys, WatchedLog, Witness
from juki.audit.witness.service import WitnessServicer
from juki.audit.witness.watching import LogWatcher, OwnLog
from juki.custody.signing import DocumentSigner, SigningCustody
from juki.custody.verify import fingerprint
from juki.domain.errors import JukiError, Reason
from juki.register.signers import SignerDirectory
from juki.v1 import witness_pb2_grpc
from juki.worker import Worker


def log_origin(identity: str) -> str:
    """The origin of a server's log by its identity, for example `national.juki.example/audit`."""
    return audit_origin(urlsplit(identity).hostname or "")


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


class Witnessing:
    """A server's part in witnessing: its own witness, who watches its log, whom it calls."""

    def __init__(
        self,
        stack: ExitStack,
        directory: Path,
        *,
        custody: SigningCustody,
        signers: SignerDirectory,
        identity: str,
        registry: CollectorRegistry,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """The witness of the server with this identity (URI), with its records in `directory`.

        `clock` gives nanoseconds since 1970-01-01 UTC. Raises STORE_UNAVAILABLE where the records
        cannot be used, and what custody raises.
        """
        self.signer = DocumentSigner(custody)
        self._find_key = keys_of(signers)
        self.records = WitnessRecords(directory)
        stack.callback(self.records.close)
        self.metrics = WitnessMetrics(registry, lambda: len(self.records.alarms()))
        with suppress(JukiError):  # what cannot be read is said when it is needed
            for note in read_records(directory):
                self.metrics.cosigned(note)
        self.witness = Witness(
            records=self.records,
            cosigner=Cosigner(self.signer, identity, clock),
            find_key=self._find_key,
            clock=clock,
            alarmed=self.metrics.alarmed,
            cosigned=self.metrics.cosigned,
        )

    def serve(self, server: grpc.Server, log: OfferedLog) -> None:
        """Adds `juki.v1.WitnessService` for the log here, and for those of the callers."""
        witness_pb2_grpc.add_WitnessServiceServicer_to_server(
            WitnessServicer(
                log=log,
                certificates=OwnCertificates(self.signer),
                witness=self.witness,
                find_key=self._find_key,
                log_of=log_origin,
            ),
            server,
        )

    def watch(self, above: grpc.Channel, identity: str) -> LogWatcher:
        """Watches the log of the server with this identity, which the channel reaches."""
        return LogWatcher(
            stub=witness_pb2_grpc.WitnessServiceStub(above),
            log=watched(identity),
            witness=self.witness,
            metrics=self.metrics,
        )

    def show(self, above: grpc.Channel, identity: str, log: OfferedLog) -> OwnLog:
        """Has the log here watched by that server."""
        return OwnLog(
            stub=witness_pb2_grpc.WitnessServiceStub(above),
            log=log,
            certificates=OwnCertificates(self.signer),
            witness_identity=identity,
            find_key=self._find_key,
            metrics=self.metrics,
        )


def worker_of(part: LogWatcher | OwnLog, name: str) -> Worker:
    """The thread of one of them; to be started by the root."""
    return Worker(name, part.work, wake=part.wake, failed=part.failed)
