"""Provisions, starts, kills and stops a whole network on this machine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

import grpc

from hsm.host_files import host_files
from hsm.nginx_files import write_nginx_files
from hsm.provision import provision
from juki.custody.client import CustodyClient
from juki.custody.tls import channel_credentials
from juki.localnet.plan import (
    NetworkPlan,
    free_port,
    gateway_settings,
    national_settings,
    prefectural_settings,
    write_configuration,
)
from juki.localnet.process import ManagedProcess
from juki.localnet.registering import register_bodies, write_officers
from juki.rpc.channel import open_channel

Progress = Callable[[str], None]
"""Told what has just been done, for a progress bar."""


class LocalNetwork:
    """Every host's custody and server as a process of its own, under mutual TLS.

    Process names: "national", "pref22", "cs-221309", and "hsm/<host>" for each host's custody;
    registers and agencies have custody only; "nginx/<host>" where nginx ends TLS.
    """

    def __init__(self, plan: NetworkPlan) -> None:
        self.plan = plan
        self.servers = (
            "national",
            *(f"pref{code}" for code in plan.prefectures),
            *(f"cs-{municipality}" for municipality in plan.municipalities),
        )
        self.callers = (
            *(f"cs-{municipality}-register" for municipality in plan.municipalities),
            *(f"agency-{name}" for name in plan.agencies),
            *(f"officer-{name}" for name in plan.officers),
        )
        self.ports = {
            name: free_port() for host in self.servers for name in (host, f"{host}/metrics")
        }
        self.processes: dict[str, ManagedProcess] = {}
        self._custody: dict[str, CustodyClient] = {}

    def provision(self) -> None:
        """Tokens, keys, certificates and configuration files; run again, it changes nothing."""
        self.plan.directory.mkdir(parents=True, exist_ok=True)
        provision(self.plan.provisioning)
        if self.plan.officers:
            write_officers(self.plan)
        for host in self.servers:
            settings = self._settings(host)
            write_configuration(self.plan.host_directory(host) / "server.toml", settings)
        for host in (*self.servers, *self.callers):
            self._define(f"hsm/{host}", "hsm", host_files(self.plan.directory, host).configuration)
        for host in self.servers:
            module = "national_server" if host == "national" else _module_of(host)
            self._define(host, module, self.plan.host_directory(host) / "server.toml")
        for host in self.plan.nginx_before:
            self._define_nginx(host)

    @property
    def start_order(self) -> list[list[str]]:
        """Process names in groups that may start together."""
        prefectures = [f"pref{code}" for code in self.plan.prefectures]
        gateways = [f"cs-{municipality}" for municipality in self.plan.municipalities]
        custody = [f"hsm/{host}" for host in (*self.servers, *self.callers)]
        groups = [custody, ["national"], prefectures, gateways]
        # nginx stands before its server as soon as that listens, so that the next tier finds it.
        return [
            part
            for group in groups
            for part in (
                group,
                [f"nginx/{host}" for host in group if host in self.plan.nginx_before],
            )
            if part
        ]

    def start(self, progress: Progress = lambda _: None) -> None:
        """Starts every process and waits until each is ready."""
        for group in self.start_order:
            self.start_some(group, progress)

    def start_some(self, names: Iterable[str], progress: Progress = lambda _: None) -> None:
        """Starts the named processes together and waits until each is ready."""
        names = list(names)
        if "national" in names and self.plan.officers:
            register_bodies(self.plan, self.custody)
        for name in names:
            self.processes[name].launch()
        for name in names:
            self.processes[name].await_ready()
            progress(name)

    def stop(self) -> None:
        """Stops every process, callers before those they call, custody last."""
        for client in self._custody.values():
            client.close()
        self._custody.clear()
        for group in reversed(self.start_order):
            for name in group:
                process = self.processes.get(name)
                if process is not None:
                    process.stop()
        self.plan.remove_memory()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def custody(self, host: str) -> CustodyClient:
        """A client of the host's custody, shared and closed with the network."""
        if host not in self._custody:
            self._custody[host] = CustodyClient(self.plan.custody_socket(host))
        return self._custody[host]

    def channel(self, caller: str, server: str) -> grpc.Channel:
        """A channel of a caller ("cs-221309-register", "agency-nenkin") to a server, over mTLS.

        The caller's key signs the handshake in its own token.
        """
        credentials = channel_credentials(self.custody(caller), self.plan.roots.read_bytes())
        return open_channel(
            f"127.0.0.1:{self.ports[server]}", self.server_name(server), credentials
        )

    def server_name(self, server: str) -> str:
        """The DNS name in a server's certificate."""
        domain = self.plan.trust_domain
        if server.startswith("cs-"):
            return f"{server}.pref{server[3:5]}.{domain}"
        return f"server.{server}.{domain}"

    def _settings(self, host: str) -> dict[str, object]:
        if host == "national":
            return national_settings(self.plan, self.ports)
        if host.startswith("pref"):
            return prefectural_settings(self.plan, host.removeprefix("pref"), self.ports)
        return gateway_settings(self.plan, host.removeprefix("cs-"), self.ports)

    def _define(self, name: str, module: str, configuration: object) -> None:
        directory = self.plan.directory / "logs"
        directory.mkdir(exist_ok=True)
        self.processes[name] = ManagedProcess(
            name,
            [sys.executable, "-m", module, "--config", str(configuration)],
            directory / f"{name.replace('/', '-')}.log",
        )

    def _define_nginx(self, host: str) -> None:
        self.plan.server_socket(host).parent.mkdir(mode=0o700, exist_ok=True)
        files = write_nginx_files(
            self.plan.directory,
            host,
            listen=f"127.0.0.1:{self.ports[host]}",
            socket=self.plan.server_socket(host),
        )
        self.processes[f"nginx/{host}"] = ManagedProcess(
            f"nginx/{host}",
            files.command(),
            self.plan.directory / "logs" / f"nginx-{host}.log",
            environment=files.environment,
            answers_at=self.ports[host],
        )


def _module_of(host: str) -> str:
    return "pref_server" if host.startswith("pref") else "cs_gateway"
