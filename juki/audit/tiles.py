"""Tiles and entry bundles as files, after C2SP tlog-tiles: read, named, packed.

Under a log's `public/`: `tile/<level>/<number>` with 256 hashes, `tile/entries/<number>` with the
leaf data of 256 entries, and `<number>.p/<width>` while there are fewer. Nothing here is secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from juki.audit.tree import HASH_BYTES, TILE_WIDTH
from juki.domain.errors import JukiError, Reason

PUBLIC_DIRECTORY: Final = "public"
"""Below a log's directory: what anyone may read."""

TILE_DIRECTORY: Final = "tile"
ENTRIES: Final = "entries"
"""In the place of a level: the bundles of leaf data."""


def tile_path(level: int | str, index: int, width: int = TILE_WIDTH) -> str:
    """Where a tile stands below `public/`; for bundles `level` is `ENTRIES`.

    Number 1234067 is written `x001/x234/067`.
    """
    last = f"{index % 1000:03d}"
    before = []
    while index := index // 1000:
        before.append(f"x{index % 1000:03d}/")
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"{TILE_DIRECTORY}/{level}/{''.join(reversed(before))}{last}{partial}"


def pack_bundle(entries: Iterable[bytes]) -> bytes:
    """Leaf data of entries, each after its length in two bytes, big-endian."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def unpack_bundle(data: bytes) -> list[bytes]:
    """The entries of a bundle; raises ValueError where it is cut off."""
    entries, at = [], 0
    while at < len(data):
        start = at + 2
        at = start + int.from_bytes(data[at:start], "big")
        if at > len(data) or start > len(data):
            raise ValueError("an entry bundle is cut off")
        entries.append(data[start:at])
    return entries


def bundle_prefix(data: bytes, width: int) -> bytes:
    """The bundle of the first `width` entries of a bundle."""
    at = 0
    for _ in range(width):
        at += 2 + int.from_bytes(data[at : at + 2], "big")
    return data[:at]


class FileTiles:
    """A `TileReader` over the files of a log."""

    def __init__(self, public: Path) -> None:
        self._public = public

    def tile(self, level: int, index: int, width: int) -> bytes:
        """See `TileReader`; raises JukiError (TAMPERING_DETECTED) where no file has it."""
        return self._read(level, index, width)[: width * HASH_BYTES]

    def entries(self, index: int, width: int) -> list[bytes]:
        """The first `width` entries of a bundle; raises like `tile`."""
        try:
            entries = unpack_bundle(self._read(ENTRIES, index, width))
        except ValueError:
            raise _missing(tile_path(ENTRIES, index, width)) from None
        return entries[:width]

    def _read(self, level: int | str, index: int, width: int) -> bytes:
        for path in (tile_path(level, index), tile_path(level, index, width)):
            try:
                return (self._public / path).read_bytes()
            except FileNotFoundError:
                continue
        folder = self._public / f"{tile_path(level, index)}.p"
        wider = [int(one.name) for one in folder.glob("*") if one.name.isdigit()]
        for candidate in sorted(one for one in wider if one > width):
            try:
                return (folder / str(candidate)).read_bytes()
            except FileNotFoundError:  # the full one took its place just now
                return (self._public / tile_path(level, index)).read_bytes()
        raise _missing(tile_path(level, index, width))


def _missing(path: str) -> JukiError:
    return JukiError(
        Reason.TAMPERING_DETECTED, f"{path} is missing or cut off", {"file": f"public/{path}"}
    )
