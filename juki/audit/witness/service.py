"""Serves witnesses of the log here, and is the witness of its callers' logs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import grpc

from juki.audit.checkpoint import SignedCheckpoint
from juki.audit.witness.cosignature import CosigningKey, parse_line, witness_name
from juki.audit.witness.offering import OfferedLog
from juki.audit.witness.rule import Offer, SigningKeys, WatchedLog, Witness
from juki.domain.errors import JukiError, Reason
from juki.rpc.call import current_identity
from juki.v1 import witness_pb2 as pb
from juki.v1 import witness_pb2_grpc

WITNESS_SERVICE: Final = "juki.v1.WitnessService"

LogCertificates = Callable[[SignedCheckpoint], Sequence[bytes]]
"""The certificates (DER, leaf first) of the key that signed a checkpoint of the log here."""


class WitnessServicer(witness_pb2_grpc.WitnessServiceServicer):
    """`juki.v1.WitnessService` of a tier that keeps a log and watches those of the tier below."""

    def __init__(
        self,
        *,
        log: OfferedLog,
        certificates: LogCertificates,
        witness: Witness,
        find_key: SigningKeys,
        log_of: Callable[[str], str],
    ) -> None:
        """`log_of` gives the origin of the log of a caller, by its identity (URI)."""
        self._log = log
        self._certificates = certificates
        self._witness = witness
        self._find_key = find_key
        self._log_of = log_of

    def GetCheckpoint(  # noqa: N802 - the name of the contract
        self, request: pb.GetCheckpointRequest, context: grpc.ServicerContext
    ) -> pb.GetCheckpointResponse:
        """What is to be co-signed."""
        held = self._log.hold_out(request.witnessed_size)
        if held is None:
            return pb.GetCheckpointResponse()
        return pb.GetCheckpointResponse(
            checkpoint=held.checkpoint.note.encode(),
            consistency_proof=held.proof,
            certificates=self._certificates(held.checkpoint),
        )

    def AddCosignature(  # noqa: N802 - the name of the contract
        self, request: pb.AddCosignatureRequest, context: grpc.ServicerContext
    ) -> pb.AddCosignatureResponse:
        """Keeps a caller's own cosignature, and nobody else's."""
        identity = current_identity().uri
        held = self._log.held
        if held is None or (held.checkpoint.size, held.checkpoint.root) != (
            request.size,
            request.root,
        ):
            return pb.AddCosignatureResponse(kept=False)
        line = parse_line(request.cosignature)
        key = CosigningKey(witness_name(identity), self._find_key(request.certificates, identity))
        if not key.verifies(held.checkpoint.text, line):
            raise JukiError(Reason.SIGNATURE_INVALID, "the cosignature does not verify")
        kept = self._log.keep_cosignature(request.size, request.root, line, request.certificates[0])
        return pb.AddCosignatureResponse(kept=kept)

    def AddCheckpoint(  # noqa: N802 - the name of the contract
        self, request: pb.AddCheckpointRequest, context: grpc.ServicerContext
    ) -> pb.AddCheckpointResponse:
        """Co-signs the caller's own log, and nobody else's."""
        identity = current_identity().uri
        offer = Offer(
            request.old_size, request.consistency_proof, request.checkpoint, request.certificates
        )
        cosigned = self._witness.cosign(WatchedLog(self._log_of(identity), identity), offer)
        return pb.AddCheckpointResponse(
            cosignature=cosigned.line.line, certificates=cosigned.certificates
        )

    def GetTile(  # noqa: N802 - the name of the contract
        self, request: pb.GetTileRequest, context: grpc.ServicerContext
    ) -> pb.GetTileResponse:
        """A tile, as anyone may read it."""
        hashes = self._log.tile(request.level, request.index, request.width)
        return pb.GetTileResponse(hashes=hashes)

    def GetEntryBundle(  # noqa: N802 - the name of the contract
        self, request: pb.GetEntryBundleRequest, context: grpc.ServicerContext
    ) -> pb.GetEntryBundleResponse:
        """Leaf data, as anyone may read it."""
        entries = self._log.entries(request.index, request.width)
        return pb.GetEntryBundleResponse(entries=entries)
