"""Shamir's secret sharing of a 32-byte key: `threshold` shares give it back, fewer tell nothing.

The field arithmetic is pycryptodome's, over GF(2^128); the key is two of its 16-byte blocks, each
shared by a polynomial of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from Crypto.Protocol.SecretSharing import Shamir

from juki.domain.errors import JukiError, Reason

KEY_BYTES = 32
_BLOCK = 16


@dataclass(frozen=True, repr=False)
class Share:
    """One share: its number (1 and up), and 32 bytes."""

    number: int
    value: bytes

    def __repr__(self) -> str:
        return f"Share(number={self.number}, …)"


def split_key(key: bytes, threshold: int, count: int) -> tuple[Share, ...]:
    """Shares 1 to `count` of a 32-byte key; raises CONFIGURATION_INVALID for another M of N."""
    if len(key) != KEY_BYTES:
        raise JukiError(Reason.INVALID_FIELD, "a key to share has 32 bytes")
    if not 1 <= threshold <= count <= 255:
        raise JukiError(
            Reason.CONFIGURATION_INVALID, "the threshold is at least 1 and at most all officers"
        )
    if threshold == 1:
        # A polynomial of degree 0 is the secret itself, which pycryptodome does not offer.
        return tuple(Share(number, key) for number in range(1, count + 1))
    blocks = [
        dict(Shamir.split(threshold, count, key[start : start + _BLOCK], ssss=False))
        for start in (0, _BLOCK)
    ]
    return tuple(
        Share(number, b"".join(block[number] for block in blocks)) for number in range(1, count + 1)
    )


def join_key(shares: Sequence[Share], threshold: int) -> bytes:
    """The key; raises KEY_USE_NOT_PERMITTED for fewer than `threshold` different shares.

    Shares of another key give another key: whoever joins must check what comes out.
    """
    different = {share.number: share.value for share in shares}
    if threshold < 1 or len(different) < threshold:
        raise JukiError(
            Reason.KEY_USE_NOT_PERMITTED,
            f"{len(different)} officers are present, {threshold} are needed",
        )
    chosen = sorted(different.items())[:threshold]
    if threshold == 1:
        return chosen[0][1]
    return b"".join(
        Shamir.combine(
            [(number, value[start : start + _BLOCK]) for number, value in chosen], ssss=False
        )
        for start in (0, _BLOCK)
    )
