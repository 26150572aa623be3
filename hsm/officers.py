"""The officers of key ceremonies: each holds a share, sealed under a passphrase of their own."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from hsm.secret_sharing import KEY_BYTES, Share
from hsm.token_making import write_secret
from juki.domain.errors import JukiError, Reason

SHORTEST_PASSPHRASE = 12
"""Characters of a new passphrase."""
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_SALT_BYTES = 16
_NONCE_BYTES = 12
_HIGHEST_COST = 2**20
"""1 GiB of memory: a share's file that asks for more has been tampered with."""

PERSON_COST = 2**17
"""scrypt's N for what a person remembers: 128 MiB, some tenths of a second (RFC 7914)."""
GENERATED_COST = 2**14
"""scrypt's N for a generated passphrase of 256 bits, which nobody guesses at any cost."""

Passphrases = Callable[[str, bool], str | None]
"""Asked for an officer's passphrase by name, and whether it is a new one; None: not present."""


@dataclass(frozen=True)
class Officers:
    """Who may open the ceremony's tokens together: any `threshold` of `names`."""

    threshold: int
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        fits = all(_NAME.fullmatch(name) for name in self.names)
        if not fits or len(set(self.names)) != len(self.names):
            raise JukiError(
                Reason.CONFIGURATION_INVALID,
                "officers have different names of small letters, digits and hyphens",
            )
        if not 1 <= self.threshold <= len(self.names) <= 255:
            raise JukiError(
                Reason.CONFIGURATION_INVALID, "the threshold is at least 1 and at most all officers"
            )

    def are_same(self, others: Officers) -> bool:
        """Whether the same people hold as many shares of the same threshold."""
        return (self.threshold, set(self.names)) == (others.threshold, set(others.names))


def share_file(folder: Path, officer: str, sharing: str) -> Path:
    """Where an officer's sealed share is kept; a share of another sharing is another file."""
    return folder / f"{officer}.{sharing[:8]}.share.json"


def seal_share(
    folder: Path, officer: str, passphrase: str, share: Share, *, sharing: str, cost: int
) -> None:
    """Write an officer's share, sealed under scrypt(passphrase) with AES-256-GCM.

    `sharing` names the sharing it belongs to: shares of two sharings never mix. Raises
    CONFIGURATION_INVALID for a passphrase that is too short.
    """
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise JukiError(
            Reason.CONFIGURATION_INVALID,
            f"a passphrase has at least {SHORTEST_PASSPHRASE} characters",
        )
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    key = AESGCM(_derived(passphrase, salt, cost))
    sealed = key.encrypt(nonce, share.value, _binding(officer, share.number, sharing))
    values = {
        "officer": officer,
        "number": share.number,
        "sharing": sharing,
        "scrypt_n": cost,
        "salt": salt.hex(),
        "nonce": nonce.hex(),
        "sealed": sealed.hex(),
    }
    write_secret(share_file(folder, officer, sharing), json.dumps(values, indent=1) + "\n")


def open_share(folder: Path, officer: str, passphrase: str, sharing: str) -> Share:
    """An officer's share.

    Raises KEY_USE_NOT_PERMITTED for a wrong passphrase, CONFIGURATION_INVALID for a share that is
    not there, cannot be read or belongs to another sharing.
    """
    try:
        values = json.loads(share_file(folder, officer, sharing).read_text("ascii"))
        number, of, cost = int(values["number"]), str(values["sharing"]), int(values["scrypt_n"])
        salt, nonce, sealed = (bytes.fromhex(values[key]) for key in ("salt", "nonce", "sealed"))
        if not 2 <= cost <= _HIGHEST_COST or cost & (cost - 1) or len(nonce) != _NONCE_BYTES:
            raise ValueError
    except FileNotFoundError:
        raise JukiError(
            Reason.CONFIGURATION_INVALID,
            f"{folder} holds no share of officer {officer!r} in these tokens",
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise JukiError(
            Reason.CONFIGURATION_INVALID, f"the share of officer {officer!r} cannot be read"
        ) from None
    if of != sharing:
        raise JukiError(
            Reason.CONFIGURATION_INVALID, f"the share of officer {officer!r} is of other tokens"
        )
    key = AESGCM(_derived(passphrase, salt, cost))
    try:
        return Share(number, key.decrypt(nonce, sealed, _binding(officer, number, sharing)))
    except InvalidTag:
        raise JukiError(
            Reason.KEY_USE_NOT_PERMITTED,
            f"the passphrase of officer {officer!r} is wrong, or the share was changed",
        ) from None


def passphrases_in(folder: Path) -> Passphrases:
    """Passphrases from files named for the officers; raises CONFIGURATION_INVALID where open.

    Only the owner may read such a file; an officer without one is not present.
    """

    def read(officer: str, _: bool) -> str | None:
        file = folder / officer
        try:
            mode, text = file.stat().st_mode, file.read_text("utf-8")
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            raise JukiError(
                Reason.CONFIGURATION_INVALID, f"the passphrase file {file} cannot be read"
            ) from None
        if mode & 0o077:
            raise JukiError(Reason.CONFIGURATION_INVALID, f"others than its owner may read {file}")
        return text.rstrip("\r\n")

    return read


def _derived(passphrase: str, salt: bytes, cost: int) -> bytes:
    return Scrypt(salt=salt, length=KEY_BYTES, n=cost, r=8, p=1).derive(passphrase.encode())


def _binding(officer: str, number: int, sharing: str) -> bytes:
    return json.dumps(["juki officer share v1", officer, number, sharing]).encode()
