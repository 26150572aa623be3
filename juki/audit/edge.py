"""The right edge of a log's published tree: takes leaves, gives the files that change."""

from __future__ import annotations

from collections.abc import Iterator

from juki.audit.tiles import ENTRIES, FileTiles, pack_bundle, tile_path
from juki.audit.tree import (
    HASH_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    Frontier,
    leaf_hash,
    root_of,
)


class TreeEdge:
    """What of the tree is not in a full tile yet, level by level.

    Whatever the size of the log: at most 255 hashes a level, and the leaf data of 255 entries.
    """

    def __init__(self) -> None:
        self.size = 0
        self._levels: list[list[bytes]] = [[]]
        self._bundle: list[bytes] = []

    @classmethod
    def restored(cls, tiles: FileTiles, size: int) -> TreeEdge:
        """The edge at a multiple of 256 entries, from the full tiles alone.

        Full tiles are durable before a checkpoint speaks of them; partial ones may not be.
        Raises what reading tiles raises.
        """
        edge = cls()
        edge.size = size
        level = 1
        while size >> (TILE_HEIGHT * level):
            whole, part = divmod(size >> (TILE_HEIGHT * level), TILE_WIDTH)
            first = whole * TILE_WIDTH
            edge._levels.append(
                [
                    root_of(split_hashes(tiles.tile(level - 1, index, TILE_WIDTH)))
                    for index in range(first, first + part)
                ]
            )
            level += 1
        return edge

    def append(self, data: bytes) -> list[tuple[str, bytes]]:
        """Adds an entry's leaf data; gives path and content of the files that became full."""
        self.size += 1
        self._bundle.append(data)
        self._levels[0].append(leaf_hash(data))
        if len(self._bundle) < TILE_WIDTH:
            return []
        number = self.size // TILE_WIDTH - 1
        full = [(tile_path(ENTRIES, number), pack_bundle(self._bundle))]
        self._bundle = []
        level = 0
        while len(self._levels[level]) == TILE_WIDTH:
            hashes = self._levels[level]
            full.append((tile_path(level, number), b"".join(hashes)))
            self._levels[level] = []
            level += 1
            number //= TILE_WIDTH
            if level == len(self._levels):
                self._levels.append([])
            self._levels[level].append(root_of(hashes))
        return full

    def partial(self) -> Iterator[tuple[str, bytes]]:
        """Path and content of the tiles and of the bundle that are not full."""
        if self._bundle:
            number = self.size // TILE_WIDTH
            yield tile_path(ENTRIES, number, len(self._bundle)), pack_bundle(self._bundle)
        for level, hashes in enumerate(self._levels):
            if hashes:
                number = self.size >> (TILE_HEIGHT * (level + 1))
                yield tile_path(level, number, len(hashes)), b"".join(hashes)

    def root(self) -> bytes:
        """The root of the tree as it is now."""
        found = []
        for hashes in reversed(self._levels):
            start = 0
            for height in reversed(range(TILE_HEIGHT)):
                if len(hashes) >> height & 1:
                    found.append(root_of(hashes[start : start + (1 << height)]))
                    start += 1 << height
        return Frontier(self.size, found).root()


def split_hashes(tile: bytes) -> list[bytes]:
    """The hashes of a tile."""
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]
