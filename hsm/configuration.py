"""Custody's configuration: one TOML file, every key known, paths relative to the file."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from hsm.host_files import AUTHORITY_RECORD
from hsm.permissions import Operation, Permissions
from hsm.sockets import SocketRole
from hsm.token import TokenLocation
from juki.domain.errors import JukiError, Reason


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _octal(value: Any) -> int:
    """A file mode written as in chmod, for example "0660"; nothing for others to reach."""
    if not isinstance(value, str):
        raise ValueError('a mode is written as text, for example "0600"')
    mode = int(value, 8)
    if mode & ~0o660:
        raise ValueError("a socket of custody is open to its owner and group at most")
    return mode


class TokenSection(_Section):
    """Which token, in which module."""

    module: Path
    label: str
    serial: str | None = Field(default=None, pattern="^[!-~]{1,16}$")
    """The token's serial number, as the module gives it; chosen by label alone without."""
    pin_file: Path | None = None
    """Holds the user's PIN; its owner alone may read it."""
    pin_credential: str | None = Field(default=None, pattern="^[A-Za-z0-9_.-]{1,64}$")
    """Instead: name of the systemd credential with the PIN (`LoadCredentialEncrypted=`)."""
    softhsm_configuration: Path | None = None
    """SoftHSM only: its configuration file."""
    silence_seconds: float = Field(default=3.0, gt=0)
    """How long the module may take over one call before it is taken to hang."""
    patience_seconds: float = Field(default=2.0, ge=0)
    """How long callers wait for a replaced process before they are refused."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes with a session each: more than one where the token signs in parallel."""

    @model_validator(mode="after")
    def _has_one_pin(self) -> TokenSection:
        if (self.pin_file is None) == (self.pin_credential is None):
            raise ValueError("either pin_file or pin_credential says where the PIN is")
        return self

    @property
    def pin(self) -> Path:
        """The file that holds the PIN, wherever it comes from."""
        if self.pin_file is not None:
            return self.pin_file
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        if not directory:
            raise JukiError(
                Reason.CONFIGURATION_INVALID,
                "token.pin_credential is set, but systemd has given this process no credentials",
            )
        return Path(directory) / str(self.pin_credential)

    def location(self) -> TokenLocation:
        """Where the token is and how to open it; raises CONFIGURATION_INVALID."""
        return TokenLocation(
            self.module, self.label, self.pin, self.softhsm_configuration, self.serial
        )


class ServerLeafSection(_Section):
    """The names of this host's server."""

    identity: str = Field(pattern="^spiffe://[^/]+/.+$")
    dns_names: tuple[str, ...] = Field(min_length=1)


class PermissionSection(_Section):
    """Operations granted on one key; "token" stands for the token itself."""

    key: str
    operations: tuple[Operation, ...] = Field(min_length=1)


class SocketSection(_Section):
    """One socket: one role of callers."""

    path: Path
    mode: Annotated[int, BeforeValidator(_octal)] = 0o600
    allowed_uids: tuple[int, ...] = Field(min_length=1)
    permissions: tuple[PermissionSection, ...] = Field(min_length=1)

    def permitted(self) -> Permissions:
        """The socket's permissions."""
        return Permissions.of(
            (grant.key, operation) for grant in self.permissions for operation in grant.operations
        )

    def role(self) -> SocketRole:
        """The socket and its callers."""
        return SocketRole(self.path, self.mode, frozenset(self.allowed_uids), self.permitted())


class RevocationSection(_Section):
    """How long the issuing authority's revocation lists last, and where its record is."""

    record: Path = Path(AUTHORITY_RECORD)
    """File of what was certified and revoked; lists are written beside it."""
    validity_seconds: int = Field(default=24 * 3600, ge=2)
    renewal_seconds: int = Field(default=3600, ge=1)

    @model_validator(mode="after")
    def _renewed_in_time(self) -> RevocationSection:
        if self.renewal_seconds * 2 > self.validity_seconds:
            raise ValueError("a list is renewed before half of its validity is over")
        return self


class Configuration(_Section):
    """Everything custody needs to start."""

    token: TokenSection
    health_key: str
    """Label of the P-256 key that `health` signs with."""
    certificates: Path
    """Directory of the chains, `<key label>.pem`, leaf first, without the root."""
    server_leaf: ServerLeafSection | None = None
    revocation: RevocationSection = RevocationSection()
    """Only of use to a host with an issuing authority."""
    sockets: tuple[SocketSection, ...] = Field(min_length=1)


def read_configuration(file: Path) -> Configuration:
    """Read the file; raises CONFIGURATION_INVALID naming the file and the key at fault."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JukiError(
            Reason.CONFIGURATION_INVALID, f"{file} cannot be read: {type(error).__name__}"
        ) from error
    try:
        configuration = Configuration.model_validate(content)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
        )
        raise JukiError(Reason.CONFIGURATION_INVALID, f"{file}: {faults}") from None
    return _resolved(configuration, file.parent.resolve())


def _resolved(configuration: Configuration, folder: Path) -> Configuration:
    token = configuration.token
    softhsm = token.softhsm_configuration
    return configuration.model_copy(
        update={
            "token": token.model_copy(
                update={
                    "module": folder / token.module,
                    "pin_file": folder / token.pin_file if token.pin_file else None,
                    "softhsm_configuration": folder / softhsm if softhsm else None,
                }
            ),
            "certificates": folder / configuration.certificates,
            "revocation": configuration.revocation.model_copy(
                update={"record": folder / configuration.revocation.record}
            ),
            "sockets": tuple(
                one.model_copy(update={"path": folder / one.path}) for one in configuration.sockets
            ),
        }
    )
