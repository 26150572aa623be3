"""Cosignatures: a witness's word that a log had come so far, and continued what it saw before.

After C2SP tlog-cosignature, but for the algorithm: theirs is Ed25519, the keys of this network are
on P-256. The signature in the line is a time (8 bytes, seconds since 1970-01-01 UTC) and r || s (64
bytes) over SHA-256 of "cosignature/v1", "time <seconds>" and the checkpoint's text, each ended by a
newline. The key id is the first four bytes of SHA-256(name || newline || 0xff || the kind of
signature || SubjectPublicKeyInfo): a cosignature is never taken for a log's own signature.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from juki.audit.checkpoint import Checkpoint, NoteSignature, SignedCheckpoint
from juki.audit.tree import EMPTY_ROOT
from juki.custody.port import SIGNATURE_BYTES
from juki.custody.signing import DocumentSigner
from juki.custody.verify import verify_signature
from juki.domain.errors import InvalidValue

_TYPE: Final = b"\xffjuki cosignature/v1 ECDSA P-256 SHA-256"
_KEY_ID_BYTES: Final = 4
_TIME_BYTES: Final = 8


def witness_name(identity: str) -> str:
    """How a server names itself under a checkpoint: its identity without the scheme.

    For example `pref22.juki.example/server`.
    """
    return identity.removeprefix("spiffe://")


def cosignature_digest(text: str, seconds: int) -> bytes:
    """What is signed: SHA-256 of the time and the checkpoint's text."""
    return hashlib.sha256(f"cosignature/v1\ntime {seconds}\n{text}".encode()).digest()


def cosigned_at(signature: NoteSignature) -> int:
    """Seconds since 1970-01-01 UTC; raises InvalidValue for what cannot be a cosignature."""
    if len(signature.signature) != _TIME_BYTES + SIGNATURE_BYTES:
        raise InvalidValue("a cosignature does not have its length")
    return int.from_bytes(signature.signature[:_TIME_BYTES], "big")


def parse_line(text: str) -> NoteSignature:
    """One signature line without its newline; raises InvalidValue."""
    placeholder = Checkpoint("-", 0, EMPTY_ROOT).text
    signatures = SignedCheckpoint.parse(f"{placeholder}\n{text}\n").signatures
    if len(signatures) != 1:
        raise InvalidValue("this is no signature line")
    return signatures[0]


def with_cosignature(signed: SignedCheckpoint, line: NoteSignature) -> SignedCheckpoint:
    """The checkpoint with this line at its end, in place of an earlier one of the same witness."""
    others = tuple(one for one in signed.signatures if one.name != line.name)
    return SignedCheckpoint(signed.checkpoint, (*others, line))


@dataclass(frozen=True, slots=True)
class CosigningKey:
    """What a witness's cosignatures are verified with."""

    name: str
    public_key: ec.EllipticCurvePublicKey

    @property
    def key_id(self) -> bytes:
        """4 bytes, of the name, the kind of signature and the key."""
        public = self.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        hashed = hashlib.sha256(self.name.encode() + b"\n" + _TYPE + public)
        return hashed.digest()[:_KEY_ID_BYTES]

    def verifies(self, text: str, line: NoteSignature) -> bool:
        """Whether the line is a good cosignature of this witness under the checkpoint's text."""
        if (line.name, line.key_id) != (self.name, self.key_id):
            return False
        try:
            digest = cosignature_digest(text, cosigned_at(line))
        except InvalidValue:
            return False
        return verify_signature(self.public_key, digest, line.signature[_TIME_BYTES:])


class Cosigner:
    """Co-signs with the host's document signing key, in its token."""

    def __init__(self, signer: DocumentSigner, identity: str, clock: Callable[[], int]) -> None:
        """`clock` gives nanoseconds since 1970-01-01 UTC."""
        self._signer = signer
        self._name = witness_name(identity)
        self._clock = clock

    def cosign(self, text: str) -> tuple[NoteSignature, tuple[bytes, ...]]:
        """The line of a checkpoint's text, and the certificates (DER) of the key that signed.

        Raises what custody raises.
        """
        seconds = self._clock() // 1_000_000_000
        signed = self._signer.sign([cosignature_digest(text, seconds)])
        key = CosigningKey(self._name, signed.key.public_key)
        payload = seconds.to_bytes(_TIME_BYTES, "big") + signed.signatures[0]
        return NoteSignature(self._name, key.key_id, payload), signed.key.chain
