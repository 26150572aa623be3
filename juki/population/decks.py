"""Decks: weighted choice as one draw, the same on every platform and for every hash seed.

Only `Random.random` is used: Python promises its sequence for a seed; the other methods of the
`random` module and numpy's distributions may change between versions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from random import Random
from typing import Final, TypeVar

T = TypeVar("T")

DECK_SIZE: Final = 1 << 12


def deck(weighted: Iterable[tuple[T, int]], size: int = DECK_SIZE) -> tuple[T, ...]:
    """Each item repeated in proportion to its whole-number weight, `size` cards in all.

    Items of less than half a card's weight may get none.
    """
    pairs = [(item, weight) for item, weight in weighted if weight > 0]
    total = sum(weight for _, weight in pairs)
    cards: list[T] = []
    reached = 0
    for item, weight in pairs:
        reached += weight
        cards.extend([item] * ((reached * size + total // 2) // total - len(cards)))
    return tuple(cards)


def draw(random: Random, cards: Sequence[T]) -> T:
    """One card, each with the same chance."""
    return cards[int(random.random() * len(cards))]


def seeded(seed: int, *parts: str) -> Random:
    """A random source that depends on nothing but `seed` and `parts`."""
    text = "/".join((str(seed), *parts))
    return Random(int.from_bytes(hashlib.sha256(text.encode()).digest()))  # noqa: S311 - not secret


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """`total` shared out by whole-number weights, by largest remainder; the sum is exact."""
    whole = sum(weights)
    shares = [total * weight // whole for weight in weights]
    remainders = [total * weight % whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-remainders[i], i))
    for index in by_remainder[: total - sum(shares)]:
        shares[index] += 1
    return shares
