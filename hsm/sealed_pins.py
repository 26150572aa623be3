"""The PINs of the tokens that only ceremonies open, sealed under a key which officers share.

The key exists in memory during a ceremony only. Opening one takes `threshold` officers; what they
join is checked against this file before any token sees a PIN, since a token counts wrong ones.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hsm.officers import (
    PERSON_COST,
    Officers,
    Passphrases,
    open_share,
    seal_share,
    share_file,
)
from hsm.secret_sharing import KEY_BYTES, Share, join_key, split_key
from hsm.token_making import write_secret
from juki.domain.errors import JukiError, Reason

_Result = TypeVar("_Result")
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
    folders: Mapping[str, Path] = field(default_factory=dict)
    """Where officers keep their shares who do not keep them in `folder`: a stick of their own."""
    attempts: int = 1
    """How often an officer may try."""
    refused: Callable[[JukiError], None] = lambda _: None
    """Told why before an officer tries again."""

    def folder_of(self, officer: str) -> Path:
        """Where an officer's share is kept."""
        return self.folders.get(officer, self.folder)

    def share_of(self, officer: str, sharing: str) -> Share | None:
        """An officer's share, None where the officer is not present; raises as `open_share`."""
        folder = self.folder_of(officer)
        return self._try(officer, False, lambda said: open_share(folder, officer, said, sharing))

    def keep_share(self, officer: str, share: Share, sharing: str) -> bool:
        """Have an officer choose a passphrase and seal a new share; False where not present.

        Raises CONFIGURATION_INVALID as `seal_share` does, and for a directory of the officer's own
        that is not there or has another's share of this sharing: a stick that was not changed.
        """

        def keep(passphrase: str) -> bool:
            folder = self.folder_of(officer)
            if officer in self.folders:
                self._refuse_strange_folder(officer, sharing)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            seal_share(folder, officer, passphrase, share, sharing=sharing, cost=self.cost)
            return True

        return self._try(officer, True, keep) or False

    def _try(self, officer: str, is_new: bool, use: Callable[[str], _Result]) -> _Result | None:
        for left in reversed(range(self.attempts)):
            passphrase = self.passphrases(officer, is_new)
            if passphrase is None:
                break
            try:
                return use(passphrase)
            except JukiError as error:
                if not left:
                    raise
                self.refused(error)
        return None

    def _refuse_strange_folder(self, officer: str, sharing: str) -> None:
        folder = self.folder_of(officer)
        if not folder.is_dir():  # made here, it would lie on this machine's disk
            raise JukiError(
                Reason.CONFIGURATION_INVALID,
                f"{folder}, where officer {officer!r} keeps a share, is not there",
            )
        own = share_file(folder, officer, sharing)
        if any(file != own for file in folder.glob(share_file(folder, "*", sharing).name)):
            raise JukiError(
                Reason.CONFIGURATION_INVALID,
                f"{folder} holds another officer's share: officer {officer!r} needs another stick",
            )


class SealedPins:
    """The sealed PINs, open; see `open_sealed_pins`."""

    def __init__(self, file: Path, key: bytes, values: dict[str, Any], present: tuple[str, ...]):
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

    def names(self) -> tuple[str, ...]:
        """Whose PINs are kept."""
        return tuple(name for name in self._entries() if name != _CHECK)

    def put(self, name: str, pin: str) -> None:
        """Keep a PIN; it is in the file when this returns."""
        self._seal(name, pin)
        self._write()

    def move(self, name: str, to: str) -> None:
        """Keep a PIN under another name, in the place of what was kept there."""
        self._seal(to, self.get(name))
        self.remove(name)

    def remove(self, name: str) -> None:
        """Keep a PIN no longer."""
        del self._entries()[name]
        self._write()

    def _seal(self, name: str, pin: str) -> None:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._key.encrypt(nonce, pin.encode("ascii"), self._binding(name))
        self._entries()[name] = sealed.hex()

    def _write(self) -> None:
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
    pins = _opened(file, table) if file.exists() else _new(file, table, random_bytes, {})
    try:
        yield pins
    finally:
        del pins._key


@contextmanager
def share_anew(
    pins: SealedPins,
    table: OfficersTable,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Iterator[SealedPins]:
    """Seal the same PINs under a new key with new shares for `table`; all old shares are void.

    The old ones open the file until it is replaced, in one step, when every new officer has a
    share. Raises KEY_USE_NOT_PERMITTED where a new officer is absent.
    """
    anew = _new(pins._file, table, random_bytes, {name: pins.get(name) for name in pins.names()})
    try:
        yield anew
    finally:
        del anew._key


def holders_of(file: Path) -> Officers:
    """Who holds shares of the sealed PINs; raises CONFIGURATION_INVALID."""
    values = _read(file)
    return Officers(values["threshold"], tuple(values["officers"]))


def void_shares(file: Path, table: OfficersTable) -> None:
    """Remove from these officers' directories all shares but those that open the file."""
    sharing = str(_read(file)["sharing"])
    for name in table.officers.names:
        folder = table.folder_of(name)
        for share in folder.glob(f"{name}.*.share.json"):
            if share != share_file(folder, name, sharing):
                share.unlink()


def _new(
    file: Path,
    table: OfficersTable,
    random_bytes: Callable[[int], bytes],
    kept_pins: Mapping[str, str],
) -> SealedPins:
    """Every officer gets a share; last comes the file, which says that all of them have one."""
    officers = table.officers
    key, sharing = random_bytes(KEY_BYTES), random_bytes(16).hex()
    shares = split_key(key, officers.threshold, len(officers.names))
    kept = {
        name: table.keep_share(name, share, sharing)
        for name, share in zip(officers.names, shares, strict=True)
    }
    absent = [name for name, is_kept in kept.items() if not is_kept]
    if absent:
        for name in officers.names:
            share_file(table.folder_of(name), name, sharing).unlink(missing_ok=True)
        raise JukiError(
            Reason.KEY_USE_NOT_PERMITTED,
            f"who gets a new share has to be present; absent: {', '.join(absent)}",
        )
    values: dict[str, Any] = {
        "sharing": sharing,
        "threshold": officers.threshold,
        "officers": list(officers.names),
        "pins": {},
    }
    pins = SealedPins(file, key, values, officers.names)
    for name, pin in kept_pins.items():
        pins._seal(name, pin)
    pins.put(_CHECK, "")
    return pins


def _opened(file: Path, table: OfficersTable) -> SealedPins:
    officers = table.officers
    values = _read(file)
    sharing, threshold = values["sharing"], values["threshold"]
    if not officers.are_same(holders_of(file)):
        raise JukiError(
            Reason.CONFIGURATION_INVALID,
            "the officers of the ceremony file are not those who hold the shares: "
            "`juki hsm ceremony reshare` changes officers",
        )
    shares: list[Share] = []
    present: list[str] = []
    for name in officers.names:
        if len(shares) == threshold:
            break  # nobody types a passphrase that is not needed
        share = table.share_of(name, sharing)
        if share is not None:
            shares.append(share)
            present.append(name)
    pins = SealedPins(file, join_key(shares, threshold), values, tuple(present))
    pins.get(_CHECK)
    return pins


def _read(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text("ascii"))
        shapes = {"sharing": str, "threshold": int, "officers": list, "pins": dict}
        if not all(isinstance(values[name], shape) for name, shape in shapes.items()):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError):
        raise JukiError(
            Reason.CONFIGURATION_INVALID, f"the sealed PINs {file.name} cannot be read"
        ) from None
    assert isinstance(values, dict)
    return values
