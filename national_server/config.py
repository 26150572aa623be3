"""Configuration of the national server; a key that is not named here stops the start."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from juki.config import Configuration


class NationalConfiguration(Configuration):
    """The nation's server."""

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

    agencies: Path
    """TOML file of the registered bodies and the affairs each may use."""

    audit_directory: Path
    index_directory: Path
    """On memory-backed storage: the index holds identification information in the clear."""

    worker_threads: int = Field(default=80, ge=4, le=1000)
    """Threads; each prefecture's return stream holds one."""
