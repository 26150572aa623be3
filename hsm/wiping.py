"""Secrets that are wiped after use, as far as Python allows.

What a library returns as `bytes` is moved into a `bytearray` and overwritten where it was; what a
library keeps inside is its own to clean (OpenSSL does).
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_BYTES_HEADER = bytes.__basicsize__ - 1
"""Where the content of CPython's `bytes` begins; the type's size counts one closing zero."""
_SHORTEST = 2
"""Shorter `bytes` are shared between all who use them."""


def taken(secret: bytes) -> bytearray:
    """A copy that can be wiped; the original is overwritten.

    Only for `bytes` that a call has just made and nobody else refers to.
    """
    copy = bytearray(secret)
    if len(secret) >= _SHORTEST:
        ctypes.memset(id(secret) + _BYTES_HEADER, 0, len(secret))
    return copy


@contextmanager
def wiped_after(secret: bytearray) -> Iterator[bytearray]:
    """The secret for the block; zeros afterwards, whatever happens."""
    try:
        yield secret
    finally:
        secret[:] = bytes(len(secret))
