"""Configuration of a prefectural server; a key that is not named here stops the start."""

from __future__ import annotations

from pydantic import Field

from juki.server_config import PeerConfiguration, RegisterServerConfiguration


class PrefecturalConfiguration(RegisterServerConfiguration):
    """One prefecture's server."""

    prefecture: str = Field(pattern=r"^(0[1-9]|[1-3][0-9]|4[0-7])$")
    """Two digits."""

    nation: PeerConfiguration
    """Where the national server is."""

    worker_threads: int = Field(default=240, ge=4, le=1000)
    """Threads; each gateway's return stream holds one. Streams get three quarters of them."""
