"""Leaves are what the format says, computed the plain way; each commits to all that it should."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from juki.audit.encoding import RecordParts, decode, encode, split
from juki.audit.leaves import LEAF_BYTES, inner_proof, leaf_data
from juki.audit.port import AuditRecord
from juki.audit.tree import leaf_hash, proves_inclusion
from juki.domain.errors import InvalidValue
from juki.domain.outcome import Outcome
from juki.v1 import audit_pb2

MakeRecord = Callable[..., AuditRecord]
SEED = bytes(range(16))


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def salt(seed: bytes, number: int) -> bytes:
    block = b"juki-salt-01" + number.to_bytes(4, "big")
    return Cipher(algorithms.AES128(seed), modes.ECB()).encryptor().update(block)


def mth(leaves: list[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\1", mth(leaves[:k]), mth(leaves[k:]))


def plain_leaf(parts: RecordParts) -> bytes:
    inner = [
        sha256(
            b"\0",
            salt(parts.seed, n + 1),
            parts.pseudonyms[16 * n : 16 * n + 16],
            bytes([parts.outcomes[n]]),
        )
        for n in range(len(parts.outcomes))
    ]
    return (
        b"\1"
        + sha256(b"\0", salt(parts.seed, 0), parts.facts)
        + len(inner).to_bytes(4, "big")
        + mth(inner)
    )


@settings(deadline=None)
@given(
    persons=st.one_of(st.integers(0, 40), st.just(3000)), seed=st.binary(min_size=16, max_size=16)
)
def test_a_leaf_is_what_the_format_says(record: MakeRecord, persons: int, seed: bytes) -> None:
    parts = split(encode(record("r", persons), seed))
    leaf = leaf_data(parts)
    assert leaf == plain_leaf(parts)
    assert len(leaf) == LEAF_BYTES == 69


@pytest.mark.parametrize("persons", [0, 1, 2, 1000])
def test_the_facts_are_the_record_without_its_persons(record: MakeRecord, persons: int) -> None:
    entry = record("r", persons, pseudonym_key=3, affair_id="x-1")
    data = encode(entry, SEED)
    parts = split(data)
    assert decode(parts.facts) == replace(entry, pseudonyms=b"", outcomes=b"")
    assert (parts.pseudonyms, parts.outcomes, parts.seed) == (
        entry.pseudonyms,
        entry.outcomes,
        SEED,
    )
    assert decode(data) == entry
    assert SEED not in parts.facts


@pytest.mark.parametrize("persons", [1, 5, 9])
def test_each_person_is_proven_under_the_inner_root(record: MakeRecord, persons: int) -> None:
    parts = split(encode(record("r", persons), SEED))
    root = leaf_data(parts)[-32:]
    for index in range(persons):
        own, path = inner_proof(parts, index)
        entry = own + parts.pseudonyms[16 * index : 16 * index + 16] + parts.outcomes[index:][:1]
        assert proves_inclusion(leaf_hash(entry), index, persons, path, root)
    with pytest.raises(InvalidValue):
        inner_proof(parts, persons)


def test_whatever_is_changed_the_leaf_is_another(record: MakeRecord) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"operator": "other"},
        {"article": "30-10(1)(i)"},
        {"time_unix_nanos": 1},
        {"outcomes": bytes([Outcome.FOUND, Outcome.NOT_FOUND])},
        {"pseudonyms": bytes(32)},
    ]
    leaves = [leaf_data(split(encode(record("r", 2, **one), SEED))) for one in changes]
    leaves.append(leaf_data(split(encode(record("r", 2), bytes(16)))))
    leaves.append(leaf_data(split(encode(record("r", 3), SEED))))
    assert len(set(leaves)) == len(leaves)


def test_equal_calls_have_leaves_that_do_not_show_it(record: MakeRecord) -> None:
    one, other = (leaf_data(split(encode(record("r", 2), bytes([n]) * 16))) for n in (1, 2))
    assert one[1:33] != other[1:33]
    assert one[37:] != other[37:]


def test_another_order_of_the_same_fields_is_no_record(record: MakeRecord) -> None:
    entry = record("r", 2)
    message = audit_pb2.AuditRecord.FromString(encode(entry, SEED))
    with pytest.raises(ValueError, match="fixed order"):
        split(message.SerializeToString() + b"\x20\x01")
    message.ClearField("salt_seed")
    with pytest.raises(ValueError, match="fixed order"):
        split(message.SerializeToString())
    with pytest.raises(InvalidValue):
        encode(entry, bytes(15))
