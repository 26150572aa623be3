"""The signed head: how long the log was at a time, so that a tail cut off later is noticed.

The hash chain alone proves that nothing inside was altered, not that nothing is missing at the
end. The file `head` beside the segments states sequence, chain hash and time under a signature.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from juki.audit.port import AuditPosition
from juki.audit.segment import Tampered
from juki.durable import sync_directory

HEAD_FILE: Final = "head"
_DOMAIN: Final = b"juki audit log head, version 1\0"

Signer = Callable[[bytes], bytes]
"""Signs a 32-byte SHA-256 digest; may raise when the key's custody is not to be reached."""

HeadVerifier = Callable[[bytes, bytes, str], bool]
"""(digest, signature, key id) -> whether the signature is good."""


@dataclass(frozen=True, slots=True)
class SignedHead:
    """The state of a log at a time, and its signature."""

    position: AuditPosition
    time_unix_nanos: int
    key_id: str
    signature: bytes

    @property
    def digest(self) -> bytes:
        """What is signed: SHA-256 over all but the signature, under a domain of its own."""
        return head_digest(self.position, self.time_unix_nanos, self.key_id)


def head_digest(position: AuditPosition, time_unix_nanos: int, key_id: str) -> bytes:
    """SHA-256(domain || sequence (8) || chain hash (32) || time (8) || key id)."""
    return hashlib.sha256(
        _DOMAIN
        + position.sequence.to_bytes(8, "big")
        + position.chain_hash
        + time_unix_nanos.to_bytes(8, "big")
        + key_id.encode()
    ).digest()


def write_head(directory: Path, head: SignedHead) -> None:
    """Replace the head atomically and durably; raises OSError."""
    text = json.dumps(
        {
            "sequence": head.position.sequence,
            "chain_hash": head.position.chain_hash.hex(),
            "time_unix_nanos": head.time_unix_nanos,
            "key_id": head.key_id,
            "signature": head.signature.hex(),
        }
    )
    temporary = directory / f"{HEAD_FILE}.new"
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(directory / HEAD_FILE)
    sync_directory(directory)


def read_head(directory: Path) -> SignedHead | None:
    """The head, or None where none was ever written; raises Tampered when it cannot be read."""
    path = directory / HEAD_FILE
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return SignedHead(
            AuditPosition(int(fields["sequence"]), bytes.fromhex(fields["chain_hash"])),
            int(fields["time_unix_nanos"]),
            str(fields["key_id"]),
            bytes.fromhex(fields["signature"]),
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise Tampered(path, 0, "the signed head cannot be read") from None


@dataclass(frozen=True, slots=True)
class HeadKey:
    """A key that signs heads; the head states its id under the signature."""

    key_id: str
    sign: Signer


@dataclass(frozen=True, slots=True)
class HeadSigning:
    """How the head of a log is signed."""

    key: Callable[[], HeadKey]
    """The key in use; may raise like the signer. Another one than before signs the head anew."""

    clock: Callable[[], int]
    """Nanoseconds since 1970-01-01 UTC."""

    interval_seconds: float = 10.0
    """At most this long after a record the head covers it."""


class HeadKeeper:
    """Writes the head every `interval_seconds` when the log grew or the signing key was rotated,
    and once more when stopped.

    A head that could not be signed or written is tried again at the next interval; `failed` says
    so to the health check. The log goes on meanwhile: its records are durable without it.
    """

    def __init__(
        self,
        directory: Path,
        position: Callable[[], AuditPosition],
        signing: HeadSigning,
    ) -> None:
        self._directory = directory
        self._position = position
        self._signing = signing
        self._written: tuple[AuditPosition, str] | None = None
        """Position and key id of the head that is on disk."""

        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-head", daemon=True)
        self.failed = False

    def start(self) -> None:
        """Write the first head (so that a log of the very first seconds has one), then go on.

        Raises what signing or writing raises: a log that cannot be signed does not start.
        """
        self._write_if_grown()
        self._thread.start()

    def stop(self) -> None:
        """End the thread and write the last head."""
        self._stopping.set()
        self._thread.join()
        self._try_to_write()

    def _run(self) -> None:
        while not self._stopping.wait(self._signing.interval_seconds):
            self._try_to_write()

    def _try_to_write(self) -> None:
        try:
            self._write_if_grown()
            self.failed = False
        except Exception:  # custody's own errors are many; the next interval tries again
            self.failed = True

    def _write_if_grown(self) -> None:
        position, key = self._position(), self._signing.key()
        if (position, key.key_id) == self._written:
            return
        now = self._signing.clock()
        signature = key.sign(head_digest(position, now, key.key_id))
        write_head(self._directory, SignedHead(position, now, key.key_id, signature))
        self._written = position, key.key_id
