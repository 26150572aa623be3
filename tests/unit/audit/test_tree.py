"""The tree is that of RFC 6962, however it is computed; no other proof than the right one holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from juki.audit.tree import (
    EMPTY_ROOT,
    Frontier,
    LeafNodes,
    TileNodes,
    consistency_proof,
    frontier_of,
    inclusion_proof,
    leaf_hash,
    proves_consistency,
    proves_inclusion,
    root_of,
    tile_width,
    tree_root,
)
from juki.domain.errors import InvalidValue

SIZES = st.integers(0, 70)


def mth(leaves: Sequence[bytes]) -> bytes:
    """MTH(D[n]) word for word from RFC 6962, section 2.1, over leaf hashes."""
    if len(leaves) == 0:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n]), section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: Sequence[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b), section 2.1.2."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def leaves_of(size: int) -> list[bytes]:
    return [leaf_hash(n.to_bytes(4, "big")) for n in range(size)]


class Tiles:
    """Tiles as C2SP tlog-tiles defines them, from the leaves, by the naive definition."""

    def __init__(self, leaves: list[bytes]) -> None:
        self._leaves = leaves
        self.asked: set[tuple[int, int, int]] = set()

    def tile(self, level: int, index: int, width: int) -> bytes:
        self.asked.add((level, index, width))
        span = 256**level
        return b"".join(
            mth(self._leaves[(index * 256 + n) * span : (index * 256 + n + 1) * span])
            for n in range(width)
        )


@settings(deadline=None)
@given(size=SIZES)
def test_roots_are_those_of_the_definition(size: int) -> None:
    leaves = leaves_of(size)
    frontier = Frontier()
    frontier.extend(leaves)
    expected = mth(leaves)
    assert frontier.root() == root_of(leaves) == tree_root(LeafNodes(leaves), size) == expected
    assert frontier.size == size


@settings(deadline=None)
@given(size=SIZES, more=SIZES)
def test_a_frontier_made_again_goes_on_alike(size: int, more: int) -> None:
    leaves = leaves_of(size + more)
    frontier = frontier_of(LeafNodes(leaves), size)
    again = Frontier(frontier.size, frontier.hashes)
    other = again.copy()
    again.extend(leaves[size:])
    assert again.root() == mth(leaves)
    assert other.root() == mth(leaves[:size])


@settings(deadline=None)
@given(data=st.data(), size=st.integers(1, 70))
def test_inclusion_proofs_are_those_of_the_definition_and_hold(
    data: st.DataObject, size: int
) -> None:
    leaves = leaves_of(size)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(LeafNodes(leaves), index, size)
    assert proof == path(index, leaves)
    assert proves_inclusion(leaves[index], index, size, proof, mth(leaves))


@settings(deadline=None)
@given(data=st.data(), second=st.integers(1, 70))
def test_consistency_proofs_are_those_of_the_definition_and_hold(
    data: st.DataObject, second: int
) -> None:
    leaves = leaves_of(second)
    first = data.draw(st.integers(1, second))
    proof = consistency_proof(LeafNodes(leaves), first, second)
    assert proof == subproof(first, leaves, True)
    assert proves_consistency(first, second, mth(leaves[:first]), mth(leaves), proof)


@settings(deadline=None)
@given(data=st.data(), size=st.integers(1, 70))
def test_whatever_is_altered_no_inclusion_holds(data: st.DataObject, size: int) -> None:
    leaves = leaves_of(size)
    index = data.draw(st.integers(0, size - 1))
    root = mth(leaves)
    proof = path(index, leaves)
    altered = data.draw(st.sampled_from(["leaf", "root", "proof", "longer", "shorter", "index"]))
    leaf, at = leaves[index], index
    if altered == "leaf":
        leaf = flip(data, leaf)
    elif altered == "root":
        root = flip(data, root)
    elif altered == "index":
        at = data.draw(st.integers(0, size).filter(lambda other: other != index))
    elif altered == "longer":
        proof = [*proof, root]
    elif not proof:
        return
    elif altered == "shorter":
        proof = proof[:-1]
    else:
        n = data.draw(st.integers(0, len(proof) - 1))
        proof = [*proof[:n], flip(data, proof[n]), *proof[n + 1 :]]
    assert not proves_inclusion(leaf, at, size, proof, root)


@settings(deadline=None)
@given(data=st.data(), second=st.integers(2, 70))
def test_no_tree_is_consistent_with_one_of_other_leaves(data: st.DataObject, second: int) -> None:
    leaves = leaves_of(second)
    first = data.draw(st.integers(1, second - 1))
    changed = data.draw(st.integers(0, first - 1))
    rewritten = [*leaves[:changed], leaf_hash(b"rewritten"), *leaves[changed + 1 :]]
    old = mth(leaves[:first])
    honest = subproof(first, leaves, True)
    forged = subproof(first, rewritten, True)
    for proof in (honest, forged, forged[::-1], [*forged, old]):
        assert not proves_consistency(first, second, old, mth(rewritten), proof)
    assert proves_consistency(first, second, old, mth(leaves), honest)


def test_of_an_empty_tree_nothing_is_proven() -> None:
    root = mth(leaves_of(3))
    assert not proves_consistency(0, 3, EMPTY_ROOT, root, [])
    assert consistency_proof(LeafNodes(leaves_of(3)), 0, 3) == []


@pytest.mark.parametrize("size", [1, 255, 256, 257, 600, 70_000])
def test_tiles_give_the_same_roots_and_proofs(size: int) -> None:
    leaves = leaves_of(size)
    tiles = Tiles(leaves)
    nodes, naive = TileNodes(tiles, size), LeafNodes(leaves)
    root = mth(leaves)
    assert tree_root(nodes, size) == root
    for index in {0, size // 3, size - 1}:
        proof = inclusion_proof(nodes, index, size)
        assert proof == inclusion_proof(naive, index, size)
        assert proves_inclusion(leaves[index], index, size, proof, root)
    for first in {1, size // 2 or 1, size}:
        proof = consistency_proof(nodes, first, size)
        assert proves_consistency(first, size, mth(leaves[:first]), root, proof)
    for level, index, width in tiles.asked:
        assert width == tile_width(size, level, index) > 0


def test_the_widths_are_those_of_the_example_in_the_specification() -> None:
    assert [tile_width(70_000, 0, n) for n in (0, 272, 273, 274)] == [256, 256, 112, 0]
    assert [tile_width(70_000, 1, n) for n in (0, 1, 2)] == [256, 17, 0]
    assert [tile_width(70_000, 2, n) for n in (0, 1)] == [1, 0]


def test_what_a_tree_does_not_have_is_refused() -> None:
    nodes = LeafNodes(leaves_of(5))
    for asked in (
        lambda: inclusion_proof(nodes, 5, 5),
        lambda: inclusion_proof(nodes, -1, 5),
        lambda: consistency_proof(nodes, 5, 4),
        lambda: nodes.node(1, 2),
        lambda: TileNodes(Tiles(leaves_of(5)), 5).node(0, 5),
        lambda: Frontier(3, [EMPTY_ROOT]),
    ):
        with pytest.raises(InvalidValue):
            asked()


def test_a_tile_cut_short_is_refused() -> None:
    class Short:
        def tile(self, level: int, index: int, width: int) -> bytes:
            return bytes(32 * width - 1)

    with pytest.raises(InvalidValue, match="width"):
        TileNodes(Short(), 5).node(0, 0)


def flip(data: st.DataObject, value: bytes) -> bytes:
    bit = data.draw(st.integers(0, len(value) * 8 - 1))
    altered = bytearray(value)
    altered[bit // 8] ^= 1 << bit % 8
    return bytes(altered)
