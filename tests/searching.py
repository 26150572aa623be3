"""Searches files and the memory of processes for what must not be there, however it is written."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

_HALF = 16
"""Half a key is a find: one half is never parted by the line breaks of PEM."""

_SHORTEST = 4
"""Bytes of a needle by which it is looked for."""

_READ_AT_ONCE = 1 << 24


def encodings_of(text: str) -> Iterator[bytes]:
    """The text as it could stand in a file: UTF-8, UTF-16, hex, base64 at each alignment, JSON."""
    utf8 = text.encode()
    yield utf8
    for raw in (utf8, text.encode("utf-16-le"), text.encode("utf-16-be")):
        yield raw
        yield raw.hex().encode()
        yield raw.hex().upper().encode()
        yield from _base64_of(raw)
    yield json.dumps(text).strip('"').encode()


def encodings_of_key(key: bytes) -> Iterator[bytes]:
    """Halves of a 32-byte key: raw in either order (so DER too), hex, base64 (so PEM too), digits.

    Also as Python and OpenSSL keep big numbers: in digits of 30 bits, and of 64.
    """
    number = int.from_bytes(key, "big")
    for whole in (key, key[::-1]):
        for half in (whole[:_HALF], whole[_HALF:]):
            yield half
            yield half.hex().encode()
            yield half.hex().upper().encode()
            yield from _base64_of(half)
    yield str(number)[:38].encode()
    digits = [(number >> shift) & (2**30 - 1) for shift in range(0, 256, 30)]
    yield b"".join(digit.to_bytes(4, "little") for digit in digits[:5])
    yield b"".join(digit.to_bytes(4, "little") for digit in digits[4:])


def _base64_of(raw: bytes) -> Iterator[bytes]:
    for shift in range(3):
        # The characters that the neighbours would share are cut off.
        encoded = base64.b64encode(bytes(shift) + raw)
        yield encoded[(shift * 8 + 5) // 6 : len(encoded) - 4]


class Search:
    """Needles, each under a name that says what was found."""

    def __init__(self, needles: Mapping[str, Iterable[bytes]]) -> None:
        self._by_start: dict[int, list[tuple[bytes, str]]] = {}
        for what, encodings in needles.items():
            for needle in set(encodings):
                start = int.from_bytes(needle[:_SHORTEST], "little")
                self._by_start.setdefault(start, []).append((needle, what))
        self._starts = np.array(sorted(self._by_start), dtype="<u4")
        self._pairs = np.zeros(65_536, dtype=bool)
        self._pairs[self._starts & 0xFFFF] = True

    @classmethod
    def for_texts(cls, texts: Mapping[str, str]) -> Search:
        """For texts in every encoding."""
        return cls({what: encodings_of(text) for what, text in texts.items()})

    @classmethod
    def for_keys(cls, keys: Mapping[str, bytes]) -> Search:
        """For keys in every encoding."""
        return cls({what: encodings_of_key(key) for what, key in keys.items()})

    def in_bytes(self, content: bytes) -> list[str]:
        """What is found."""
        found: set[str] = set()
        if len(content) < _SHORTEST:
            return []
        for parity in (0, 1):
            count = (len(content) - parity) // 2
            pairs = np.frombuffer(content, dtype="<u2", offset=parity, count=count)
            # Few places begin with the first two bytes of a needle, very few with its first four.
            at = np.nonzero(self._pairs[pairs[:-1]])[0]
            fours = pairs[at].astype("<u4") | (pairs[at + 1].astype("<u4") << 16)
            is_start = np.isin(fours, self._starts)
            for place, four in zip(at[is_start], fours[is_start], strict=True):
                for needle, what in self._by_start[int(four)]:
                    if content.startswith(needle, int(place) * 2 + parity):
                        found.add(what)
        return sorted(found)

    def in_files(self, directory: Path) -> list[str]:
        """What is found in which file under a directory."""
        return [
            f"{what} in {path.relative_to(directory)}"
            for path in sorted(directory.rglob("*"))
            if path.is_file()
            for what in self.in_bytes(path.read_bytes())
        ]

    def in_memory(self, pid: int) -> list[str]:
        """What is found in the memory of a process; files it shares are not read, being files."""
        found: set[str] = set()
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            for start, end in _regions(pid):
                at = start
                while at < end:
                    try:
                        memory.seek(at)
                        content = memory.read(min(_READ_AT_ONCE, end - at))
                    except OSError:
                        break
                    if not content:
                        break
                    found.update(self.in_bytes(content))
                    # What lies across the edge of two reads is read again.
                    at += len(content) if at + len(content) >= end else max(1, len(content) - 4096)
        return sorted(found)


def _regions(pid: int) -> Iterator[tuple[int, int]]:
    for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines():
        addresses, permissions, _, _, inode, *name = line.split(maxsplit=5)
        # Libraries, and files that are shared: what stands in them was searched as files.
        is_file = inode != "0" and (permissions[3] == "s" or permissions[1] != "w")
        if permissions[0] == "r" and not is_file and name != ["[vvar]"]:
            start, end = (int(address, 16) for address in addresses.split("-"))
            yield start, end
