"""The PKCS#11 token of a host: the only module that calls the library, from one thread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pkcs11
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pkcs11 import KDF, Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass, TokenFlag
from pkcs11.exceptions import (
    DeviceError,
    DeviceRemoved,
    EncryptedDataInvalid,
    EncryptedDataLenRange,
    GeneralError,
    KeyHandleInvalid,
    MultipleObjectsReturned,
    MultipleTokensReturned,
    NoSuchKey,
    NoSuchToken,
    ObjectHandleInvalid,
    PinExpired,
    PinIncorrect,
    PinInvalid,
    PinLenRange,
    PinLocked,
    PKCS11Error,
    SessionClosed,
    SessionHandleInvalid,
    SlotIDInvalid,
    TokenNotPresent,
    TokenNotRecognised,
    UserNotLoggedIn,
)
from pkcs11.mechanisms import GCMParams
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters

from hsm.pin_guard import PinGuard
from hsm.token_keys import TokenKey
from hsm.wiping import taken
from juki.custody.port import DIGEST_BYTES
from juki.domain.errors import JukiError, Reason

DATA_KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16
_DATA_KEY_BINDING = b"juki data key v1"
"""Additional data of the wrapping: nothing else encrypted under the key unwraps as a data key."""

MECHANISM_TABLE = Path(__file__).with_name("mechanisms.tsv")
"""What a module must offer, with the operation that fails without it."""

TOKEN_LOST = (
    DeviceError,
    DeviceRemoved,
    KeyHandleInvalid,
    ObjectHandleInvalid,
    SessionClosed,
    SessionHandleInvalid,
    SlotIDInvalid,
    TokenNotPresent,
    TokenNotRecognised,
    UserNotLoggedIn,
)
"""Failures after which the session is of no more use: only a new log-in can help."""


class TokenNotReady(JukiError):  # noqa: N818 - named for the state, not the failure
    """The token cannot be opened now, but may be later with nothing changed here: it is absent."""


class PinNotUsable(TokenNotReady):
    """The token's PIN is wrong, locked or one attempt from it: an officer has to act."""


@dataclass(frozen=True)
class TokenLocation:
    """Where a token is and how to open it; the PIN stays in its file."""

    module: Path
    """The PKCS#11 library of the HSM's maker."""
    label: str
    pin_file: Path
    softhsm_configuration: Path | None = None
    """SoftHSM's own configuration; read by the library when it is initialised."""
    serial: str | None = None
    """The token's serial number; two tokens may bear one label, no two one number."""


class Token:
    """An open token: keys by label. Not safe for threads; see `open_token`."""

    def __init__(self, token: Any, session: Any) -> None:
        self._session = session
        self._keys: dict[tuple[str, ObjectClass], Any] = {}
        self.label: str = token.label
        self.serial: str = token.serial.decode("ascii")
        self.manufacturer: str = token.manufacturer_id
        self.model: str = token.model

    def has_key(self, label: str) -> bool:
        """Whether a private or secret key of this label is in the token."""
        return any(
            True
            for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY)
            for _ in self._session.get_objects({Attribute.CLASS: kind, Attribute.LABEL: label})
        )

    def generate_signing_key(self, label: str) -> None:
        """Generate a P-256 key pair whose private half can neither leave nor be read."""
        self._generate_p256(label, MechanismFlag.SIGN | MechanismFlag.VERIFY)

    def generate_agreement_key(self, label: str) -> None:
        """Generate a P-256 key pair that only agrees on secrets; its private half never leaves."""
        self._generate_p256(label, MechanismFlag.DERIVE)

    def _generate_p256(self, label: str, capabilities: MechanismFlag) -> None:
        curve = self._session.create_domain_parameters(
            KeyType.EC,
            {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")},
            local=True,
        )
        curve.generate_keypair(
            store=True,
            label=label,
            id=label.encode(),
            capabilities=capabilities,
            private_template=_NEVER_LEAVES,
        )

    def generate_wrapping_key(self, label: str) -> None:
        """Generate an AES-256 key that encrypts and decrypts, and can never leave."""
        self._session.generate_key(
            KeyType.AES,
            256,
            store=True,
            label=label,
            id=label.encode(),
            capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
            template=_NEVER_LEAVES,
        )

    def generate_mac_key(self, label: str) -> None:
        """Generate a 32-byte secret for HMAC-SHA256 that can never leave."""
        self._session.generate_key(
            KeyType.GENERIC_SECRET,
            256,
            store=True,
            label=label,
            id=label.encode(),
            capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
            template=_NEVER_LEAVES,
        )

    def destroy_key(self, label: str) -> None:
        """Destroy the private or secret key of a label, with its public half."""
        for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY, ObjectClass.SECRET_KEY):
            for found in list(
                self._session.get_objects({Attribute.CLASS: kind, Attribute.LABEL: label})
            ):
                found.destroy()
            self._keys.pop((label, kind), None)

    def refuse_extractable(self, label: str) -> None:
        """Raise CONFIGURATION_INVALID where the key is missing, or could or ever could leave."""
        try:
            key = self._private_or_secret(label)
        except NoSuchKey:
            raise JukiError(
                Reason.CONFIGURATION_INVALID, f"the token holds no key labelled {label!r}"
            ) from None
        except MultipleObjectsReturned:
            raise JukiError(
                Reason.CONFIGURATION_INVALID, f"the token holds several keys labelled {label!r}"
            ) from None
        held = (
            key[Attribute.SENSITIVE]
            and key[Attribute.ALWAYS_SENSITIVE]
            and not key[Attribute.EXTRACTABLE]
            and key[Attribute.NEVER_EXTRACTABLE]
        )
        if not held:
            raise JukiError(Reason.CONFIGURATION_INVALID, f"the key {label!r} is extractable")

    def public_key(self, label: str) -> ec.EllipticCurvePublicKey:
        """The public half of a P-256 key."""
        key = self._key(label, ObjectClass.PUBLIC_KEY)
        loaded = serialization.load_der_public_key(encode_ec_public_key(key))
        if not isinstance(loaded, ec.EllipticCurvePublicKey):
            raise JukiError(Reason.CONFIGURATION_INVALID, f"the key {label!r} is not on P-256")
        return loaded

    def signing_key(self, label: str) -> TokenKey:
        """The key as a `cryptography` private key, for the builders of certificates."""
        return TokenKey(self.public_key(label), lambda digest: self.sign(label, digest))

    def sign(self, label: str, digest: bytes) -> bytes:
        """The raw signature (r || s, 64 bytes) of a SHA-256 digest."""
        if len(digest) != DIGEST_BYTES:
            raise JukiError(Reason.INVALID_FIELD, "a digest to sign has 32 bytes")
        key = self._key(label, ObjectClass.PRIVATE_KEY)
        return bytes(key.sign(digest, mechanism=Mechanism.ECDSA))

    def mac(self, label: str, message: bytes) -> bytes:
        """HMAC-SHA256 of the message (32 bytes)."""
        key = self._key(label, ObjectClass.SECRET_KEY)
        return bytes(key.sign(message, mechanism=Mechanism.SHA256_HMAC))

    def random(self, length: int) -> bytes:
        """Random bytes from the token's generator."""
        return bytes(self._session.generate_random(length * 8))

    def new_data_key(self, label: str) -> tuple[bytes, bytes]:
        """A new AES-256 key in the clear, and wrapped: nonce || ciphertext || tag (60 bytes)."""
        plaintext = self.random(DATA_KEY_BYTES)
        return plaintext, self.wrap_data_key(label, plaintext)

    def wrap_data_key(self, label: str, plaintext: bytes) -> bytes:
        """A data key wrapped: nonce || ciphertext || tag (60 bytes)."""
        nonce = self.random(_NONCE_BYTES)
        key = self._key(label, ObjectClass.SECRET_KEY)
        return nonce + bytes(key.encrypt(plaintext, **_gcm(nonce)))

    def unwrap_data_key(self, label: str, wrapped: bytes) -> bytes:
        """The data key of `new_data_key`; raises TAMPERING_DETECTED for anything else."""
        if len(wrapped) != _NONCE_BYTES + DATA_KEY_BYTES + _TAG_BYTES:
            raise JukiError(Reason.INVALID_FIELD, "a wrapped data key has 60 bytes")
        key = self._key(label, ObjectClass.SECRET_KEY)
        try:
            sealed = wrapped[_NONCE_BYTES:]
            return bytes(key.decrypt(sealed, **_gcm(wrapped[:_NONCE_BYTES])))
        except (EncryptedDataInvalid, EncryptedDataLenRange, GeneralError):
            # SoftHSM answers CKR_GENERAL_ERROR for a wrong tag.
            raise JukiError(
                Reason.TAMPERING_DETECTED, "a data key was not wrapped by this token"
            ) from None

    def agreed_secret(self, label: str, point: bytes) -> bytearray:
        """The ECDH secret (x coordinate, 32 bytes) of the key and a peer's uncompressed point.

        For this process's own use within one operation: the caller wipes it. It is no object of
        the token, not even for a moment after this call. The point was found to be on the curve.
        """
        key = self._key(label, ObjectClass.PRIVATE_KEY)
        derived = key.derive_key(
            KeyType.GENERIC_SECRET,
            256,
            store=False,
            capabilities=MechanismFlag(0),
            mechanism=Mechanism.ECDH1_DERIVE,
            mechanism_param=(KDF.NULL, None, point),
            template=_READ_ONCE,
        )
        try:
            return taken(derived[Attribute.VALUE])
        finally:
            derived.destroy()

    def _private_or_secret(self, label: str) -> Any:
        try:
            return self._key(label, ObjectClass.PRIVATE_KEY)
        except NoSuchKey:
            return self._key(label, ObjectClass.SECRET_KEY)

    def _key(self, label: str, kind: ObjectClass) -> Any:
        key = self._keys.get((label, kind))
        if key is None:
            key = self._session.get_key(object_class=kind, label=label)
            self._keys[(label, kind)] = key
        return key


_NEVER_LEAVES = {
    Attribute.PRIVATE: True,
    Attribute.SENSITIVE: True,
    Attribute.EXTRACTABLE: False,
    Attribute.MODIFIABLE: False,
}
_READ_ONCE = {Attribute.PRIVATE: True, Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}
"""Of a secret agreed on: PKCS#11 knows no HKDF, so that custody must read it."""


def _gcm(nonce: bytes) -> dict[str, Any]:
    return {
        "mechanism": Mechanism.AES_GCM,
        "mechanism_param": GCMParams(nonce, _DATA_KEY_BINDING, _TAG_BYTES * 8),
    }


@contextmanager
def open_token(
    location: TokenLocation,
    *,
    writable: bool = False,
    pin: str | None = None,
    guard: PinGuard | None = None,
) -> Iterator[Token]:
    """Open and log in to a token; raises CONFIGURATION_INVALID with what is wrong.

    That is `TokenNotReady` where the same may succeed later. A ceremony gives the `pin` that its
    officers opened; without it the PIN's file is read, and `guard` says whether it may be tried.

    One token at a time in a process, and only from one thread: the module is initialised without
    locks, and SoftHSM reads its configuration only when it is initialised.
    """
    library = load_module(location.module, location.softhsm_configuration)
    try:
        token = _find(library, location)
        _refuse_missing_mechanisms(token)
        session = _log_in(token, location, pin, guard, writable=writable)
        try:
            yield Token(token, session)
        finally:
            with suppress(PKCS11Error):  # a token lost cannot be logged out of
                session.close()
    finally:
        library.finalize()


def load_module(module: Path, softhsm_configuration: Path | None) -> Any:
    """Load and initialise a PKCS#11 module; raises CONFIGURATION_INVALID."""
    if softhsm_configuration is not None:
        os.environ["SOFTHSM2_CONF"] = str(softhsm_configuration)
    try:
        return pkcs11.lib(str(module))
    except RuntimeError as error:
        # Some modules fail to initialise while their device is away; a file that is no module will
        # never be one.
        kind = TokenNotReady if isinstance(error, PKCS11Error) else JukiError
        raise kind(
            Reason.CONFIGURATION_INVALID, f"the PKCS#11 module {module} cannot be initialised"
        ) from error


def _find(library: Any, location: TokenLocation) -> Any:
    serial = location.serial
    words = f"is labelled {location.label!r}" + (f" with serial number {serial}" if serial else "")
    try:
        return library.get_token(
            token_label=location.label, token_serial=serial.encode("ascii") if serial else None
        )
    except MultipleTokensReturned:
        raise JukiError(
            Reason.CONFIGURATION_INVALID,
            f"more than one token {words}: name the serial number of the right one",
        ) from None
    except NoSuchToken:
        raise TokenNotReady(Reason.CONFIGURATION_INVALID, f"no token {words}") from None


def required_mechanisms() -> dict[Mechanism, str]:
    """The mechanisms of `MECHANISM_TABLE` and what each is for."""
    rows = MECHANISM_TABLE.read_text(encoding="ascii").splitlines()[1:]
    return {Mechanism[name]: purpose for name, purpose in (row.split("\t") for row in rows)}


def _refuse_missing_mechanisms(token: Any) -> None:
    offered = token.slot.get_mechanisms()
    missing = [
        f"{mechanism.name} (to {purpose})"
        for mechanism, purpose in required_mechanisms().items()
        if mechanism not in offered
    ]
    if missing:
        raise JukiError(
            Reason.CONFIGURATION_INVALID, f"the token does not offer {', '.join(missing)}"
        )


def _log_in(
    token: Any,
    location: TokenLocation,
    pin: str | None,
    guard: PinGuard | None,
    *,
    writable: bool,
) -> Any:
    label = location.label
    if pin is None:
        # A ceremony's PIN was checked when its officers opened it: it is no guess.
        pin = _pin_worth_trying(token.flags, location, guard)
    try:
        session = token.open(user_pin=pin, rw=writable)
    except (PinExpired, PinIncorrect, PinInvalid, PinLenRange, PinLocked) as error:
        locked = isinstance(error, PinLocked)
        if guard is not None:
            guard.refused(locked=locked, warned=_warns_now(token))
        does = "has locked its PIN" if locked else "refuses the PIN in its file"
        raise _pin_not_usable(f"the token {label!r} {does}") from None
    if guard is not None:
        guard.accepted()
    return session


def _pin_worth_trying(flags: TokenFlag, location: TokenLocation, guard: PinGuard | None) -> str:
    """The PIN in the file, where no attempt is wasted on it; raises `PinNotUsable`."""
    label = location.label
    if flags & TokenFlag.USER_PIN_LOCKED:
        raise _pin_not_usable(f"the token {label!r} has locked its PIN")
    # The flag outlives this process: no restart, however often, uses up the attempt that is left.
    if flags & TokenFlag.USER_PIN_FINAL_TRY:
        raise _pin_not_usable(
            f"the token {label!r} locks its PIN at one more wrong attempt; "
            "custody leaves that one to its officers"
        )
    if guard is not None and guard.forbids(warned=_warned(flags)):
        raise _pin_not_usable(
            f"the token {label!r} has refused the PIN in its file; custody tries it again when the "
            "file or the token changes"
        )
    try:
        return location.pin_file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        raise _pin_not_usable("the PIN file cannot be read") from None


def _warned(flags: TokenFlag) -> bool:
    return bool(flags & TokenFlag.USER_PIN_COUNT_LOW)


def _warns_now(token: Any) -> bool:
    try:
        return _warned(token.slot.get_token().flags)
    except PKCS11Error:
        return False


def _pin_not_usable(message: str) -> PinNotUsable:
    return PinNotUsable(Reason.CONFIGURATION_INVALID, message)
