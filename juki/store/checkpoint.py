"""Checkpoints of the register root: signed in the token, kept in a file outside of the database.

Each line is one JSON object that names its predecessor by digest. Who puts the whole database back
to an older state has a root that opens and fits its rows, but is older than the last checkpoint
says. After a restore from a backup that is legitimate: the next checkpoint says so, for good.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from juki.custody.verify import fingerprint, verify_chain, verify_signature
from juki.domain.errors import JukiError, Reason
from juki.durable import sync_directory
from juki.store.root import RootState
from juki.store.sealing import Sealer

_DOMAIN: Final = b"juki register checkpoint, version 1\0"


class Standing(StrEnum):
    """How a database stands to the last checkpoint."""

    NO_CHECKPOINT = "no checkpoint"
    CURRENT = "as at the last checkpoint"
    LATER = "later than the last checkpoint"
    RESTORED = "restored from an older state"
    """Of the whole database: no part is later, some are older."""

    FORKED = "another state than the checkpoint's"
    """Of the same age as the checkpoint and not the same, or older in some parts, later in others:
    no restore does that."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The roots of a database at an instant."""

    number: int
    """From 1."""

    time: int
    """Microseconds since 1970-01-01 UTC."""

    sections: Mapping[str, tuple[int, str]]
    """Generation, and commitment to the root (hex), of each section."""

    restored: bool
    """Whether the database was older then than at the checkpoint before."""

    previous: str
    """SHA-256 of the line before (hex); empty for the first."""

    key_id: str
    certificates: tuple[str, ...]
    """Chain of the signing key, DER in base64, where another key signed the line before."""

    signature: str = ""

    def fields(self) -> dict[str, Any]:
        """As a JSON object, the signature left out."""
        return {
            "number": self.number,
            "time": self.time,
            "sections": {name: list(values) for name, values in sorted(self.sections.items())},
            "restored": self.restored,
            "previous": self.previous,
            "key_id": self.key_id,
            "certificates": list(self.certificates),
        }

    def digest(self) -> bytes:
        """What is signed."""
        text = json.dumps(self.fields(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(_DOMAIN + text.encode()).digest()

    def line(self) -> bytes:
        """As it stands in the file."""
        text = json.dumps({**self.fields(), "signature": self.signature}, separators=(",", ":"))
        return text.encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Checkpoint:
        """What `line` gave; raises ValueError, KeyError or TypeError for anything else."""
        fields = json.loads(line)
        return cls(
            number=int(fields["number"]),
            time=int(fields["time"]),
            sections={n: (int(g), str(c)) for n, (g, c) in fields["sections"].items()},
            restored=bool(fields["restored"]),
            previous=str(fields["previous"]),
            key_id=str(fields["key_id"]),
            certificates=tuple(map(str, fields["certificates"])),
            signature=str(fields["signature"]),
        )


@dataclass(frozen=True, slots=True)
class CheckpointKey:
    """A key that signs checkpoints: one generation, so that its parts belong together."""

    sign: Callable[[bytes], bytes]
    """Raw signature of a SHA-256 digest."""

    chain: Sequence[bytes]
    """DER certificates, leaf first."""


@dataclass(frozen=True, slots=True)
class CheckpointSigning:
    """Who signs checkpoints."""

    key: Callable[[], CheckpointKey]
    """The key in use."""

    clock: Callable[[], int]
    """Microseconds since 1970-01-01 UTC."""


class CheckpointFile:
    """The checkpoints of one database, one writer at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Checkpoint]:
        """All of them, each following the one before; a line that was cut off by a crash is none.

        Raises:
            JukiError: TAMPERING_DETECTED when the file is not as it was written.
        """
        checkpoints: list[Checkpoint] = []
        previous = ""
        for line in self._lines():
            try:
                checkpoint = Checkpoint.from_line(line)
            except (ValueError, KeyError, TypeError):
                raise _altered("a line cannot be read") from None
            if checkpoint.previous != previous or checkpoint.number != len(checkpoints) + 1:
                raise _altered("a line does not follow the one before")
            checkpoints.append(checkpoint)
            previous = hashlib.sha256(line).hexdigest()
        return checkpoints

    def append(
        self,
        sections: Mapping[str, tuple[int, str]],
        signing: CheckpointSigning,
        *,
        restored: bool,
    ) -> Checkpoint:
        """Signs and writes the next checkpoint; durable when this returns.

        Raises:
            JukiError: CUSTODY_UNAVAILABLE, TAMPERING_DETECTED, or STORE_UNAVAILABLE when the file
                cannot be written.
        """
        held = self.read()
        last = held[-1] if held else None
        key = signing.key()
        chain = key.chain
        key_id = fingerprint(chain[0]).hex()
        is_same_key = last is not None and last.key_id == key_id
        certificates = () if is_same_key else tuple(base64.b64encode(der).decode() for der in chain)
        unsigned = Checkpoint(
            number=len(held) + 1,
            time=signing.clock(),
            sections=sections,
            restored=restored,
            previous=hashlib.sha256(last.line()).hexdigest() if last else "",
            key_id=key_id,
            certificates=certificates,
        )
        signed = replace(unsigned, signature=key.sign(unsigned.digest()).hex())
        try:
            self._write(signed.line(), keep=sum(len(line) for line in self._lines()))
        except OSError as error:
            raise JukiError(
                Reason.STORE_UNAVAILABLE,
                "the file of checkpoints cannot be written",
                {"kind": type(error).__name__},
            ) from None
        return signed

    def _lines(self) -> list[bytes]:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise JukiError(
                Reason.STORE_UNAVAILABLE,
                "the file of checkpoints cannot be read",
                {"kind": type(error).__name__},
            ) from None
        return [line for line in data.splitlines(keepends=True) if line.endswith(b"\n")]

    def _write(self, line: bytes, keep: int) -> None:
        is_new = not self.path.exists()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            # What a crash had left of an unfinished line goes.
            os.ftruncate(descriptor, keep)
            os.lseek(descriptor, keep, os.SEEK_SET)
            if os.write(descriptor, line) != len(line):
                raise OSError(errno.ENOSPC, "the line was written in part")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            sync_directory(self.path.parent)


def verify_checkpoints(
    checkpoints: Sequence[Checkpoint], roots_der: Sequence[bytes], identity: str
) -> None:
    """Verifies every signature, each under a certificate that was in force at its time.

    Raises:
        JukiError: TAMPERING_DETECTED, UNKNOWN_SIGNING_KEY or SIGNER_MISMATCH.
    """
    chain: list[bytes] = []
    for checkpoint in checkpoints:
        if checkpoint.certificates:
            chain = [base64.b64decode(one) for one in checkpoint.certificates]
        at = datetime.fromtimestamp(checkpoint.time / 1_000_000, UTC)
        signer = verify_chain(chain, roots_der, at, identity)
        if signer.key_id.hex() != checkpoint.key_id or not verify_signature(
            signer.public_key, checkpoint.digest(), bytes.fromhex(checkpoint.signature)
        ):
            raise _altered("a signature does not verify")


def sections_of(
    states: Mapping[str, RootState | None], sealer: Sealer
) -> dict[str, tuple[int, str]]:
    """What a checkpoint says of these roots."""
    fresh = RootState(root_version=sealer.root_version)
    found = {name: state or fresh for name, state in states.items()}
    return {
        name: (state.generation, state.commitment(sealer, name).hex())
        for name, state in found.items()
    }


def standing(sections: Mapping[str, tuple[int, str]], last: Checkpoint | None) -> Standing:
    """How a database with these roots stands to its last checkpoint."""
    if last is None:
        return Standing.NO_CHECKPOINT
    is_older = is_later = False
    for name, (generation, commitment) in last.sections.items():
        now, committed = sections.get(name, (0, ""))
        if now == generation and committed != commitment:
            return Standing.FORKED
        is_older |= now < generation
        is_later |= now > generation
    if is_older:
        return Standing.FORKED if is_later else Standing.RESTORED
    return Standing.LATER if is_later else Standing.CURRENT


def _altered(what: str) -> JukiError:
    return JukiError(Reason.TAMPERING_DETECTED, f"the file of checkpoints: {what}")
