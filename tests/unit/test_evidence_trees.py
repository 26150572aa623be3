"""Hash trees: a path leads each leaf, and nothing else, to the root (RFC 6962 section 2.1)."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juki.domain.errors import JukiError
from juki.evidence.hashing import HashAlgorithm, leaf_hash, root_of_path, tree_path, tree_root

ALGORITHMS = st.sampled_from(HashAlgorithm)
SHA_256 = HashAlgorithm.SHA_256

# Inputs and roots of the certificate transparency project's tests, sizes 1 to 8.
INPUTS = [
    bytes.fromhex(one)
    for one in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOT_OF_EIGHT = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def test_the_root_is_that_of_the_published_vectors() -> None:
    leaves = [leaf_hash(SHA_256, one) for one in INPUTS]
    assert tree_root(SHA_256, leaves).hex() == ROOT_OF_EIGHT
    assert tree_root(SHA_256, []) == hashlib.sha256().digest()


@given(ALGORITHMS, st.integers(1, 70), st.data())
def test_each_path_leads_to_the_root(
    algorithm: HashAlgorithm, size: int, data: st.DataObject
) -> None:
    leaves = [leaf_hash(algorithm, b"%d" % number) for number in range(size)]
    root = tree_root(algorithm, leaves)
    index = data.draw(st.integers(0, size - 1))
    siblings = tree_path(algorithm, leaves, index)
    assert root_of_path(algorithm, leaves[index], index, size, siblings) == root
    other = data.draw(st.integers(0, size - 1).filter(lambda one: size == 1 or one != index))
    if other != index:
        try:
            assert root_of_path(algorithm, leaves[other], index, size, siblings) != root
            assert root_of_path(algorithm, leaves[index], other, size, siblings) != root
        except JukiError:
            pass


@given(st.integers(1, 70), st.data())
def test_a_path_that_is_too_long_or_too_short_is_refused(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(SHA_256, b"%d" % number) for number in range(size)]
    index = data.draw(st.integers(0, size - 1))
    siblings = tree_path(SHA_256, leaves, index)
    with pytest.raises(JukiError):
        root_of_path(SHA_256, leaves[index], index, size, [*siblings, bytes(32)])
    if siblings:
        with pytest.raises(JukiError):
            root_of_path(SHA_256, leaves[index], index, size, siblings[:-1])
    with pytest.raises(JukiError):
        root_of_path(SHA_256, leaves[index], size, size, siblings)
