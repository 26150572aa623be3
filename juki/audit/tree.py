"""The Merkle tree of a log: hashes, the growing edge, roots, proofs and their verification.

RFC 6962, section 2.1 (the same in RFC 9162, section 2.1) over SHA-256. Everything here is of public
values and touches no file: hashes are had through `NodeReader`, from a list of leaf hashes
(`LeafNodes`) or from tiles of 256 (`TileNodes` over a `TileReader`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from juki.domain.errors import InvalidValue

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
"""Hashes in a full tile."""


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 || leaf data)."""
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\1" + left + right).digest()


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes, level by level: the fast way where all of them are at hand.

    A hash without a sibling goes up as it is, which is the tree of RFC 6962: every subtree to the
    left is full.
    """
    if not leaf_hashes:
        return EMPTY_ROOT
    sha256 = hashlib.sha256
    level = leaf_hashes
    while len(level) > 1:
        pairs = iter(level)
        above = [
            sha256(b"\1" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)
        ]
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return level[0]


class NodeReader(Protocol):
    """The hashes of full subtrees."""

    def node(self, level: int, index: int) -> bytes:
        """The hash over the leaves from `index << level` on, `1 << level` of them.

        Raises what reading raises; never asked for beyond the size the reader was made for.
        """
        ...


class TileReader(Protocol):
    """The tiles of a tree, wherever they lie (C2SP tlog-tiles)."""

    def tile(self, level: int, index: int, width: int) -> bytes:
        """The first `width` hashes (1 to 256) of tile `index` at `level`, joined: 32 bytes each.

        From the partial tile of that width, or from a wider one.
        """
        ...


class LeafNodes:
    """A `NodeReader` over leaf hashes in memory."""

    def __init__(self, leaf_hashes: Sequence[bytes]) -> None:
        self._leaves = leaf_hashes

    def node(self, level: int, index: int) -> bytes:
        """See `NodeReader`; raises InvalidValue beyond the leaves."""
        end = (index + 1) << level
        if end > len(self._leaves):
            raise InvalidValue("the tree has no such subtree")
        return root_of(self._leaves[index << level : end])


class TileNodes:
    """A `NodeReader` over the tiles of a tree of `size` leaves; tiles once read are kept."""

    def __init__(self, tiles: TileReader, size: int) -> None:
        self._tiles = tiles
        self._size = size
        self._kept: dict[tuple[int, int], bytes] = {}

    def node(self, level: int, index: int) -> bytes:
        """See `NodeReader`; raises InvalidValue beyond the size or for a tile cut short."""
        if (index + 1) << level > self._size:
            raise InvalidValue("the tree has no such subtree")
        tile_level, height = divmod(level, TILE_HEIGHT)
        number, place = divmod(index << height, TILE_WIDTH)
        data = self._tile(tile_level, number)
        hashes = [
            data[at * HASH_BYTES : (at + 1) * HASH_BYTES] for at in range(place, place + 2**height)
        ]
        return root_of(hashes)

    def _tile(self, level: int, index: int) -> bytes:
        data = self._kept.get((level, index))
        if data is None:
            width = tile_width(self._size, level, index)
            data = self._tiles.tile(level, index, width)
            if len(data) != width * HASH_BYTES:
                raise InvalidValue("a tile does not have its width")
            self._kept[level, index] = data
        return data


def tile_width(size: int, level: int, index: int) -> int:
    """How many hashes tile `index` at `level` has in a tree of `size` leaves; 0: it is not there.

    Each hash of level 1 and above stands for a full tile below.
    """
    hashes = size >> (TILE_HEIGHT * level)
    return max(0, min(TILE_WIDTH, hashes - index * TILE_WIDTH))


class Frontier:
    """The growing edge of a tree: the roots of its full subtrees, the largest first.

    At most 64 hashes, whatever the size; enough to append and to tell the root.
    """

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        """Raises InvalidValue unless there is one hash for each bit set in `size`."""
        if size < 0 or len(hashes) != size.bit_count() or any(len(one) != 32 for one in hashes):
            raise InvalidValue("these hashes are not the frontier of a tree of that size")
        self._size = size
        self._hashes = list(hashes)

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self._size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """What a frontier is made again from, with `size`."""
        return tuple(self._hashes)

    def append(self, leaf: bytes) -> None:
        """Adds a leaf by its leaf hash."""
        hashes, bits = self._hashes, self._size
        while bits & 1:
            leaf = node_hash(hashes.pop(), leaf)
            bits >>= 1
        hashes.append(leaf)
        self._size += 1

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Adds leaves by their leaf hashes, in their order."""
        for leaf in leaves:
            self.append(leaf)

    def root(self) -> bytes:
        """The root of the tree as it is now."""
        if not self._hashes:
            return EMPTY_ROOT
        root = self._hashes[-1]
        for left in reversed(self._hashes[:-1]):
            root = node_hash(left, root)
        return root

    def copy(self) -> Frontier:
        """Another one of the same tree, which grows by itself."""
        return Frontier(self._size, self._hashes)


def frontier_of(nodes: NodeReader, size: int) -> Frontier:
    """The frontier of the tree of the first `size` leaves."""
    hashes, start = [], 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            hashes.append(nodes.node(level, start >> level))
            start += 1 << level
    return Frontier(size, hashes)


def tree_root(nodes: NodeReader, size: int) -> bytes:
    """The root of the tree of the first `size` leaves."""
    return frontier_of(nodes, size).root()


def inclusion_proof(nodes: NodeReader, index: int, size: int) -> list[bytes]:
    """PATH(index, D[size]): the siblings from the leaf up, at most one for each level.

    Raises InvalidValue unless 0 <= index < size.
    """
    if not 0 <= index < size:
        raise InvalidValue("the tree has no such leaf")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        split = start + _largest_power_below(end - start)
        if index < split:
            path.append(_range_root(nodes, split, end))
            end = split
        else:
            path.append(_range_root(nodes, start, split))
            start = split
    path.reverse()
    return path


def consistency_proof(nodes: NodeReader, first: int, second: int) -> list[bytes]:
    """PROOF(first, D[second]): that the tree of `second` leaves begins with that of `first`.

    Empty where the sizes are equal or the first is 0. Raises InvalidValue unless
    0 <= first <= second.
    """
    if not 0 <= first <= second:
        raise InvalidValue("a tree is consistent only with a smaller one")
    if first in (0, second):
        return []
    path: list[bytes] = []
    start, end = 0, second
    while end != first:
        split = start + _largest_power_below(end - start)
        if first <= split:
            path.append(_range_root(nodes, split, end))
            end = split
        else:
            path.append(_range_root(nodes, start, split))
            start = split
    if start:
        path.append(_range_root(nodes, start, end))
    path.reverse()
    return path


def proves_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether `proof` leads from a leaf hash at `index` to `root` (RFC 9162, section 2.1.3.2)."""
    if not 0 <= index < size or not _are_hashes(leaf, root, *proof):
        return False
    at, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            computed = node_hash(sibling, computed)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and computed == root


def proves_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether `proof` shows that nothing of the first tree was changed (RFC 9162, 2.1.4.2).

    The empty tree is the beginning of every one: its proof is empty, its root SHA-256 of nothing.
    """
    if not 0 <= first <= second or not _are_hashes(first_root, second_root, *proof):
        return False
    if first == second:
        return not proof and first_root == second_root
    if first == 0:
        return not proof and first_root == EMPTY_ROOT
    path = list(proof)
    if first & (first - 1) == 0:
        path.insert(0, first_root)
    if not path:
        return False
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _range_root(nodes: NodeReader, start: int, end: int) -> bytes:
    """The root over leaves `start` to `end`, of a subtree of some tree: it begins at a multiple of
    the smallest power of two that is not below its length."""
    hashes = []
    for level in reversed(range((end - start).bit_length())):
        if (end - start) >> level & 1:
            hashes.append(nodes.node(level, start >> level))
            start += 1 << level
    root = hashes.pop()
    while hashes:
        root = node_hash(hashes.pop(), root)
    return root


def _largest_power_below(number: int) -> int:
    return 1 << (number - 1).bit_length() - 1


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == HASH_BYTES for value in values)
