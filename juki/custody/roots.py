"""The root certificates that a process trusts: its PEM file, followed while the process runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from juki.domain.errors import JukiError, Reason

_log = logging.getLogger(__name__)


class Roots:
    """The roots of a file as they are now: a root that is rotated is trusted without a restart.

    The file is looked at whenever the roots are asked for. One that cannot be read any more leaves
    those in force that were read before.
    """

    def __init__(self, path: Path) -> None:
        """Raises CONFIGURATION_INVALID when the file cannot be read or holds no certificate."""
        self._path = path
        self._lock = threading.Lock()
        self._seen = _state(path)
        self._read = _read(path)

    @property
    def pem(self) -> bytes:
        """The certificates in PEM, the newest root first."""
        return self._now().pem

    @property
    def der(self) -> Sequence[bytes]:
        """The certificates in DER; the sequence itself follows the file."""
        return _LiveDer(self)

    def _now(self) -> _Read:
        state = _state(self._path)
        if state != self._seen:
            with self._lock:
                try:
                    self._read = _read(self._path)
                except JukiError:
                    _log.error("root certificates cannot be read")
                self._seen = state
        return self._read


def load_roots(path: Path) -> Roots:
    """The roots in a PEM file.

    Raises:
        JukiError: CONFIGURATION_INVALID when it cannot be read or holds no certificate.
    """
    return Roots(path)


@dataclass(frozen=True)
class _Read:
    pem: bytes
    der: tuple[bytes, ...]


class _LiveDer(Sequence[bytes]):
    def __init__(self, roots: Roots) -> None:
        self._roots = roots

    @overload
    def __getitem__(self, place: int) -> bytes: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[bytes]: ...

    def __getitem__(self, place: int | slice) -> bytes | Sequence[bytes]:
        return self._roots._now().der[place]

    def __len__(self) -> int:
        return len(self._roots._now().der)


def _state(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_ino, found.st_size)


def _read(path: Path) -> _Read:
    try:
        pem = path.read_bytes()
        certificates = x509.load_pem_x509_certificates(pem)
    except (OSError, ValueError):
        raise JukiError(
            Reason.CONFIGURATION_INVALID, "the root certificates cannot be read"
        ) from None
    return _Read(pem, tuple(one.public_bytes(Encoding.DER) for one in certificates))
