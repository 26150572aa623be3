"""Pseudonyms: the same person the same, without the key nothing."""

from __future__ import annotations

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from juki.audit.pseudonym import Pseudonymiser
from juki.domain.errors import InvalidValue

KEY = bytes(range(32))
ORDINALS = st.lists(st.integers(0, 2**64 - 1), max_size=50)


@given(ordinals=ORDINALS)
def test_a_batch_is_its_persons_one_by_one_in_any_form(ordinals: list[int]) -> None:
    pseudonymiser = Pseudonymiser(KEY)
    batch = pseudonymiser.pseudonyms(ordinals)
    assert len(batch) == 16 * len(ordinals)
    assert batch == b"".join(pseudonymiser.pseudonyms([ordinal]) for ordinal in ordinals)
    assert batch == pseudonymiser.pseudonyms(b"".join(n.to_bytes(8, "big") for n in ordinals))
    assert batch == pseudonymiser.pseudonyms(np.array(ordinals, dtype=np.uint64))


def test_a_pseudonym_is_aes_256_of_ordinal_and_domain() -> None:
    block = (125_000_000).to_bytes(8, "big") + b"jukiaud1"
    expected = Cipher(algorithms.AES256(KEY), modes.ECB()).encryptor().update(block)
    assert Pseudonymiser(KEY).pseudonyms([125_000_000]) == expected


def test_no_two_persons_and_no_two_keys_share_a_pseudonym() -> None:
    everyone = Pseudonymiser(KEY).pseudonyms(range(10_000))
    assert len({everyone[i : i + 16] for i in range(0, len(everyone), 16)}) == 10_000
    assert Pseudonymiser(KEY).pseudonyms([1]) != Pseudonymiser(bytes(32)).pseudonyms([1])


@pytest.mark.parametrize("key", [b"", bytes(16), bytes(31), bytes(33)])
def test_a_key_of_another_length_is_refused(key: bytes) -> None:
    with pytest.raises(InvalidValue):
        Pseudonymiser(key)


@pytest.mark.parametrize("ordinals", [b"1234567", [-1], [2**64], np.array([-1]), np.array([1.5])])
def test_what_is_no_ordinal_is_refused(ordinals: object) -> None:
    with pytest.raises(InvalidValue):
        Pseudonymiser(KEY).pseudonyms(ordinals)  # type: ignore[arg-type]
