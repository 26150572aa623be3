"""Sealing of personal columns at rest, and keyed blind indexes for equality look-ups.

A sealed value is bound to its table, column, row and version by the associated data, so that a
value moved to another place does not open. Layout: format (1 byte), key version (4), nonce (12),
AES-256-GCM ciphertext with its tag (16).
"""

from __future__ import annotations

import hmac
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from juki.domain.errors import JukiError, Reason

_FORMAT: Final = 1
_HEADER: Final = 5
_NONCE: Final = 12
_TAG: Final = 16
_BODY: Final = _HEADER + _NONCE
_HASH: Final = 16
BLIND_LENGTH: Final = 1 + _HASH
"""Bytes of a blind index: the version of the index key (1), and 128 bits of HMAC-SHA256,
collision-free for any nation."""


Element = Callable[[bytes], int]
"""What a row, told by its message, counts for in a register root: 256 bits."""


class SealBudget(Protocol):
    """How often a data key may still seal: random nonces must not meet (NIST SP 800-38D, 8.3)."""

    def spend(self, version: int) -> None:
        """Counts one seal under this version; raises STORE_UNAVAILABLE when none is left."""


class Sealer:
    """Seals and opens column values under data keys, held in memory only."""

    def __init__(
        self,
        data_key: bytes,
        key_version: int = 1,
        *,
        older: Mapping[int, bytes] | None = None,
        index_keys: Sequence[bytes] = (),
        root_key: bytes = b"",
        root_version: int = 1,
        find: Callable[[int], bytes | None] = lambda version: None,
        budget: SealBudget | None = None,
    ) -> None:
        """Sub-keys derive from `data_key` (32 bytes, unwrapped by the token) after RFC 5869.

        `older` are keys that still open. `index_keys` are those of blind indexes, oldest first, and
        `root_key` that of the register root; `data_key` stands in for them where they are not
        given. `find` looks up a version that is not known yet.
        """
        self._aeads = {
            version: AESGCM(_derive(key, b"juki.store.seal"))
            for version, key in {**(older or {}), key_version: data_key}.items()
        }
        self._current = (self._aeads[key_version], key_version, _prefix(key_version))
        self._blind_keys: tuple[bytes, ...] = ()
        self.use_index(index_keys or (data_key,))
        self._root = (root_version, element_of(root_key or data_key))
        self._find = find
        self._budget = budget
        self._lock = threading.Lock()
        self.on_tampering: Callable[[], None] = lambda: None
        """Told each time that something does not open."""

    @property
    def key_version(self) -> int:
        """The version of the data key that seals."""
        return self._current[1]

    def use(self, key_version: int, data_key: bytes) -> None:
        """Seals under this key from now on; what is sealed under older ones still opens."""
        aead = self._know(key_version, data_key)
        with self._lock:
            if key_version > self._current[1]:
                self._current = (aead, key_version, _prefix(key_version))

    @property
    def index_version(self) -> int:
        """The version of the index key under which `blind` blinds."""
        return len(self._blind_keys)

    def use_index(self, index_keys: Sequence[bytes]) -> None:
        """Blinds under these keys from now on, oldest first; see `blind`."""
        self._blind_keys = tuple(_derive(key, b"juki.store.blind") for key in index_keys)

    def seal(self, plaintext: bytes, place: bytes) -> bytes:
        """`plaintext` sealed for `place`, for example b"notification.envelope|221309|1|42"."""
        aead, version, prefix = self._current
        if self._budget is not None:
            self._budget.spend(version)
        nonce = os.urandom(_NONCE)
        return prefix + nonce + aead.encrypt(nonce, plaintext, prefix + place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """What `seal` was given.

        Raises:
            JukiError: TAMPERING_DETECTED when the value was altered, cut off or moved.
        """
        prefix = sealed[:_HEADER]
        if len(sealed) < _BODY + _TAG or prefix[0] != _FORMAT:
            raise self.tampering("a sealed value has an unknown header")
        aead = self._aeads.get(int.from_bytes(prefix[1:], "big")) or self._look_up(prefix)
        try:
            return aead.decrypt(sealed[_HEADER:_BODY], sealed[_BODY:], prefix + place)
        except (InvalidTag, ValueError):
            raise self.tampering("a sealed value does not open in its place") from None

    def blind(self, kind: str, value: str) -> bytes:
        """Blind index of `value` among values of `kind`: 17 bytes, equal only for equal values.

        Under several index keys one blinds what the one before gave: so a table is re-keyed row by
        row without the values, which some tables do not hold. The first byte is their number.
        """
        keys = self._blind_keys
        blinded = hmac.digest(keys[0], f"{kind}\0{value}".encode(), "sha256")[:_HASH]
        for key in keys[1:]:
            blinded = _blind_again(key, blinded)
        return bytes([len(keys)]) + blinded

    @property
    def root_version(self) -> int:
        """The version of the register root's key that `element` goes by."""
        return self._root[0]

    def use_root(self, version: int, root_key: bytes) -> None:
        """Goes by this key of the register root from now on."""
        self._root = (version, element_of(root_key))

    def element(self, root_version: int) -> Element:
        """What a row counts for in a register root whose key has this version.

        Raises:
            JukiError: STORE_UNAVAILABLE where the key is another here, just rotated.
        """
        version, element = self._root
        if version != root_version:
            raise JukiError(
                Reason.STORE_UNAVAILABLE, "the register's root is under another key; try again"
            )
        return element

    def tampering(self, what: str) -> JukiError:
        """The error to raise, which is told to `on_tampering`."""
        self.on_tampering()
        return JukiError(Reason.TAMPERING_DETECTED, what)

    def _look_up(self, prefix: bytes) -> AESGCM:
        version = int.from_bytes(prefix[1:], "big")
        key = self._find(version)
        if key is None:
            raise self.tampering("a sealed value has an unknown header")
        return self._know(version, key)

    def _know(self, version: int, data_key: bytes) -> AESGCM:
        aead = AESGCM(_derive(data_key, b"juki.store.seal"))
        with self._lock:
            self._aeads = {**self._aeads, version: aead}
        return aead


def element_of(root_key: bytes) -> Element:
    """HMAC-SHA256 under what derives from a key of the register root (32 bytes)."""
    derived = _derive(root_key, b"juki.store.root")

    def element(message: bytes) -> int:
        return int.from_bytes(hmac.digest(derived, message, "sha256"), "big")

    return element


def seal_id(sealed: bytes) -> bytes:
    """What tells one sealing from every other, and all that it is bound to: 33 bytes.

    Key version, nonce and authentication tag; the tag covers ciphertext and associated data.
    """
    return sealed[:_BODY] + sealed[-_TAG:]


def sealed_under(sealed: bytes) -> int:
    """The version of the data key of a sealed value."""
    return int.from_bytes(sealed[1:_HEADER], "big")


def reblinder(index_key: bytes, version: int) -> Callable[[bytes], bytes]:
    """Turns blind indexes of the version before into those under `index_key` (32 bytes) too."""
    key = _derive(index_key, b"juki.store.blind")

    def reblind(blind: bytes) -> bytes:
        if not blind:
            # What is not known has no index.
            return blind
        if blind[0] != version - 1:
            raise JukiError(Reason.TAMPERING_DETECTED, "a blind index of another version")
        return bytes([version]) + _blind_again(key, blind[1:])

    return reblind


def _blind_again(key: bytes, blinded: bytes) -> bytes:
    return hmac.digest(key, b"again\0" + blinded, "sha256")[:_HASH]


def _prefix(key_version: int) -> bytes:
    return bytes([_FORMAT]) + key_version.to_bytes(4, "big")


def _derive(data_key: bytes, label: bytes) -> bytes:
    return HKDFExpand(algorithm=hashes.SHA256(), length=32, info=label).derive(data_key)
