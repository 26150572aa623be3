"""Power fails: what a disk may hold after every call of a run, made from the calls that strace saw.

`kill -9` loses nothing that was written, so it cannot tell a log that syncs from one that does not.
Here a disk keeps of a file what was synced with it and of a directory the names that were synced
with it. Whatever else was done may be there, or not, or (of what was written) in part.

A directory that was made is taken to be there at once; writes go to the end of a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path, PurePosixPath
from random import Random
from typing import Final

_CALLS: Final = "openat,write,ftruncate,fsync,fdatasync,?rename,?renameat,?renameat2,?unlink"
TRACE_OPTIONS: Final = (
    *("-xx", "-s", "1000000"),
    *("-e", f"trace={_CALLS},?unlinkat,?mkdir,?mkdirat,?link,?linkat,?pwrite64,?writev,sendto"),
)
"""For strace, so that `replay` understands what it writes."""

_UNFINISHED: Final = re.compile(r"^(\d+) +(.*) <unfinished \.\.\.>$")
_RESUMED: Final = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$")
_CALL: Final = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+)")
_STRING: Final = re.compile(r'[<"]((?:\\x[0-9a-f]{2})*)[>"]')


class Survives(Enum):
    """What of the unsynced is there when power is back."""

    NOTHING = auto()
    SOME = auto()
    EVERYTHING = auto()


@dataclass(slots=True)
class _File:
    cached: bytes = b""
    durable: bytes = b""


@dataclass(slots=True)
class Disk:
    """The files below one directory: as programs see them, and as they are on disk."""

    root: PurePosixPath
    _names: dict[PurePosixPath, _File] = field(default_factory=dict)
    _durable: dict[PurePosixPath, _File] = field(default_factory=dict)

    def apply(self, call: str, strings: list[bytes], text: str) -> None:
        """Does what a call that succeeded did."""
        path = self._path_of(call, strings)
        if path is None:
            return
        if call == "openat":
            if "O_CREAT" in text and path not in self._names:
                self._names[path] = _File()
            if "O_TRUNC" in text:
                self._names[path].cached = b""
        elif call == "write":
            self._names[path].cached += strings[1]
        elif call == "ftruncate":
            length = int(text.rpartition(",")[2])
            file = self._names[path]
            file.cached = file.cached[:length].ljust(length, b"\0")
        elif call in ("fsync", "fdatasync"):
            self._sync(path)
        elif call.startswith("rename"):
            self._names[PurePosixPath(strings[-1].decode())] = self._names.pop(path)
        elif call.startswith("unlink"):
            self._names.pop(path, None)
        elif not call.startswith("mkdir"):
            raise AssertionError(f"the disk does not know {call}")

    def write_to(self, directory: Path, survives: Survives, random: Random) -> None:
        """Lays the files of a disk whose power failed now below `directory`."""
        directory.mkdir(parents=True, exist_ok=True)
        for path, content in self._left(survives, random).items():
            target = directory / path.relative_to(self.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)

    def _left(self, survives: Survives, random: Random) -> dict[PurePosixPath, bytes]:
        if survives is Survives.EVERYTHING:
            return {path: file.cached for path, file in self._names.items()}
        if survives is Survives.NOTHING:
            return {path: file.durable for path, file in self._durable.items()}
        left = {}
        for path in sorted(self._names.keys() | self._durable.keys()):
            found = random.choice((self._names, self._durable)).get(path)
            if found is not None:
                left[path] = _torn(found, random)
        return left

    def _sync(self, path: PurePosixPath) -> None:
        file = self._names.get(path)
        if file is not None:
            file.durable = file.cached
            return
        self._durable = {name: one for name, one in self._durable.items() if name.parent != path}
        self._durable |= {name: one for name, one in self._names.items() if name.parent == path}

    def _path_of(self, call: str, strings: list[bytes]) -> PurePosixPath | None:
        # "openat" and its like name the directory first (the working directory): all paths are
        # whole.
        found = strings[1 if call in ("openat", "unlinkat", "mkdirat", "renameat2") else 0]
        path = PurePosixPath(found.decode(errors="replace"))
        return path if path.is_relative_to(self.root) else None


def _torn(file: _File, random: Random) -> bytes:
    """What is synced, and a random part of what was written after it."""
    if not file.cached.startswith(file.durable):
        return random.choice((file.cached, file.durable))
    return file.cached[: random.randint(len(file.durable), len(file.cached))]


def replay(trace: str, directory: Path) -> Iterator[tuple[str, list[str], Disk]]:
    """After every call of a run begun on an empty disk: the call, what was told, the disk."""
    disk, told = Disk(PurePosixPath(directory)), b""
    yield "begin", [], disk
    for call, arguments in _calls(trace):
        strings = [_bytes_of(found) for found in _STRING.findall(arguments)]
        if call == "sendto":
            told += strings[1]
        else:
            disk.apply(call, strings, arguments)
        yield call, told.decode().splitlines(), disk


def _calls(trace: str) -> Iterator[tuple[str, str]]:
    """Calls that succeeded, in the order of their ends."""
    begun: dict[str, str] = {}
    for line in trace.splitlines():
        if unfinished := _UNFINISHED.match(line):
            begun[unfinished[1]] = unfinished[0].removesuffix(" <unfinished ...>")
            continue
        resumed = _RESUMED.match(line)
        whole = begun.pop(resumed[1]) + resumed[2] if resumed else line
        call = _CALL.match(whole)
        if call and int(call[4]) >= 0:
            yield call[2], call[3]


def _bytes_of(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))
