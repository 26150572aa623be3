"""The leaf of a record in the log's Merkle tree: a commitment to its facts and to its persons.

The leaf data is public and says nothing: a commitment to the facts, how many persons, and the root
of an inner tree with one salted leaf a person. Whoever is given one person's salt, pseudonym and
outcome, and the inner path, checks that entry and learns nothing of the others.

    leaf data    version 1 (1), facts commitment (32), number of persons (4), inner root (32)
    facts        SHA-256(0x00 || facts' salt (16) || facts)
    inner leaf   SHA-256(0x00 || person's salt (16) || pseudonym (16) || outcome (1))
    inner node   SHA-256(0x01 || left || right); the tree is that of RFC 6962
    salt n       AES-128 under the record's seed of the block "juki-salt-01" || n (4); 0 is the
                 facts', person i (from 0) has i + 1

All salts of a record cost one call of AES, all else two calls of SHA-256 a person.
"""

from __future__ import annotations

import hashlib
import struct
import threading
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from juki.audit.encoding import RecordParts
from juki.audit.port import PSEUDONYM_BYTES
from juki.audit.tree import HASH_BYTES, LeafNodes, inclusion_proof, root_of

LEAF_VERSION: Final = 1
SALT_BYTES: Final = 16
_LEAF: Final = struct.Struct(f">B{HASH_BYTES}sI{HASH_BYTES}s")
LEAF_BYTES: Final = _LEAF.size
_SALT_DOMAIN: Final = b"juki-salt-01"
_INNER_BYTES: Final = 1 + SALT_BYTES + PSEUDONYM_BYTES + 1
_FEW: Final = 8


class _SaltBlocks:
    """The plaintext of the salts, which is the same for every record: made once, and longer when
    a larger record comes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = b""

    def take(self, count: int) -> bytes:
        wanted = count * SALT_BYTES
        if len(self._blocks) < wanted:
            with self._lock:
                made = np.zeros((max(count, 1024) * 2, SALT_BYTES), np.uint8)
                made[:, :12] = np.frombuffer(_SALT_DOMAIN, np.uint8)
                numbers = np.arange(len(made), dtype=np.uint32).astype(">u4")
                made[:, 12:] = numbers.view(np.uint8).reshape(-1, 4)
                self._blocks = made.tobytes()
        return self._blocks[:wanted]


_BLOCKS: Final = _SaltBlocks()


def salts(seed: bytes, persons: int) -> bytes:
    """The facts' salt and after it the persons', 16 bytes each.

    ECB is right here: every block is another one, and AES, a pseudo-random permutation under a seed
    used for one record only, gives independent-looking salts.
    """
    cipher = Cipher(algorithms.AES128(seed), modes.ECB())  # noqa: S305 - see above
    return cipher.encryptor().update(_BLOCKS.take(persons + 1))


def facts_commitment(salt: bytes, facts: bytes) -> bytes:
    """SHA-256(0x00 || salt || facts)."""
    return hashlib.sha256(b"\0" + salt + facts).digest()


def inner_leaves(person_salts: bytes, pseudonyms: bytes, outcomes: bytes) -> list[bytes]:
    """The hashes of the inner leaves, in the order of the persons."""
    persons, sha256 = len(outcomes), hashlib.sha256
    if persons <= _FEW:  # arrays cost more than they save
        return [
            sha256(
                b"\0"
                + person_salts[16 * n : 16 * n + 16]
                + pseudonyms[16 * n : 16 * n + 16]
                + outcomes[n : n + 1]
            ).digest()
            for n in range(persons)
        ]
    rows = np.empty((persons, _INNER_BYTES), np.uint8)
    rows[:, 0] = 0
    rows[:, 1:17] = np.frombuffer(person_salts, np.uint8).reshape(persons, SALT_BYTES)
    rows[:, 17:33] = np.frombuffer(pseudonyms, np.uint8).reshape(persons, PSEUDONYM_BYTES)
    rows[:, 33] = np.frombuffer(outcomes, np.uint8)
    joined = rows.tobytes()
    return [
        sha256(joined[at : at + _INNER_BYTES]).digest()
        for at in range(0, _INNER_BYTES * persons, _INNER_BYTES)
    ]


def leaf_data(parts: RecordParts) -> bytes:
    """The public leaf data of a record, 69 bytes."""
    salt = salts(parts.seed, len(parts.outcomes))
    inner = inner_leaves(salt[SALT_BYTES:], parts.pseudonyms, parts.outcomes)
    return pack_leaf(facts_commitment(salt[:SALT_BYTES], parts.facts), len(inner), root_of(inner))


def pack_leaf(commitment: bytes, persons: int, inner_root: bytes) -> bytes:
    """The leaf data of its parts."""
    return _LEAF.pack(LEAF_VERSION, commitment, persons, inner_root)


def inner_proof(parts: RecordParts, index: int) -> tuple[bytes, list[bytes]]:
    """One person's salt and the path from their inner leaf to the inner root.

    Raises InvalidValue where the record has no such person.
    """
    salt = salts(parts.seed, len(parts.outcomes))
    inner = inner_leaves(salt[SALT_BYTES:], parts.pseudonyms, parts.outcomes)
    path = inclusion_proof(LeafNodes(inner), index, len(inner))
    start = SALT_BYTES * (index + 1)
    return salt[start : start + SALT_BYTES], path
