"""Checkpoints: the size and root of a log at a time, as a signed note.

After C2SP tlog-checkpoint and signed-note. A note is text, an empty line, and signature lines
"— NAME BASE64(key id (4) || signature)". Keys here are on P-256, since tokens hold those: the
signature type of the assigned byte 0x02, ECDSA over SHA-256 of the text in DER, whose key id is the
first four bytes of SHA-256 of the key's SubjectPublicKeyInfo.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from juki.audit.segment import Tampered
from juki.audit.tree import HASH_BYTES
from juki.custody.verify import signature_to_der
from juki.domain.errors import InvalidValue

CHECKPOINT_FILE: Final = "checkpoint"
"""Its name in `public/`."""

MAX_NOTE_BYTES: Final = 64 * 1024
_KEY_ID_BYTES: Final = 4
_NAME: Final = re.compile(r"[^\s+]+")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_SIGNATURE: Final = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/=]+)")


def audit_origin(host: str) -> str:
    """The origin of the audit log of a host, for example `national.juki.example`."""
    return f"{host}/audit"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a log."""

    origin: str
    """Which log, for example `national.juki.example/audit`."""

    size: int
    """Number of entries."""

    root: bytes
    """Of the Merkle tree over them, 32 bytes."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.origin) or self.size < 0 or len(self.root) != HASH_BYTES:
            raise InvalidValue("this is no checkpoint")

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line."""

    name: str
    key_id: bytes
    """4 bytes."""

    signature: bytes

    @property
    def line(self) -> str:
        """As it stands in the note, without its newline."""
        return f"— {self.name} {b64encode(self.key_id + self.signature).decode()}"


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint and all signatures of it: the log's own, and those of witnesses."""

    checkpoint: Checkpoint
    signatures: tuple[NoteSignature, ...]

    @property
    def note(self) -> str:
        """The signed note, which `parse` reads back."""
        lines = "".join(f"{one.line}\n" for one in self.signatures)
        return f"{self.checkpoint.text}\n{lines}"

    @classmethod
    def parse(cls, note: str) -> SignedCheckpoint:
        """The checkpoint of a note; no signature is verified. Raises InvalidValue.

        One way of writing only is taken: what is written back is the same text.
        """
        text, separator, signed = note.rpartition("\n\n")
        lines = text.split("\n")
        if not separator or len(lines) != 3 or not _SIZE.fullmatch(lines[1]):
            raise InvalidValue("this is no checkpoint note")
        try:
            root = b64decode(lines[2], validate=True)
            found = cls(
                Checkpoint(lines[0], int(lines[1]), root),
                tuple(_parse_signature(line) for line in signed.splitlines()),
            )
        except ValueError:
            raise InvalidValue("this is no checkpoint note") from None
        if found.note != note or not found.signatures:
            raise InvalidValue("this is no checkpoint note")
        return found


def _parse_signature(line: str) -> NoteSignature:
    match = _SIGNATURE.fullmatch(line)
    if match is None:
        raise InvalidValue("this is no signature line")
    value = b64decode(match[2], validate=True)
    return NoteSignature(match[1], value[:_KEY_ID_BYTES], value[_KEY_ID_BYTES:])


@dataclass(frozen=True)
class NoteKey:
    """A key that notes are verified with, under the name it signs with."""

    name: str
    public_key: ec.EllipticCurvePublicKey

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256 of the SubjectPublicKeyInfo."""
        encoded = self.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(encoded).digest()[:_KEY_ID_BYTES]

    def verifies(self, text: str, signature: NoteSignature) -> bool:
        """Whether the signature over the text is this key's."""
        try:
            self.public_key.verify(signature.signature, text.encode(), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


def signed_by(signed: SignedCheckpoint, keys: Sequence[NoteKey]) -> list[NoteKey]:
    """Those of `keys` that signed the checkpoint.

    Signatures of other keys are passed over. Raises InvalidValue when one that names a key of
    `keys` does not verify: such a note is to be rejected whole.
    """
    known = {(key.name, key.key_id): key for key in keys}
    found = []
    for signature in signed.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is None:
            continue
        if not key.verifies(signed.checkpoint.text, signature):
            raise InvalidValue("a signature of the checkpoint does not match")
        found.append(key)
    return found


@dataclass(frozen=True, slots=True)
class CheckpointKey:
    """One generation of the key that signs a log's checkpoints."""

    key_id: bytes
    """SHA-256 of its SubjectPublicKeyInfo; the note has the first four bytes."""

    sign: Callable[[bytes], bytes]
    """Signs a SHA-256 digest: r and s, 64 bytes. May raise when custody is not to be reached."""


@dataclass(frozen=True, slots=True)
class CheckpointSigning:
    """How the checkpoints of a log are signed."""

    origin: str
    """Names the log, and the key in its notes, for example `national.juki.example/audit`."""

    key: Callable[[], CheckpointKey]
    """The key in use; may raise like signing. Another one than before signs anew."""

    interval_seconds: float = 1.0
    """At most this long after a record a checkpoint covers it."""

    def sign(self, size: int, root: bytes, key: CheckpointKey) -> SignedCheckpoint:
        """The checkpoint of that state, signed; raises what signing raises."""
        checkpoint = Checkpoint(self.origin, size, root)
        raw = key.sign(hashlib.sha256(checkpoint.text.encode()).digest())
        signature = NoteSignature(self.origin, key.key_id[:_KEY_ID_BYTES], signature_to_der(raw))
        return SignedCheckpoint(checkpoint, (signature,))


def read_checkpoint(public: Path) -> SignedCheckpoint | None:
    """The checkpoint in `public/`, or None where there is none; raises Tampered, OSError."""
    path = public / CHECKPOINT_FILE
    try:
        return SignedCheckpoint.parse(path.read_bytes()[: MAX_NOTE_BYTES + 1].decode())
    except FileNotFoundError:
        return None
    except ValueError:
        raise Tampered(path, 0, "the checkpoint cannot be read") from None
