"""The transcript of a key ceremony: chained lines, signed by the root key at the end.

A ceremony leaves `0001.jsonl` (a JSON object a line, each with the SHA-256 of the line before; the
first line of a transcript has that of the last line of the transcript before), `0001.txt` (the
same for people, ending with the digest of the last line, so that it stands for all of them) and
`0001.sig`: an ECDSA P-256 signature in DER by the root key over the text as it lies in its file,
so that whoever has OpenSSL can verify what they read. A ceremony that was interrupted left
`unfinished.jsonl`; the next one goes on in it, so that nothing done is unsaid.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from hsm.transcript_text import Fact, digest_in, transcript_text
from juki.domain.errors import JukiError, Reason

_UNFINISHED = "unfinished.jsonl"
_START = "0" * 64


@dataclass(frozen=True)
class VerifiedTranscripts:
    """What `verify_transcripts` found whole."""

    ceremonies: int
    lines: int
    head: str
    """SHA-256 (hex) of the last line: compare it with the one on paper, since nothing in the
    folder itself shows that the latest transcripts were taken away."""


class Transcript:
    """The transcript of the ceremony that is being held; every line is on disk when it is said."""

    def __init__(self, folder: Path, clock: Callable[[], datetime]) -> None:
        self._folder = folder
        self._clock = clock
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        finished = _finished(folder)
        self._previous = _last_digest(folder / finished[-1]) if finished else _START
        self._number = len(finished) + 1
        self._file = folder / _UNFINISHED
        lines = self._whole_lines()
        self.resumes = bool(lines)
        """Whether it goes on with what an interrupted ceremony wrote."""
        for line in lines:
            self._previous = _check_link(line, self._previous, _UNFINISHED)

    def say(self, step: str, **facts: Fact) -> None:
        """Add a line; never a PIN, a passphrase or a share."""
        values = {
            "step": step,
            "time": self._clock().isoformat(timespec="seconds"),
            **facts,
            "previous": self._previous,
        }
        line = json.dumps(values, ensure_ascii=False).encode()
        with self._file.open("ab") as file:
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._previous = sha256(line).hexdigest()

    def finish(self, key: ec.EllipticCurvePrivateKey) -> Path:
        """Sign it with the root key and give it its number; gives the text's file.

        No certificate can be mistaken for it: none begins with the text's first character.
        """
        name = f"{self._number:04}"
        lines = self._file.read_bytes().splitlines()
        text = transcript_text(self._number, lines, self._previous).encode()
        written = self._folder / f"{name}.txt"
        written.write_bytes(text)
        signature = key.sign(text, ec.ECDSA(hashes.SHA256()))
        (self._folder / f"{name}.sig").write_bytes(signature)
        os.sync()  # what it says was done is on disk before it counts as signed
        self._file.rename(self._folder / f"{name}.jsonl")
        return written

    def _whole_lines(self) -> list[bytes]:
        """What an interrupted ceremony said; half a line at the end is cut off."""
        if not self._file.exists():
            return []
        written = self._file.read_bytes()
        whole = written[: written.rfind(b"\n") + 1]
        if whole != written:
            self._file.write_bytes(whole)
        return whole.splitlines()


def has_transcripts(folder: Path) -> bool:
    """Whether a ceremony was finished here."""
    return folder.exists() and bool(_finished(folder))


def is_unfinished(folder: Path) -> bool:
    """Whether a ceremony here was interrupted before it was signed."""
    return (folder / _UNFINISHED).exists()


def verify_transcripts(folder: Path, root: ec.EllipticCurvePublicKey) -> VerifiedTranscripts:
    """Verify every transcript of a folder: signatures, numbers, and the chain.

    Raises TAMPERING_DETECTED naming what does not hold, CONFIGURATION_INVALID for an empty folder.
    """
    names = _finished(folder)
    if not names:
        raise JukiError(Reason.CONFIGURATION_INVALID, f"{folder} holds no transcript")
    previous, count = _START, 0
    for place, name in enumerate(names, start=1):
        if name != f"{place:04}.jsonl":
            raise _tampered(f"transcript {place:04} is missing")
        text = folder / f"{place:04}.txt"
        if not _is_signed(text, root):
            raise _tampered(f"{text.name} is not what the root key signed")
        for line in (folder / name).read_bytes().splitlines():
            previous = _check_link(line, previous, name)
            count += 1
        if digest_in(text.read_text("utf-8")) != previous:
            raise _tampered(f"{text.name} does not stand for the lines of {name}")
    return VerifiedTranscripts(len(names), count, previous)


def _finished(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("[0-9]*.jsonl"))


def _is_signed(text: Path, root: ec.EllipticCurvePublicKey) -> bool:
    try:
        signature = text.with_suffix(".sig").read_bytes()
        root.verify(signature, text.read_bytes(), ec.ECDSA(hashes.SHA256()))
    except (OSError, InvalidSignature):
        return False
    return True


def _check_link(line: bytes, previous: str, name: str) -> str:
    """The digest of a line that follows the one of digest `previous`; raises otherwise."""
    try:
        linked = json.loads(line)["previous"] == previous
    except (ValueError, KeyError, TypeError):
        linked = False
    if not linked:
        raise _tampered(f"a line of {name} does not follow the one before it")
    return sha256(line).hexdigest()


def _last_digest(file: Path) -> str:
    return sha256(file.read_bytes().splitlines()[-1]).hexdigest()


def _tampered(what: str) -> JukiError:
    return JukiError(Reason.TAMPERING_DETECTED, what)
