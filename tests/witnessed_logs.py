"""Logs of made-up leaves in memory, what their operator shows of them, and a witness for them."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from juki.audit.checkpoint import Checkpoint, NoteKey, NoteSignature, SignedCheckpoint
from juki.audit.tree import LeafNodes, consistency_proof, leaf_hash, tree_root
from juki.audit.witness.cosignature import CosigningKey, cosignature_digest
from juki.audit.witness.records import WitnessRecords
from juki.audit.witness.rule import Offer, WatchedLog, Witness

LOG = WatchedLog("national.juki.example/audit", "spiffe://national.juki.example/server")
NAME = "pref22.juki.example/server"
LOG_KEY = ec.derive_private_key(7, ec.SECP256R1())
WITNESS_KEY = ec.derive_private_key(11, ec.SECP256R1())
"""Made of nothing secret, so that processes of a test agree on them."""


class KeyInMemory:
    """Signs cosignatures; what the token does elsewhere."""

    def __init__(self) -> None:
        self.seconds = 1_793_000_000

    def cosign(self, text: str) -> tuple[NoteSignature, tuple[bytes, ...]]:
        digest = cosignature_digest(text, self.seconds)
        r, s = decode_dss_signature(WITNESS_KEY.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        key = CosigningKey(NAME, WITNESS_KEY.public_key())
        return NoteSignature(NAME, key.key_id, self.seconds.to_bytes(8, "big") + raw), ()


class Log:
    """A log of made-up leaves, and what its operator shows of it."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.nodes = LeafNodes([leaf_hash(leaf) for leaf in leaves])

    def signed(self, size: int, key: ec.EllipticCurvePrivateKey = LOG_KEY) -> SignedCheckpoint:
        checkpoint = Checkpoint(LOG.origin, size, tree_root(self.nodes, size))
        der = key.sign(checkpoint.text.encode(), ec.ECDSA(hashes.SHA256()))
        key_id = NoteKey(LOG.origin, key.public_key()).key_id
        return SignedCheckpoint(checkpoint, (NoteSignature(LOG.origin, key_id, der),))

    def offer(self, old: int, new: int) -> Offer:
        proof = consistency_proof(self.nodes, old, new) if old <= new else []
        return Offer(old, proof, self.signed(new).note.encode(), ())


def leaves(count: int, of: str = "honest") -> list[bytes]:
    return [f"{of} {number}".encode() for number in range(count)]


def witness_with(records: WitnessRecords, cosigner: KeyInMemory | None = None) -> Witness:
    return Witness(
        records=records,
        cosigner=cosigner or KeyInMemory(),
        find_key=lambda certificates, identity: LOG_KEY.public_key(),
        clock=lambda: 1_793_000_000_000_000_000,
    )
