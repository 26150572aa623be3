"""Reads the keys in SoftHSM's files with the token's PIN, so that a search knows what to seek.

Works only because SoftHSM is software: what is read here never leaves a real token. The file format
is SoftHSM 2's own: attributes one after the other, sensitive ones encrypted with AES-256-CBC under
the token's key, which itself is encrypted under a key derived from the PIN (iterated SHA-256).
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from hsm.host_files import host_files

_CLASS, _LABEL, _VALUE, _USER_KEY = 0x0, 0x3, 0x11, 0x8000534D
_PRIVATE, _SECRET = 3, 4
_BOOLEAN, _NUMBER, _BYTES, _TEMPLATE, _MECHANISMS = 1, 2, 3, 4, 5
_ITERATIONS = 1500
_MAGIC = b"RJR"


@dataclass(frozen=True)
class StoredKey:
    """A private or secret key of a token."""

    host: str
    label: str
    value: bytes
    """The private scalar of a P-256 key, or the secret; big-endian, 32 bytes."""

    def __repr__(self) -> str:
        return f"StoredKey({self.host}, {self.label})"


def stored_keys(directory: Path, host: str) -> list[StoredKey]:
    """Every private and secret key of the host's token, and the token's own key."""
    files = host_files(directory, host)
    (token,) = (files.directory / "tokens").iterdir()
    pin = (files.directory / "pin").read_bytes().strip()
    token_key = _token_key(_attributes(token / "token.object")[_USER_KEY], pin)
    keys = [StoredKey(host, "(the token's own)", token_key)]
    for path in sorted(token.glob("*.object")):
        attributes = _attributes(path)
        if path.name != "token.object" and attributes[_CLASS] in (_PRIVATE, _SECRET):
            label = _decrypted(attributes[_LABEL], token_key).decode()
            value = _decrypted(attributes[_VALUE], token_key).rjust(32, b"\0")
            keys.append(StoredKey(host, label, value))
    return keys


def _attributes(path: Path) -> dict[int, bytes | int]:
    data = path.read_bytes()
    found: dict[int, bytes | int] = {}
    at = 8
    while at < len(data):
        name, kind = struct.unpack_from(">QQ", data, at)
        at += 16
        if kind == _BOOLEAN:
            found[name] = data[at]
            at += 1
            continue
        (number,) = struct.unpack_from(">Q", data, at)
        at += 8
        if kind == _NUMBER:
            found[name] = number
        elif kind in (_BYTES, _TEMPLATE):
            found[name] = data[at : at + number]
            at += number
        elif kind == _MECHANISMS:
            at += 8 * number
        else:
            raise AssertionError(f"an attribute of a kind not known in {path.name}")
    return found


def _token_key(blob: bytes | int, pin: bytes) -> bytes:
    assert isinstance(blob, bytes)
    salt, rest = blob[:8], blob[8:]
    key = hashlib.sha256(salt + pin).digest()
    for _ in range(_ITERATIONS + salt[-1] - 1):
        key = hashlib.sha256(key).digest()
    plain = _decrypted(rest, key)
    assert plain[:3] == _MAGIC, "the PIN is another"
    return plain[3:]


def _decrypted(data: bytes | int, key: bytes) -> bytes:
    assert isinstance(data, bytes)
    decryptor = Cipher(algorithms.AES(key), modes.CBC(data[:16])).decryptor()
    plain = decryptor.update(data[16:]) + decryptor.finalize()
    unpadder = padding.PKCS7(128).unpadder()
    return unpadder.update(plain) + unpadder.finalize()
