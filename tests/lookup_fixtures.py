"""A real lookup server over mutual TLS: custody, policy registry, audit log and index."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from prometheus_client import CollectorRegistry

from juki.audit.encoding import decode
from juki.audit.log import FileAuditLog
from juki.audit.port import AuditRecord
from juki.audit.pseudonym import Pseudonymiser
from juki.audit.segment import read_frames, read_header, segments
from juki.custody.client import CustodyClient
from juki.custody.tls import channel_credentials, server_credentials
from juki.index.lmdb_index import LmdbIndex
from juki.lookup.running import CALLERS, add_lookup_service
from juki.lookup.service import LOOKUP_SERVICE, RAW_METHODS
from juki.policy.evaluator import Policy
from juki.rpc.channel import ChannelSettings, open_channel
from juki.rpc.health import HealthMonitor
from juki.rpc.revocation_check import RevocationCheck
from juki.rpc.server import JukiServer, ServerSettings
from juki.v1 import lookup_pb2_grpc
from tests.custody_fixtures import RunningCustody, TrustDomain, running_custody
from tests.people import memory_directory
from tests.revocation_fixtures import own_lists

PENSION = "spiffe://agency.juki.example/pension"
SERVER_NAME = "server.national.juki.example"

REGISTRY = f"""
[[agency]]
identity = "{PENSION}"
name = "a pension office"
route = "national"

  # May use the number.
  [[agency.grant]]
  table = 1
  item = "77"
  individual_number = {{ item = "46" }}
  search_keys = ["INDIVIDUAL_NUMBER", "FOUR_ITEMS"]

  # May not.
  [[agency.grant]]
  table = 1
  item = "41"
  search_keys = ["FOUR_ITEMS"]
"""

PSEUDONYMISER = Pseudonymiser(bytes(range(32)))


@dataclass
class LookupServer:
    """A running server and what stands behind it."""

    index: LmdbIndex
    audit: FileAuditLog
    log_directory: Path
    registry: CollectorRegistry
    port: int
    agency: RunningCustody
    roots_pem: bytes

    @contextmanager
    def channel(self) -> Iterator[grpc.Channel]:
        """The pension office's channel; its key signs in its token."""
        channel = open_channel(
            f"127.0.0.1:{self.port}",
            SERVER_NAME,
            channel_credentials(self.agency.client, self.roots_pem),
            ChannelSettings(attempts=1),
        )
        try:
            yield channel
        finally:
            channel.close()

    @contextmanager
    def stub(self) -> Iterator[lookup_pb2_grpc.LookupServiceStub]:
        """The service over such a channel."""
        with self.channel() as channel:
            yield lookup_pb2_grpc.LookupServiceStub(channel)

    def records(self) -> list[AuditRecord]:
        """What the log holds on disk now, in order."""
        found = []
        for path in segments(self.log_directory):
            with path.open("rb") as file:
                read_header(path, file)
                found += [decode(frame.record) for frame in read_frames(path, file)]
        return found

    def sample(self, name: str, **labels: str) -> float:
        """The value of a metric, 0 where it was never touched."""
        return self.registry.get_sample_value(name, labels) or 0.0


@contextmanager
def running_lookup_server(
    trust_domain: TrustDomain,
    national: CustodyClient,
    agency: RunningCustody,
    directory: Path,
    *,
    sync: Callable[[int], None] = os.fdatasync,
    bodies: str = REGISTRY,
    revisions: Path | None = None,
    clock: Callable[[], int] = time.time_ns,
    revocation: RevocationCheck | None = None,
) -> Iterator[LookupServer]:
    """A server of its own, with an empty index, for the block.

    It refuses callers by the nation's own list, or by what `revocation` knows.
    """
    registry_file = directory / "agencies.toml"
    registry_file.write_text(bodies, encoding="utf-8")
    registry = CollectorRegistry()
    monitor = HealthMonitor({"always": lambda: None}, registry=registry)
    with memory_directory() as memory, FileAuditLog(directory / "audit", sync=sync) as audit:
        index = LmdbIndex(memory / "index", map_bytes=1 << 30)
        index.rebuild([])
        server = JukiServer(
            ServerSettings("127.0.0.1:0", raw=RAW_METHODS),
            server_credentials(national, trust_domain.roots_pem),
            {LOOKUP_SERVICE: CALLERS},
            health_servicer=monitor.servicer,
            revocation=revocation or own_lists(national, trust_domain),
            registry=registry,
        )
        add_lookup_service(
            server.grpc_server,
            index=index,
            policy=Policy.load(registry_file, revisions),
            audit=audit,
            pseudonymiser=lambda: PSEUDONYMISER,
            registry=registry,
            clock=clock,
        )
        server.start()
        try:
            yield LookupServer(
                index,
                audit,
                directory / "audit",
                registry,
                server.port,
                agency,
                trust_domain.roots_pem,
            )
        finally:
            server.stop(0)


@pytest.fixture(scope="session")
def national_custody(trust_domain: TrustDomain) -> Iterator[RunningCustody]:
    """The running custody of the national server."""
    with running_custody(trust_domain.files("national")) as custody:
        yield custody


@pytest.fixture(scope="session")
def pension_custody(trust_domain: TrustDomain) -> Iterator[RunningCustody]:
    """The running custody of the pension office."""
    with running_custody(trust_domain.files("agency-pension")) as custody:
        yield custody


@pytest.fixture
def lookup_server(
    trust_domain: TrustDomain,
    national_custody: RunningCustody,
    pension_custody: RunningCustody,
    tmp_path: Path,
) -> Iterator[LookupServer]:
    """A running lookup server."""
    with running_lookup_server(
        trust_domain, national_custody.client, pension_custody, tmp_path
    ) as server:
        yield server
