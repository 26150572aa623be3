"""Witnessing over mutual TLS with real tokens: the nation's log, and a prefecture that calls."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from juki.audit.checkpoint import Checkpoint, NoteSignature, SignedCheckpoint
from juki.audit.tiles import ENTRIES, PUBLIC_DIRECTORY, pack_bundle, tile_path
from juki.audit.tree import TILE_WIDTH, leaf_hash, root_of
from juki.audit.witness.offering import OfferedLog
from juki.audit.witness.running import Witnessing, log_origin
from juki.audit.witness.service import WITNESS_SERVICE
from juki.audit.witness.watching import LogWatcher, OwnLog
from juki.custody.client import CustodyClient
from juki.custody.signing import DocumentSigner
from juki.custody.tls import channel_credentials, server_credentials
from juki.custody.verify import signature_to_der
from juki.register.signers import SignerDirectory
from juki.revocation.spreading import OwnList
from juki.rpc.channel import ChannelSettings, open_channel
from juki.rpc.health import HealthMonitor
from juki.rpc.identity import IdentityKind
from juki.rpc.server import JukiServer, ServerSettings
from juki.v1 import witness_pb2_grpc
from tests.custody_fixtures import TrustDomain
from tests.revocation_fixtures import NothingRevoked, own_lists, roots_der

NATION = "spiffe://national.juki.example/server"
PREFECTURE = "spiffe://pref22.juki.example/server"


class MadeLog:
    """A log of leaves that a test makes up, published under its operator's own key."""

    def __init__(self, directory: Path, signer: DocumentSigner, identity: str) -> None:
        self.directory = directory
        self._public = directory / PUBLIC_DIRECTORY
        self._signer = signer
        self._origin = log_origin(identity)

    def publish(self, leaves: Sequence[bytes]) -> SignedCheckpoint:
        """The log has exactly these leaves now (fewer than 256), whatever it had before."""
        assert len(leaves) < TILE_WIDTH
        hashes = [leaf_hash(leaf) for leaf in leaves]
        if leaves:
            self._write(tile_path(0, 0, len(leaves)), b"".join(hashes))
            self._write(tile_path(ENTRIES, 0, len(leaves)), pack_bundle(leaves))
        checkpoint = Checkpoint(self._origin, len(leaves), root_of(hashes))
        signed = self._signer.sign([hashlib.sha256(checkpoint.text.encode()).digest()])
        line = NoteSignature(
            self._origin, signed.key.key_id[:4], signature_to_der(signed.signatures[0])
        )
        note = SignedCheckpoint(checkpoint, (line,))
        self._write("checkpoint", note.note.encode())
        return note

    def _write(self, name: str, content: bytes) -> None:
        path = self._public / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@dataclass
class Tier:
    """A server's part in witnessing."""

    parts: Witnessing
    log: MadeLog
    offered: OfferedLog
    registry: CollectorRegistry


def make_tier(
    stack: ExitStack, domain: TrustDomain, custody: CustodyClient, identity: str, directory: Path
) -> Tier:
    """A tier with an empty directory; its held-out checkpoint is always the newest."""
    registry = CollectorRegistry()
    signers = SignerDirectory(
        roots_der(domain), lambda: datetime.datetime.now(datetime.UTC), NothingRevoked()
    )
    parts = Witnessing(
        stack,
        directory / "witness",
        custody=custody,
        signers=signers,
        identity=identity,
        registry=registry,
    )
    log = MadeLog(directory / "audit", parts.signer, identity)
    return Tier(parts, log, OfferedLog(log.directory, held_seconds=0), registry)


@dataclass
class TwoTiers:
    """The nation serves, prefecture 22 calls."""

    nation: Tier
    prefecture: Tier
    watcher: LogWatcher
    own_log: OwnLog
    stub: witness_pb2_grpc.WitnessServiceStub


@contextmanager
def two_tiers(
    domain: TrustDomain, national: CustodyClient, prefecture: CustodyClient, directory: Path
) -> Iterator[TwoTiers]:
    """Both tiers, for the block."""
    with ExitStack() as stack:
        above = make_tier(stack, domain, national, NATION, directory / "national")
        below = make_tier(stack, domain, prefecture, PREFECTURE, directory / "pref22")
        monitor = HealthMonitor({"always": lambda: None}, registry=above.registry)
        book = own_lists(national, domain)
        OwnList(prefecture, book).take()
        server = JukiServer(
            ServerSettings("127.0.0.1:0"),
            server_credentials(national, domain.roots_pem),
            {WITNESS_SERVICE: frozenset({IdentityKind.PREFECTURE_SERVER})},
            health_servicer=monitor.servicer,
            revocation=book,
            registry=above.registry,
        )
        above.parts.serve(server.grpc_server, above.offered)
        server.start()
        stack.callback(server.stop, 0)
        channel = open_channel(
            f"127.0.0.1:{server.port}",
            "server.national.juki.example",
            channel_credentials(prefecture, domain.roots_pem),
            ChannelSettings(attempts=1),
        )
        stack.callback(channel.close)
        yield TwoTiers(
            above,
            below,
            below.parts.watch(channel, NATION),
            below.parts.show(channel, NATION, below.offered),
            witness_pb2_grpc.WitnessServiceStub(channel),
        )
