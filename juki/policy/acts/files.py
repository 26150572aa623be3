"""The acts log, one file an act, and the proposals that wait for their signatures.

    DIRECTORY/00000001.act, 00000002.act, ...    accepted, never touched again
    DIRECTORY/proposals/NAME.proposal            signed by one officer or by two

A file comes into being whole: it is written beside its place, synced, and then linked or renamed
into it. So there is never a half of an act, and nothing of one may be mended or left out.
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from juki.domain.errors import JukiError, Reason
from juki.durable import sync_directory
from juki.policy.acts.wire import decode, digest, encode
from juki.v1 import acts_pb2 as pb

_ACT: Final = re.compile(r"([0-9]{8})\.act")
_SUFFIX: Final = ".proposal"
_PARTIAL: Final = ".partial"
_NAME_CHARACTERS: Final = 12


def act_file(directory: Path, number: int) -> Path:
    """The file of an accepted act."""
    return directory / f"{number:08d}.act"


def read_acts(directory: Path) -> list[tuple[Path, bytes]]:
    """The accepted acts in their order, not verified.

    Raises JukiError TAMPERING_DETECTED where one is missing between others or a name is strange,
    CONFIGURATION_INVALID where the directory cannot be read.
    """
    try:
        paths = sorted(one for one in directory.iterdir() if one.suffix == ".act")
        found = [(path, path.read_bytes()) for path in paths]
    except OSError as error:
        raise JukiError(
            Reason.CONFIGURATION_INVALID, f"the acts log cannot be read ({error.strerror})"
        ) from None
    for number, path in enumerate(paths, start=1):
        name = path.name
        match = _ACT.fullmatch(name)
        if match is None or int(match[1]) != number:
            raise JukiError(
                Reason.TAMPERING_DETECTED,
                f"{name} stands where {act_file(directory, number).name} belongs",
                {"file": name},
            )
    return found


def append_act(directory: Path, number: int, data: bytes) -> None:
    """Returns once the act is durable; raises OSError, FileExistsError where one stands there."""
    partial = _write_partial(directory, data)
    try:
        os.link(partial, act_file(directory, number))
        sync_directory(directory)
    finally:
        partial.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Proposal:
    """One file among the proposals, as it was read."""

    path: Path
    signed: pb.SignedAct

    @property
    def name(self) -> str:
        """Its name: the beginning of the act's SHA-256 in hexadecimal."""
        return self.path.name.removesuffix(_SUFFIX)


def proposals_directory(directory: Path) -> Path:
    """Where the proposals of an acts log lie."""
    return directory / "proposals"


def list_proposals(directory: Path) -> list[Path]:
    """The files of the proposals, those of an acts log's directory."""
    folder = proposals_directory(directory)
    try:
        return sorted(one for one in folder.iterdir() if one.suffix == _SUFFIX)
    except FileNotFoundError:
        return []


def read_proposal(path: Path) -> Proposal:
    """A proposal; raises JukiError TAMPERING_DETECTED, INVALID_FIELD, and OSError."""
    return Proposal(path, decode(path.read_bytes(), pb.SignedAct))


def write_proposal(directory: Path, signed: pb.SignedAct) -> Path:
    """Puts a proposal in place of what it was before; durable when it returns. Raises OSError."""
    folder = proposals_directory(directory)
    folder.mkdir(parents=True, exist_ok=True, mode=0o770)
    path = folder / f"{digest(signed.act).hex()[:_NAME_CHARACTERS]}{_SUFFIX}"
    partial = _write_partial(folder, encode(signed))
    partial.replace(path)
    sync_directory(folder)
    return path


def remove_partials(directory: Path) -> None:
    """Clears away what a crash left unfinished; only for the log's one writer, at its start."""
    for partial in directory.glob(f".*{_PARTIAL}"):
        with suppress(FileNotFoundError):
            partial.unlink()


def _write_partial(folder: Path, data: bytes) -> Path:
    partial = folder / f".{secrets.token_hex(8)}{_PARTIAL}"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return partial
