"""The calls of a tier below: it watches the log above, and has its own watched there."""

from __future__ import annotations

import threading
from typing import Final

from juki.audit.witness.cosignature import CosigningKey, parse_line, witness_name
from juki.audit.witness.metrics import WitnessMetrics
from juki.audit.witness.offering import OfferedLog
from juki.audit.witness.rule import WITNESSED_SIZE, Offer, SigningKeys, WatchedLog, Witness
from juki.audit.witness.service import LogCertificates
from juki.domain.errors import JukiError, Reason
from juki.rpc.errors import refusals_of_peer
from juki.v1 import witness_pb2 as pb
from juki.v1 import witness_pb2_grpc

INTERVAL_SECONDS: Final = 10.0
ALARMS: Final = frozenset({Reason.LOG_SHORTENED, Reason.LOG_REWRITTEN, Reason.LOG_FORKED})

_CALL_SECONDS: Final = 30.0


class LogWatcher:
    """Fetches the checkpoint of the log above, co-signs it and brings the cosignature back.

    `work` is a worker's round.
    """

    def __init__(
        self,
        *,
        stub: witness_pb2_grpc.WitnessServiceStub,
        log: WatchedLog,
        witness: Witness,
        metrics: WitnessMetrics,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self._stub = stub
        self._log = log
        self._witness = witness
        self._metrics = metrics
        self._interval_seconds = interval_seconds
        self._wake = threading.Event()
        self._alarm: JukiError | None = None

    def work(self) -> None:
        """One look at the log; waits for the next. Raises what stands in the way."""
        self._wake.clear()
        try:
            self.look()
        except JukiError as error:
            self._alarm = error if error.reason in ALARMS else self._alarm
            raise
        self._alarm = None
        self._wake.wait(self._interval_seconds)

    def look(self) -> bool:
        """One look; whether there was anything to co-sign."""
        size = self._witness.witnessed_size(self._log)
        with refusals_of_peer():
            shown = self._stub.GetCheckpoint(
                pb.GetCheckpointRequest(witnessed_size=size), timeout=_CALL_SECONDS
            )
        if not shown.checkpoint:
            if size:
                raise JukiError(Reason.LOG_SHORTENED, "the log above shows no checkpoint any more")
            return False
        offer = Offer(size, shown.consistency_proof, shown.checkpoint, shown.certificates)
        cosigned = self._witness.cosign(self._log, offer)
        with refusals_of_peer():
            self._stub.AddCosignature(
                pb.AddCosignatureRequest(
                    size=cosigned.checkpoint.checkpoint.size,
                    root=cosigned.checkpoint.checkpoint.root,
                    cosignature=cosigned.line.line,
                    certificates=cosigned.certificates,
                ),
                timeout=_CALL_SECONDS,
            )
        return True

    def wake(self) -> None:
        """Lets a waiting round end."""
        self._wake.set()

    def failed(self, reason: Reason) -> None:
        """Counts a round that failed."""
        self._metrics.failed.labels(reason).inc()

    def check(self) -> None:
        """A probe of health: raises while an alarm stands."""
        self._witness.check()
        if self._alarm is not None:
            raise self._alarm


class OwnLog:
    """Has the log here co-signed by the tier above; `work` is a worker's round."""

    def __init__(
        self,
        *,
        stub: witness_pb2_grpc.WitnessServiceStub,
        log: OfferedLog,
        certificates: LogCertificates,
        witness_identity: str,
        find_key: SigningKeys,
        metrics: WitnessMetrics,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        """`witness_identity` is the URI of the server that `stub` calls."""
        self._stub = stub
        self._log = log
        self._own_certificates = certificates
        self._identity = witness_identity
        self._find_key = find_key
        self._metrics = metrics
        self._interval_seconds = interval_seconds
        self._wake = threading.Event()
        self._witnessed_size = 0
        self._alarm: JukiError | None = None

    def work(self) -> None:
        """One checkpoint; waits for the next. Raises what stands in the way."""
        self._wake.clear()
        try:
            self.show()
        except JukiError as error:
            self._alarm = error if error.reason in ALARMS else self._alarm
            raise
        self._alarm = None
        self._wake.wait(self._interval_seconds)

    def show(self) -> bool:
        """Shows one checkpoint; whether it was co-signed and kept."""
        try:
            return self._show()
        except JukiError as error:
            if error.reason is not Reason.WITNESS_ELSEWHERE:
                raise
            # The witness knows better what it saw: after a restart here, or a lost answer.
            self._witnessed_size = int(error.metadata[WITNESSED_SIZE])
        return self._show()

    def _show(self) -> bool:
        held = self._log.hold_out(self._witnessed_size)
        if held is None:
            return False
        checkpoint = held.checkpoint.checkpoint
        with refusals_of_peer():
            answer = self._stub.AddCheckpoint(
                pb.AddCheckpointRequest(
                    old_size=self._witnessed_size,
                    consistency_proof=held.proof,
                    checkpoint=held.checkpoint.note.encode(),
                    certificates=self._own_certificates(held.checkpoint),
                ),
                timeout=_CALL_SECONDS,
            )
        self._witnessed_size = checkpoint.size
        line = parse_line(answer.cosignature)
        key = CosigningKey(
            witness_name(self._identity), self._find_key(answer.certificates, self._identity)
        )
        if not key.verifies(checkpoint.text, line):
            raise JukiError(Reason.SIGNATURE_INVALID, "the cosignature does not verify")
        return self._log.keep_cosignature(
            checkpoint.size, checkpoint.root, line, answer.certificates[0]
        )

    def wake(self) -> None:
        """Lets a waiting round end."""
        self._wake.set()

    def failed(self, reason: Reason) -> None:
        """Counts a round that failed."""
        self._metrics.failed.labels(reason).inc()

    def check(self) -> None:
        """A probe of health: raises while the witness refuses this log as no honest one."""
        if self._alarm is not None:
            raise self._alarm
