"""Where the files of a trust domain's custody lie under its directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hsm.token import TokenLocation

AUTHORITY_RECORD = "authority.jsonl"
"""Name of the file in which an issuing authority keeps what it certified and revoked."""
ROOT_HOST = "root"
ROOT_LABEL = "root"
"""Label of the root's P-256 key, in a token of its own."""


@dataclass(frozen=True)
class HostFiles:
    """Where the files of a host's custody are."""

    directory: Path
    """The directory `hsm` of the host."""

    @property
    def configuration(self) -> Path:
        """Custody's configuration."""
        return self.directory / "custody.toml"

    @property
    def certificates(self) -> Path:
        """The public chains."""
        return self.directory / "certificates"

    @property
    def authority_record(self) -> Path:
        """What its issuing authority certified and revoked."""
        return self.directory / AUTHORITY_RECORD

    def socket(self, name: str) -> Path:
        """One of its sockets, for example `custody.sock`."""
        return self.directory / name

    def token(self, module: Path, label: str) -> TokenLocation:
        """Its token; the root's has no PIN file, since officers open it."""
        return TokenLocation(
            module=module,
            label=label,
            pin_file=self.directory / "pin",
            softhsm_configuration=self.directory / "softhsm2.conf",
        )


@dataclass(frozen=True)
class CeremonyFiles:
    """Where ceremonies keep what is theirs: the directory `root`, which stays offline."""

    directory: Path

    @property
    def sealed_pins(self) -> Path:
        """The PINs of the tokens, sealed under the officers' key."""
        return self.directory / "sealed_pins.json"

    @property
    def transcripts(self) -> Path:
        """One signed transcript for each ceremony."""
        return self.directory / "transcripts"

    @property
    def unattended_officer(self) -> Path:
        """Share and passphrase of the one generated officer of unattended provisioning."""
        return self.directory / "unattended_officer"


def host_files(directory: Path, host: str) -> HostFiles:
    """The files of a host under a plan's directory."""
    return HostFiles(directory / host / "hsm")


def ceremony_files(directory: Path) -> CeremonyFiles:
    """The files of the ceremonies under a plan's directory."""
    return CeremonyFiles(directory / ROOT_HOST)


def root_file(directory: Path) -> Path:
    """The root certificate (PEM) under a plan's directory."""
    return directory / "root.pem"
