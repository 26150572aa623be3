"""The PINs of the tokens that only ceremonies open, sealed under a key which officers share.

The key exists in memory during a ceremony only. Opening one takes `threshold` officers; what they
join is checked against this file before any token sees a PIN, since a token counts wrong ones.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hsm.officers import PERSON_COST, Officers, Passphrases, open_share, seal_share
from hsm.secret_sharing import KEY_BYTES, Share, join_key, split_key
from hsm.token_making import write_secret
from juki.domain.errors import JukiError, Reason

_NONCE_BYTES = 12
_CHECK = "check"
"""Name of an entry that holds nothing and proves the key."""


@dataclass(frozen=True)
class OfficersTable:
    """The officers at the table: who there are, where their shares lie, who answers when asked."""

    officers: Officers
    folder: Path
    passphrases: Passphrases
    cost: int = PERSON_COST
    """scrypt's N for new shares."""


class SealedPins:
    """The sealed PINs, open; see `open_sealed_pins`."""

    def __init__(self, file: Path, key: bytes, values: dict[str, object], present: tuple[str, ...]):
        self._file = file
        self._key = AESGCM(key)
        self._values = values
        self.present = present
        """Officers who opened it."""

    def get(self, name: str) -> str:
        """A PIN; raises TAMPERING_DETECTED, or CONFIGURATION_INVALID where it is not kept."""
        entry = self._entries().get(name)
        if entry is None:
            raise JukiError(Reason.CONFIGURATION_INVALID, f"no PIN is kept for {name!r}")
        try:
            sealed = bytes.fromhex(entry)
            nonce, text = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return self._key.decrypt(nonce, text, self._binding(name)).decode("ascii")
        except (ValueError, InvalidTag):
            raise JukiError(
                Reason.TAMPERING_DETECTED, f"the sealed PIN of {name!r} was changed"
            ) from None

    def put(self, name: str, pin: str) -> None:
        """Keep a PIN; it is in the file when this returns."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._key.encrypt(nonce, pin.encode("ascii"), self._binding(name))
        self._entries()[name] = sealed.hex()
        unfinished = self._file.with_name(self._file.name + ".new")
        write_secret(unfinished, json.dumps(self._values, indent=1) + "\n")
        unfinished.rename(self._file)

    def _entries(self) -> dict[str, str]:
        entries = self._values["pins"]
        assert isinstance(entries, dict)
        return entries

    def _binding(self, name: str) -> bytes:
        return json.dumps(["juki ceremony PIN v1", self._values["sharing"], name]).encode()


@contextmanager
def open_sealed_pins(
    file: Path,
    table: OfficersTable,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Iterator[SealedPins]:
    """Open the sealed PINs with those officers who answer, or make them with all of them.

    Raises KEY_USE_NOT_PERMITTED where too few answer or a passphrase is wrong, and
    CONFIGURATION_INVALID where the officers of the ceremony are not those who hold the shares.
    """
    pins = _opened(file, table) if file.exists() else _new(file, table, random_bytes)
    try:
        yield pins
    finally:
        del pins._key


def _new(file: Path, table: OfficersTable, random_bytes: Callable[[int], bytes]) -> SealedPins:
    """Every officer gets a share; last comes the file, which says that all of them have one."""
    officers = table.officers
    passphrases = {name: table.passphrases(name, True) for name in officers.names}
    absent = [name for name, passphrase in passphrases.items() if passphrase is None]
    if absent:
        raise JukiError(
            Reason.KEY_USE_NOT_PERMITTED,
            f"the first ceremony needs every officer; absent: {', '.join(absent)}",
        )
    key, sharing = random_bytes(KEY_BYTES), random_bytes(16).hex()
    table.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    shares = split_key(key, officers.threshold, len(officers.names))
    for (name, passphrase), share in zip(passphrases.items(), shares, strict=True):
        seal_share(table.folder, name, passphrase or "", share, sharing=sharing, cost=table.cost)
    values: dict[str, object] = {
        "sharing": sharing,
        "threshold": officers.threshold,
        "officers": list(officers.names),
        "pins": {},
    }
    pins = SealedPins(file, key, values, officers.names)
    pins.put(_CHECK, "")
    return pins


def _opened(file: Path, table: OfficersTable) -> SealedPins:
    officers = table.officers
    try:
        values = json.loads(file.read_text("ascii"))
        sharing, threshold = str(values["sharing"]), int(values["threshold"])
        names = tuple(values["officers"])
        if not isinstance(values["pins"], dict):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError):
        raise JukiError(
            Reason.CONFIGURATION_INVALID, f"the sealed PINs {file.name} cannot be read"
        ) from None
    if (threshold, set(names)) != (officers.threshold, set(officers.names)):
        raise JukiError(
            Reason.CONFIGURATION_INVALID,
            "the officers of the ceremony file are not those who hold the shares",
        )
    shares: list[Share] = []
    present: list[str] = []
    for name in officers.names:
        passphrase = table.passphrases(name, False)
        if passphrase is not None:
            shares.append(open_share(table.folder, name, passphrase, sharing))
            present.append(name)
    pins = SealedPins(file, join_key(shares, threshold), values, tuple(present))
    pins.get(_CHECK)
    return pins
