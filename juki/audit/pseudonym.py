"""Pseudonyms of persons for the audit log, a whole batch in one call of AES."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from juki.domain.errors import InvalidValue

KEY_BYTES: Final = 32
_ORDINAL: Final = np.dtype(">u8")
_DOMAIN: Final = int.from_bytes(b"jukiaud1", "big")


class Pseudonymiser:
    """Turns a person's internal ordinal at the nation into 16 bytes that only the key links back.

    A pseudonym is AES-256 of one block: the ordinal (8 bytes) and a constant (8 bytes). ECB is
    right here, and only here: each pseudonym is a single block and no two persons share one, so
    that AES, a pseudo-random permutation, gives independent-looking values, and equal input giving
    equal output is the purpose. The constant keeps these blocks apart from any other use of AES.
    HMAC per person would be 50 times slower.

    The key is a data key that the token unwrapped into memory; records name its version. A key
    that is rotated leaves the records before it as they are: whoever looks for a person asks under
    every version.
    """

    def __init__(self, key: bytes, version: int = 1) -> None:
        """Raises InvalidValue unless `key` has 32 bytes."""
        self.version = version
        if len(key) != KEY_BYTES:
            raise InvalidValue("a pseudonym key has 32 bytes")
        self._cipher = Cipher(algorithms.AES256(key), modes.ECB())  # noqa: S305 - see above

    def pseudonyms(self, ordinals: bytes | Sequence[int] | NDArray[np.uint64]) -> bytes:
        """The pseudonyms of N persons, joined (16 N bytes), in the order given.

        `ordinals` is N unsigned 64-bit integers, or as bytes N times 8, big-endian. Ordinal 0 is
        nobody: it stands for a look-up that found no person. Raises InvalidValue.
        """
        if isinstance(ordinals, bytes):
            if len(ordinals) % 8:
                raise InvalidValue("ordinals come in 8 bytes each")
            numbers = np.frombuffer(ordinals, dtype=_ORDINAL)
        elif isinstance(ordinals, np.ndarray):
            if ordinals.dtype.kind != "u":  # a negative number would turn into somebody's ordinal
                raise InvalidValue("an ordinal is an unsigned 64-bit integer")
            numbers = ordinals
        else:
            try:
                numbers = np.asarray(ordinals, dtype=np.uint64)
            except (OverflowError, ValueError, TypeError):
                raise InvalidValue("an ordinal is an unsigned 64-bit integer") from None
        blocks = np.empty((len(numbers), 2), dtype=_ORDINAL)
        blocks[:, 0] = numbers
        blocks[:, 1] = _DOMAIN
        # A context of its own per call: contexts are not safe to share between threads.
        return self._cipher.encryptor().update(blocks.tobytes())
