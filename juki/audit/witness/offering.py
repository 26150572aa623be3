"""The log's side of witnessing: which checkpoint is to be co-signed, and who co-signed it.

A checkpoint is made every second, and every witness comes at a time of its own: so one is held out
to all of them for a while. It stands with the cosignatures it has got in the file `cosigned` beside
the log's newest checkpoint, and the one before it in `cosigned.before`; certificates of the
witnesses' keys in `witnesses/`.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from juki.audit.checkpoint import NoteSignature, SignedCheckpoint, read_checkpoint
from juki.audit.tiles import PUBLIC_DIRECTORY, FileTiles
from juki.audit.tree import TileNodes, consistency_proof, tile_width
from juki.audit.witness.cosignature import with_cosignature
from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.durable import sync_directory

COSIGNED_FILE: Final = "cosigned"
BEFORE_FILE: Final = "cosigned.before"
WITNESSES_DIRECTORY: Final = "witnesses"
"""Certificates (DER) of the keys under the cosignatures."""

HELD_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Held:
    """The checkpoint to be co-signed, and its proof."""

    checkpoint: SignedCheckpoint
    proof: list[bytes]


class OfferedLog:
    """The files of a log that is published in a directory; safe for threads."""

    def __init__(
        self,
        log_directory: Path,
        *,
        held_seconds: float = HELD_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._public = log_directory / PUBLIC_DIRECTORY
        self._tiles = FileTiles(self._public)
        self._held_seconds = held_seconds
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._held: SignedCheckpoint | None = None
        self._take_next_at = 0.0

    def hold_out(self, witnessed_size: int) -> Held | None:
        """The checkpoint to be co-signed now, with the proof from a size; None without one.

        Without proof where there is nothing to prove, or the log is shorter than that. Raises
        Tampered, and JukiError where a tile is missing.
        """
        with self._lock:
            if self._held is None or self._monotonic() >= self._take_next_at:
                self._held = read_checkpoint(self._public)
                self._take_next_at = self._monotonic() + self._held_seconds
            held = self._held
        if held is None:
            return None
        return Held(held, self.proof(witnessed_size, held))

    def proof(self, old_size: int, signed: SignedCheckpoint) -> list[bytes]:
        """That the tree of a checkpoint of this log begins with that of an older size."""
        size = signed.checkpoint.size
        if not 0 < old_size < size:
            return []
        return consistency_proof(TileNodes(self._tiles, size), old_size, size)

    @property
    def held(self) -> SignedCheckpoint | None:
        """The checkpoint held out last."""
        return self._held

    def tile(self, level: int, index: int, width: int) -> bytes:
        """The first hashes of a tile; raises InvalidValue where the tree has no such tile."""
        self._check_there(level, index, width)
        return self._tiles.tile(level, index, width)

    def entries(self, index: int, width: int) -> list[bytes]:
        """The first entries of a bundle; raises InvalidValue where the tree has no such bundle."""
        self._check_there(0, index, width)
        return self._tiles.entries(index, width)

    def _check_there(self, level: int, index: int, width: int) -> None:
        signed = read_checkpoint(self._public)
        if signed is None or tile_width(signed.checkpoint.size, level, index) < width:
            raise InvalidValue("the tree has no such tile")

    def keep_cosignature(
        self, size: int, root: bytes, line: NoteSignature, certificate: bytes
    ) -> bool:
        """Puts a verified cosignature beside the log's checkpoint, with its certificate (DER).

        False where that checkpoint is no longer held out. Raises JukiError (STORE_UNAVAILABLE).
        """
        with self._lock:
            held = self._held
            if held is None or (held.checkpoint.size, held.checkpoint.root) != (size, root):
                return False
            self._held = with_cosignature(held, line)
            try:
                self._keep_certificate(certificate)
                self._write(self._held)
            except OSError as error:
                raise JukiError(
                    Reason.STORE_UNAVAILABLE, f"a cosignature cannot be kept ({error.strerror})"
                ) from error
            return True

    def _keep_certificate(self, certificate: bytes) -> None:
        folder = self._public / WITNESSES_DIRECTORY
        path = folder / certificate_file(certificate)
        if path.exists():
            return
        folder.mkdir(exist_ok=True)
        sync_directory(self._public)
        _replace(self._public, path, certificate)

    def _write(self, signed: SignedCheckpoint) -> None:
        path = self._public / COSIGNED_FILE
        before = read_cosigned(path)
        if before is not None and before.checkpoint != signed.checkpoint:
            path.replace(self._public / BEFORE_FILE)
        _replace(self._public, path, signed.note.encode())


def read_cosigned(path: Path) -> SignedCheckpoint | None:
    """The checkpoint in such a file; None where there is none or it cannot be read."""
    try:
        return SignedCheckpoint.parse(path.read_bytes().decode())
    except (FileNotFoundError, ValueError):
        return None


def certificate_file(certificate: bytes) -> str:
    """The name under which a witness's certificate (DER) is kept: by its SHA-256."""
    return f"{hashlib.sha256(certificate).hexdigest()}.der"


def _replace(public: Path, path: Path, content: bytes) -> None:
    temporary = public / f".{path.name}.new"
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)
