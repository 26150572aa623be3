"""What a local network consists of, and the configuration files of its processes."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from hsm.host_files import host_files, root_file
from hsm.plan import SERVER_SOCKET, Prefecture, ProvisioningPlan

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - memory-backed on every Linux
_SERVER_PORTS: Final = range(15_000, 32_768)
"""Below Linux's ephemeral range (`net.ipv4.ip_local_port_range`, from 32,768 by default)."""

AGENCIES_FILE: Final = Path(__file__).resolve().parents[2] / "deploy" / "demo" / "agencies.toml"


@dataclass(frozen=True)
class NetworkPlan:
    """Prefectures with their municipalities, asking bodies, and a directory for everything."""

    directory: Path
    prefectures: Mapping[str, tuple[str, ...]]
    """Two digits of the prefecture to six digits of its municipalities."""

    agencies: tuple[str, ...] = ("nenkin", "gaimu", "houmu", "aichi-zeimu")
    agencies_file: Path = AGENCIES_FILE
    prefectures_agencies: Mapping[str, Path] = field(default_factory=dict)
    """Two digits of a prefecture to its own registry of bodies, a file that nobody has signed; a
    prefecture that is not named answers no look-ups and passes none on."""

    officers: tuple[str, ...] = ()
    """Two who register at the nation by signed acts what `agencies_file` says; with none of them
    the nation reads that file itself, which nobody has signed."""

    trust_domain: str = "juki.example"
    databases: Mapping[str, str] = field(default_factory=dict)
    """Database URLs by host name ("national", "pref22", "cs-221309"); SQLite files otherwise."""

    memory_directory: Path | None = None
    """Memory-backed storage of the index; a directory of its own under /dev/shm by default."""

    nginx_before: tuple[str, ...] = ()
    """Names of hosts before whose servers nginx ends TLS, with its key in a token of its own."""

    @property
    def provisioning(self) -> ProvisioningPlan:
        """The trust domain's plan of tokens, keys and certificates."""
        return ProvisioningPlan(
            directory=self.directory,
            prefectures=tuple(
                Prefecture(code, municipalities)
                for code, municipalities in self.prefectures.items()
            ),
            agencies=self.agencies,
            officers=self.officers,
            trust_domain=self.trust_domain,
            nginx_before=self.nginx_before,
        )

    @property
    def municipalities(self) -> tuple[str, ...]:
        """Every municipality with a gateway."""
        return tuple(m for municipalities in self.prefectures.values() for m in municipalities)

    @property
    def index_directory(self) -> Path:
        """Where the nation's index lives, in memory."""
        name = sha256(str(self.directory).encode()).hexdigest()[:12]
        return self.memory_directory or MEMORY / f"juki-{name}"

    def prefectures_index_directory(self, prefecture: str) -> Path:
        """Where a prefecture's index lives, in memory, beside the nation's."""
        nation = self.index_directory
        return nation.with_name(f"{nation.name}-pref{prefecture}")

    def host_directory(self, host: str) -> Path:
        """Everything of one host: custody's files, the server's configuration and data."""
        return self.directory / host

    def custody_socket(self, host: str) -> Path:
        """The socket of the host's custody."""
        return host_files(self.directory, host).socket(SERVER_SOCKET)

    def server_socket(self, host: str) -> Path:
        """The unix socket of a server that nginx stands before."""
        return self.host_directory(host) / "listening" / "server.sock"

    @property
    def acts_directory(self) -> Path:
        """The nation's register of acts."""
        return self.host_directory("national") / "acts"

    @property
    def officers_file(self) -> Path:
        """The list of the officers."""
        return self.host_directory("national") / "officers.toml"

    @property
    def roots(self) -> Path:
        """The root certificate."""
        return root_file(self.directory)

    def drop_folder(self, municipality: str) -> Path:
        """Where the municipality's register drops its files."""
        return self.host_directory(f"cs-{municipality}") / "drop"

    def database(self, host: str) -> str:
        """The database URL of a host."""
        default = f"sqlite:///{self.host_directory(host) / 'data.sqlite'}"
        return self.databases.get(host, default)

    def remove_memory(self) -> None:
        """Gives the index's memory back."""
        shutil.rmtree(self.index_directory, ignore_errors=True)
        for prefecture in self.prefectures_agencies:
            shutil.rmtree(self.prefectures_index_directory(prefecture), ignore_errors=True)


def free_port() -> int:
    """A loopback port that is free now, and that no connection going out will take.

    The kernel gives connections going out a port of its ephemeral range: a server's port must not
    be one of those, or it may be taken when the server is killed and started again.
    """
    while True:
        port = secrets.choice(_SERVER_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def write_configuration(path: Path, values: Mapping[str, Any]) -> None:
    """Writes a TOML file; values are strings, numbers, booleans, paths, and tables of those."""
    path.write_text("\n".join(_lines(values)) + "\n", encoding="utf-8")


def _lines(values: Mapping[str, Any], name: str = "") -> list[str]:
    tables = {key: value for key, value in values.items() if isinstance(value, Mapping)}
    # JSON's strings, numbers and booleans are written the same in TOML.
    lines = [
        f"{key} = {json.dumps(str(value) if isinstance(value, Path) else value)}"
        for key, value in values.items()
        if key not in tables
    ]
    for key, table in tables.items():
        full = f"{name}.{key}" if name else key
        lines += ["", f"[{full}]", *_lines(table, full)]
    return lines


def server_settings(plan: NetworkPlan, host: str, ports: Mapping[str, int]) -> dict[str, Any]:
    """What every server's configuration has in common."""
    tls: dict[str, Any] = {}
    if host in plan.nginx_before:
        tls = {"tls": {"terminated_by": "nginx", "socket": plan.server_socket(host)}}
    return tls | {
        "trust_domain": plan.trust_domain,
        "listen_address": f"127.0.0.1:{ports[host]}",
        "metrics_port": ports[f"{host}/metrics"],
        "database_url": plan.database(host),
        "custody_socket": plan.custody_socket(host),
        "roots_pem": plan.roots,
        "register_root": {"checkpoint_file": plan.host_directory(host) / "checkpoints"},
    }


def national_settings(plan: NetworkPlan, ports: Mapping[str, int]) -> dict[str, Any]:
    """Configuration of the national server."""
    return {
        **server_settings(plan, "national", ports),
        **_who_may_ask(plan),
        "audit_directory": plan.host_directory("national") / "audit",
        "person_index_directory": plan.host_directory("national") / "persons",
        "witness_directory": plan.host_directory("national") / "witness",
        "index_directory": plan.index_directory,
        "disclosure_fee": {
            "yen": 300,
            "approved_by": "made up for this network",
            "approved_on": "2026-04-01",
        },
    }


def _who_may_ask(plan: NetworkPlan) -> dict[str, Any]:
    if not plan.officers:
        return {"agencies": plan.agencies_file}
    return {"acts": {"directory": plan.acts_directory, "officers": plan.officers_file}}


def prefectural_settings(
    plan: NetworkPlan, prefecture: str, ports: Mapping[str, int]
) -> dict[str, Any]:
    """Configuration of a prefectural server."""
    return {
        **server_settings(plan, f"pref{prefecture}", ports),
        "prefecture": prefecture,
        "witness_directory": plan.host_directory(f"pref{prefecture}") / "witness",
        "nation": {
            "address": f"127.0.0.1:{ports['national']}",
            "server_name": f"server.national.{plan.trust_domain}",
        },
        **_prefectural_lookups(plan, prefecture, ports),
    }


def _prefectural_lookups(
    plan: NetworkPlan, prefecture: str, ports: Mapping[str, int]
) -> dict[str, Any]:
    """With what it answers look-ups, and to which other prefectures it passes them on."""
    if prefecture not in plan.prefectures_agencies:
        return {}
    directory = plan.host_directory(f"pref{prefecture}")
    return {
        "lookups": {
            "agencies": plan.prefectures_agencies[prefecture],
            "audit_directory": directory / "audit",
            "person_index_directory": directory / "persons",
            "index_directory": plan.prefectures_index_directory(prefecture),
        },
        "prefectures": {
            other: {
                "address": f"127.0.0.1:{ports[f'pref{other}']}",
                "server_name": f"server.pref{other}.{plan.trust_domain}",
            }
            for other in plan.prefectures_agencies
            if other != prefecture
        },
    }


def gateway_settings(
    plan: NetworkPlan, municipality: str, ports: Mapping[str, int]
) -> dict[str, Any]:
    """Configuration of a municipality's CS gateway."""
    prefecture = municipality[:2]
    return {
        **server_settings(plan, f"cs-{municipality}", ports),
        "municipality": municipality,
        "upstream": {
            "address": f"127.0.0.1:{ports[f'pref{prefecture}']}",
            "server_name": f"server.pref{prefecture}.{plan.trust_domain}",
        },
        "drop_folder": {"directory": plan.drop_folder(municipality)},
    }
