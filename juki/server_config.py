"""What the configuration files of several servers and clients have in common."""

from __future__ import annotations

from pathlib import Path

from juki.config import Configuration
from juki.evidence.workers import EvidenceConfiguration
from juki.rpc.tls_ending import TlsConfiguration
from juki.store.keeping import RegisterRootConfiguration


class PeerConfiguration(Configuration):
    """Where a server is that this process calls."""

    address: str
    """Host and port."""

    server_name: str
    """DNS name in its certificate, for example `server.national.juki.example`."""


class ServerConfiguration(Configuration):
    """What every server is told."""

    trust_domain: str = "juki.example"
    database_url: str
    """`sqlite:///path` or `postgresql+psycopg://…`."""

    custody_socket: Path
    roots_pem: Path
    """PEM file of the root certificates."""

    tls: TlsConfiguration | None = None
    """Where nginx ends TLS; left out, the server does."""
    register_root: RegisterRootConfiguration = RegisterRootConfiguration()


class RegisterServerConfiguration(ServerConfiguration):
    """What the servers that keep the register, prefectural and national, are told besides."""

    listen_address: str = "127.0.0.1:0"
    """Host and port for gRPC; port 0 takes a free one and says which."""

    metrics_port: int = 0
    """Loopback port for Prometheus; 0 takes a free one."""

    witness_directory: Path | None = None
    """Where it keeps what it co-signed of other tiers' audit logs; left out, it watches none."""

    evidence: EvidenceConfiguration = EvidenceConfiguration()
