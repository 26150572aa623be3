"""Configuration of a prefectural server; a key that is not named here stops the start."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from juki.config import Configuration


class UpstreamConfiguration(Configuration):
    """Where the national server is."""

    address: str
    """Host and port."""

    server_name: str
    """DNS name in its certificate."""


class PrefecturalConfiguration(Configuration):
    """One prefecture's server."""

    prefecture: str = Field(pattern=r"^(0[1-9]|[1-3][0-9]|4[0-7])$")
    """Two digits."""

    trust_domain: str = "juki.example"
    listen_address: str = "127.0.0.1:0"
    """Host and port for gRPC; port 0 takes a free one and says which."""

    metrics_port: int = 0
    """Loopback port for Prometheus; 0 takes a free one."""

    database_url: str
    """`sqlite:///path` or `postgresql+psycopg://…`."""

    custody_socket: Path
    roots_pem: Path
    """PEM file of the root certificates."""

    nation: UpstreamConfiguration

    worker_threads: int = Field(default=80, ge=4, le=1000)
    """Threads; each gateway's return stream holds one."""
