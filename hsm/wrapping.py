"""Data keys wrapped by a generation of the wrapping key, and wrapped anew by the one in use.

The wrapped form names its generation (4 bytes, big-endian) from the second one on; the 60 bytes of
the first name none, as they did before there were generations. Nothing rests on the number: under
another key than the one that wrapped it, a data key does not open.
"""

from __future__ import annotations

from hsm.generations import Generations
from hsm.token import Token
from juki.custody.naming import KeyName
from juki.domain.errors import JukiError, Reason

_FIRST_FORM_BYTES = 60
_GENERATION_BYTES = 4


def wrap_new_data_key(token: Token, generations: Generations, key: str) -> tuple[bytes, bytes]:
    """A new data key in the clear, and wrapped by the key named."""
    number, label = _named(generations, KeyName.parse(key))
    plaintext, sealed = token.new_data_key(label)
    return plaintext, _form(number, sealed)


def unwrap_data_key(token: Token, generations: Generations, key: str, wrapped: bytes) -> bytes:
    """The data key; whichever generation wrapped it must still be in the token.

    Raises INVALID_FIELD for another form or a generation that is not there, TAMPERING_DETECTED
    where that generation did not wrap it.
    """
    number, sealed = _parsed(wrapped)
    name = KeyName(KeyName.parse(key).key_class, number)
    return token.unwrap_data_key(generations.label(name), sealed)


def rewrap_data_key(token: Token, generations: Generations, key: str, wrapped: bytes) -> bytes:
    """The data key wrapped by the generation in use; raises as `unwrap_data_key`."""
    number, label = _named(generations, KeyName(KeyName.parse(key).key_class))
    plaintext = unwrap_data_key(token, generations, key, wrapped)
    if _parsed(wrapped)[0] == number:
        return wrapped
    return _form(number, token.wrap_data_key(label, plaintext))


def _named(generations: Generations, name: KeyName) -> tuple[int, str]:
    label = generations.label(name)
    return KeyName.parse(label).generation or 1, label


def _form(number: int, sealed: bytes) -> bytes:
    return sealed if number == 1 else number.to_bytes(_GENERATION_BYTES) + sealed


def _parsed(wrapped: bytes) -> tuple[int, bytes]:
    if len(wrapped) == _FIRST_FORM_BYTES:
        return 1, wrapped
    number = int.from_bytes(wrapped[:_GENERATION_BYTES])
    if len(wrapped) != _GENERATION_BYTES + _FIRST_FORM_BYTES or number < 2:
        raise JukiError(Reason.INVALID_FIELD, "a wrapped data key has 60 or 64 bytes")
    return number, wrapped[_GENERATION_BYTES:]
