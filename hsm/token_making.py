"""Making a SoftHSM token: its directory, its configuration, its PINs, never in arguments."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pkcs11.exceptions import PinIncorrect, PinInvalid, PinLenRange

from hsm.token import TokenLocation, load_module
from juki.domain.errors import JukiError, Reason

PIN_BYTES = 15
"""Randomness of a PIN: 30 hexadecimal digits. libp11, nginx's way to a token, reads 31 at most."""
_LABEL_BYTES = 32
"""A token's label is padded with blanks (PKCS#11 section 5.5, C_InitToken)."""


def make_softhsm_token(location: TokenLocation, pin: str, security_officer_pin: str) -> None:
    """Make the token that `location` describes, beside its configuration file, and set its PIN.

    The PIN is written nowhere: whoever asks keeps it.
    """
    configuration = location.softhsm_configuration
    if configuration is None:
        raise JukiError(Reason.CONFIGURATION_INVALID, "a SoftHSM token needs a configuration file")
    tokens = configuration.parent / "tokens"
    tokens.mkdir(mode=0o700, exist_ok=True)
    configuration.write_text(
        f"directories.tokendir = {tokens}\n"
        "objectstore.backend = file\n"
        "log.level = ERROR\n"
        "slots.removable = false\n",
        encoding="utf-8",
    )
    library = load_module(location.module, configuration)
    try:
        slot = library.get_slots(token_present=True)[-1]
        _initialise(location, slot.slot_id, security_officer_pin)
        token = library.get_token(token_label=location.label)
        session: Any = token.open(rw=True, so_pin=security_officer_pin)
        try:
            session.init_pin(pin)
        finally:
            session.close()
    finally:
        library.finalize()


def change_pin(location: TokenLocation, old: str, new: str, *, is_officer: bool) -> None:
    """Change the user's PIN of a token, or its security officer's; raises `PKCS11Error`."""
    with _logged_in(location, old, is_officer=is_officer) as session:
        session.set_pin(old, new)


def pin_is_right(location: TokenLocation, pin: str, *, is_officer: bool) -> bool:
    """Whether a token takes the PIN: a wrong one counts as an attempt."""
    try:
        with _logged_in(location, pin, is_officer=is_officer):
            return True
    except (PinIncorrect, PinInvalid, PinLenRange):
        return False


@contextmanager
def _logged_in(location: TokenLocation, pin: str, *, is_officer: bool) -> Iterator[Any]:
    library = load_module(location.module, location.softhsm_configuration)
    try:
        token = library.get_token(token_label=location.label)
        who = {"so_pin" if is_officer else "user_pin": pin}
        session = token.open(rw=True, **who)
        try:
            yield session
        finally:
            session.close()
    finally:
        library.finalize()


def write_secret(file: Path, secret: str) -> None:
    """Write a file that only its owner may read, from its first moment."""
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(secret, encoding="ascii")


def _initialise(location: TokenLocation, slot: int, security_officer_pin: str) -> None:
    """C_InitToken, which python-pkcs11 does not offer, on the library already initialised."""
    function = ctypes.CDLL(str(location.module)).C_InitToken
    function.argtypes = (ctypes.c_ulong, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
    function.restype = ctypes.c_ulong
    pin = security_officer_pin.encode("ascii")
    label = location.label.encode("ascii").ljust(_LABEL_BYTES)
    result = function(slot, pin, len(pin), label)
    if result != 0:
        raise JukiError(
            Reason.CONFIGURATION_INVALID, f"the token cannot be initialised (code {result:#x})"
        )
