"""Holds what is published of a log against the tree over its records.

For each 256 entries the bundle and the tile are compared in every form they lie there: full, or
partial of any width. So is each tile above as it fills, and the root with the checkpoint's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from juki.audit.checkpoint import CHECKPOINT_FILE, Checkpoint
from juki.audit.edge import TreeEdge
from juki.audit.segment import Tampered
from juki.audit.tiles import (
    ENTRIES,
    PUBLIC_DIRECTORY,
    TILE_DIRECTORY,
    FileTiles,
    bundle_prefix,
    pack_bundle,
    tile_path,
)
from juki.audit.tree import HASH_BYTES, TILE_WIDTH, leaf_hash
from juki.domain.errors import JukiError


class PublishedTree:
    """The tree over the records so far; raises Tampered as soon as anything differs."""

    def __init__(self, directory: Path, checkpoint: Checkpoint | None) -> None:
        self._public = directory / PUBLIC_DIRECTORY
        self._checkpoint = checkpoint
        self._edge = TreeEdge()
        self._leaves: list[bytes] = []
        """Leaf data since the last full bundle."""

        self._where: list[tuple[Path, int]] = []
        """Segment and byte of each of them."""

    @property
    def size(self) -> int:
        """Entries so far."""
        return self._edge.size

    def restore(self, trusted: Checkpoint) -> None:
        """Begin at the last full tile before a trusted checkpoint."""
        size = trusted.size // TILE_WIDTH * TILE_WIDTH
        try:
            self._edge = TreeEdge.restored(FileTiles(self._public), size)
        except JukiError as error:
            path = self._public.parent / error.metadata.get("file", CHECKPOINT_FILE)
            raise Tampered(path, 0, "the tile is missing or cut off") from None
        if size == trusted.size:
            self.compare_root(trusted)

    def append(self, leaf: bytes, path: Path, offset: int) -> None:
        """Adds the leaf data of the next record, which stands in a segment at a byte."""
        self._leaves.append(leaf)
        self._where.append((path, offset))
        full = self._edge.append(leaf)
        if full:
            number = self._edge.size // TILE_WIDTH - 1
            self._compare_entries(number, self._edge.size <= self._covered)
            for above, content in full[2:]:
                self._compare_tile(above, content, self._edge.size <= self._covered)
            self._leaves, self._where = [], []
        if self._checkpoint is not None and self._edge.size == self._covered:
            self._compare_edge(needed=True)
            self.compare_root(self._checkpoint)

    def finish(self) -> None:
        """All records are read."""
        if self._checkpoint is None:
            return
        if self._covered == 0:
            self.compare_root(self._checkpoint)
        self._compare_edge(needed=False)

    def compare_root(self, checkpoint: Checkpoint) -> None:
        """Where the tree has just the size of a checkpoint, it must have its root."""
        if checkpoint.size == self._edge.size and checkpoint.root != self._edge.root():
            what = f"the tree over the {checkpoint.size} records is not the checkpoint's"
            raise Tampered(self._public / CHECKPOINT_FILE, 0, what)

    @property
    def _covered(self) -> int:
        return 0 if self._checkpoint is None else self._checkpoint.size

    def _compare_edge(self, *, needed: bool) -> None:
        if self._leaves:
            self._compare_entries(self._edge.size // TILE_WIDTH, needed)
        for path, content in self._edge.partial():
            if not path.startswith((f"{TILE_DIRECTORY}/{ENTRIES}/", f"{TILE_DIRECTORY}/0/")):
                self._compare_tile(path.partition(".p/")[0], content, needed)

    def _compare_entries(self, number: int, needed: bool) -> None:
        """The bundle and the tile of the same entries; what differs is named by majority."""
        hashes = [leaf_hash(leaf) for leaf in self._leaves]
        bundles, tiles = tile_path(ENTRIES, number), tile_path(0, number)
        width = len(hashes)
        other_entry = self._first_difference(bundles, pack_bundle(self._leaves), width, needed)
        other_hash = self._first_difference(tiles, b"".join(hashes), width, needed)
        if other_entry is None and other_hash is None:
            return
        first = number * TILE_WIDTH + 1
        if other_entry is not None and other_hash is not None:
            (_, entry_index, _), (_, hash_index, _) = other_entry, other_hash
            if entry_index == hash_index:
                path, offset = self._where[entry_index]
                what = "the record is not the one that is published"
                raise _altered(path, offset, what, first + entry_index)
        path, index, offset = other_entry or other_hash or (self._public, 0, 0)
        what = "this is not what the record gives"
        raise _altered(path, offset, what, first + index)

    def _compare_tile(self, tile: str, content: bytes, needed: bool) -> None:
        width = len(content) // HASH_BYTES
        found = self._first_difference(tile, content, width, needed)
        if found is not None:
            raise Tampered(found[0], found[2], "this is not what the tiles below give")

    def _first_difference(
        self, name: str, content: bytes, width: int, needed: bool
    ) -> tuple[Path, int, int] | None:
        """File, place in it and byte of the first difference from `content` of that width."""
        is_bundle = name.startswith(f"{TILE_DIRECTORY}/{ENTRIES}/")
        there = False
        for path, has, data in self._forms(name):
            there = there or has >= width
            expected = content
            if has < width:
                expected = bundle_prefix(content, has) if is_bundle else content[: has * HASH_BYTES]
            elif has > width:
                expected = content + data[len(content) :]  # of entries that came after
            if data != expected:
                offset = _first_byte(data, expected)
                return path, self._place(offset, is_bundle, expected), offset
        if needed and not there:
            partial = "" if width == TILE_WIDTH else f".p/{width}"
            raise Tampered(self._public / f"{name}{partial}", 0, "the file is missing")
        return None

    def _place(self, offset: int, is_bundle: bool, expected: bytes) -> int:
        if not is_bundle:
            return min(offset // HASH_BYTES, TILE_WIDTH - 1)
        place, at = 0, 2 + len(self._leaves[0])
        while at <= offset and place < len(self._leaves) - 1:
            place += 1
            at += 2 + len(self._leaves[place])
        return place

    def _forms(self, name: str) -> Iterator[tuple[Path, int, bytes]]:
        """The files of a tile: full, and partial; each with its width and content."""
        folder = self._public / f"{name}.p"
        partial = list(folder.iterdir()) if folder.is_dir() else []
        for path in [self._public / name, *sorted(partial)]:
            if path.name.startswith("."):
                continue  # being written
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            if path.parent != folder:
                yield path, TILE_WIDTH, data
            elif path.name.isdigit():
                yield path, int(path.name), data
            else:
                raise Tampered(path, 0, "this is no tile")


def _first_byte(data: bytes, expected: bytes) -> int:
    for at, (one, other) in enumerate(zip(data, expected, strict=False)):
        if one != other:
            return at
    return min(len(data), len(expected))


def _altered(path: Path, offset: int, what: str, entry: int) -> Tampered:
    found = Tampered(path, offset, f"entry {entry}: {what}")
    found.metadata["entry"] = str(entry)
    return found
