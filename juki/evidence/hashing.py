"""Hash functions by name, chains of envelopes, and hash trees (RFC 6962 section 2.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import IntEnum

from juki.domain.errors import JukiError, Reason


class HashAlgorithm(IntEnum):
    """The values of `juki.v1.HashAlgorithm`."""

    SHA_256 = 1
    SHA_512 = 2
    SHA3_512 = 3

    def digest(self, *parts: bytes) -> bytes:
        """The hash of the parts, joined."""
        made = hashlib.new(_NAMES[self])
        for part in parts:
            made.update(part)
        return made.digest()

    @property
    def genesis(self) -> bytes:
        """The digest before the first envelope of a stream."""
        return bytes(hashlib.new(_NAMES[self]).digest_size)


_NAMES = {
    HashAlgorithm.SHA_256: "sha256",
    HashAlgorithm.SHA_512: "sha512",
    HashAlgorithm.SHA3_512: "sha3_512",
}


def extend_chain(algorithm: HashAlgorithm, digest: bytes, envelope_hash: bytes) -> bytes:
    """The stream's digest after an envelope whose hash is given."""
    return algorithm.digest(digest, envelope_hash)


def leaf_hash(algorithm: HashAlgorithm, content: bytes) -> bytes:
    """A leaf's hash; it can never be taken for a branch's."""
    return algorithm.digest(b"\0", content)


def tree_root(algorithm: HashAlgorithm, leaves: Sequence[bytes]) -> bytes:
    """The root over the leaves' hashes; an empty tree's is the hash of nothing."""
    if not leaves:
        return algorithm.digest()
    if len(leaves) == 1:
        return leaves[0]
    split = _split(len(leaves))
    return algorithm.digest(
        b"\1", tree_root(algorithm, leaves[:split]), tree_root(algorithm, leaves[split:])
    )


def tree_path(algorithm: HashAlgorithm, leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The other branches' hashes from the leaf at `index` upwards."""
    if len(leaves) <= 1:
        return []
    split = _split(len(leaves))
    left, right = leaves[:split], leaves[split:]
    if index < split:
        return [*tree_path(algorithm, left, index), tree_root(algorithm, right)]
    return [*tree_path(algorithm, right, index - split), tree_root(algorithm, left)]


def root_of_path(
    algorithm: HashAlgorithm, leaf: bytes, index: int, size: int, siblings: Sequence[bytes]
) -> bytes:
    """The root that a path leads to (RFC 9162 section 2.1.3.2).

    Raises:
        JukiError: TAMPERING_DETECTED when the path does not fit a tree of that size.
    """
    position, last, digest = index, size - 1, leaf
    for sibling in siblings:
        if last <= 0:
            raise _misfit()
        if position % 2 or position == last:
            digest = algorithm.digest(b"\1", sibling, digest)
            while not position % 2 and position:
                position //= 2
                last //= 2
        else:
            digest = algorithm.digest(b"\1", digest, sibling)
        position //= 2
        last //= 2
    if last or not 0 <= index < size:
        raise _misfit()
    return digest


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def _misfit() -> JukiError:
    return JukiError(Reason.TAMPERING_DETECTED, "a path does not fit its tree")
