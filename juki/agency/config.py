"""Configuration of an asking body's client: `agency.toml`."""

from __future__ import annotations

from pathlib import Path

from juki.config import Configuration
from juki.server_config import PeerConfiguration


class AgencyConfiguration(Configuration):
    """How a body reaches the national server, and as whom it asks there."""

    nation: PeerConfiguration
    """Where the national server is."""

    custody_socket: Path
    """Socket of the body's own custody, which signs the TLS handshakes."""

    roots_pem: Path
    """PEM file of the root certificates."""

    office: str
    """The office that asks; stands in the audit log."""

    operator: str
    """The operator or batch job that asks; stands in the audit log."""
