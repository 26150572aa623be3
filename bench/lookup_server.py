"""A server of the lookup bench: ours in full, or a bare grpcio handler over the same store.

`python -m bench.lookup_server --config FILE`; a process of its own each, as in service.
"""

from __future__ import annotations

import datetime
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Final

import grpc
from prometheus_client import CollectorRegistry, start_http_server

from bench.people import read_people
from juki.audit.log import FileAuditLog
from juki.audit.persons.running import start_person_index
from juki.audit.pseudonym import Pseudonymiser
from juki.config import Configuration
from juki.custody.client import CustodyClient
from juki.custody.port import WRAPPING
from juki.custody.roots import load_roots
from juki.custody.tls import server_credentials
from juki.domain.legal_basis import Field
from juki.index.lmdb_index import LmdbIndex
from juki.index.wire import FieldMask
from juki.lookup import answers
from juki.lookup.running import CALLERS, add_lookup_service, checkpoint_signing
from juki.lookup.service import LOOKUP_SERVICE, RAW_METHODS
from juki.policy.evaluator import Policy
from juki.process import run_server
from juki.revocation.book import RevocationBook
from juki.revocation.spreading import OwnList
from juki.rpc.health import HealthMonitor
from juki.rpc.server import JukiServer, ServerSettings
from juki.v1 import lookup_pb2
from juki.worker import Worker

WORKER_THREADS: Final = 16
"""Of either server."""

FIELDS: Final = (
    Field.NAME,
    Field.BIRTH_DATE,
    Field.SEX,
    Field.ADDRESS,
    Field.CHANGE,
)
"""Asked of either server, and granted by ours."""


class Kind(StrEnum):
    """Which server."""

    OURS = "ours"
    BARE = "bare"


class BenchServerConfiguration(Configuration):
    """What the process needs."""

    kind: Kind
    people: Path
    """File of `bench.people.write_people`."""

    index_directory: Path
    audit_directory: Path
    agencies: Path
    custody_socket: Path
    roots_pem: Path


def serve(config: BenchServerConfiguration, stack: ExitStack) -> dict[str, object]:
    """Builds the index and serves from it."""
    custody = stack.enter_context(CustodyClient(config.custody_socket))
    credentials = server_credentials(custody, load_roots(config.roots_pem))
    index = LmdbIndex(config.index_directory)
    stack.callback(index.close)
    index.rebuild(read_people(config.people))
    serve_kind = _serve_ours if config.kind is Kind.OURS else _serve_bare
    return serve_kind(config, credentials, index, custody, stack)


def _serve_ours(
    config: BenchServerConfiguration,
    credentials: grpc.ServerCredentials,
    index: LmdbIndex,
    custody: CustodyClient,
    stack: ExitStack,
) -> dict[str, object]:
    """The server as the nation runs it: interceptors, policy, signed audit log, private index."""
    registry = CollectorRegistry()
    monitor = HealthMonitor({"custody": lambda: _signs(custody)}, registry=registry)
    audit = FileAuditLog(
        config.audit_directory, signing=checkpoint_signing(custody, "national.juki.example")
    )
    stack.callback(audit.close)
    book = RevocationBook(
        None, load_roots(config.roots_pem).der, lambda: datetime.datetime.now(datetime.UTC)
    )
    own_list = OwnList(custody, book)
    own_list.take()
    lists = Worker("revocation-own", own_list.work, wake=own_list.wake)
    lists.start()
    stack.callback(lists.close)
    pseudonymiser = Pseudonymiser(custody.new_data_key(WRAPPING).plaintext)
    start_person_index(
        stack,
        directory=config.audit_directory.with_name("persons"),
        audit_directory=config.audit_directory,
        durable_to=lambda: audit.position.sequence,
        pseudonymisers=lambda: [pseudonymiser],
        registry=registry,
    )
    server = JukiServer(
        ServerSettings("127.0.0.1:0", worker_threads=WORKER_THREADS, raw=RAW_METHODS),
        credentials,
        {LOOKUP_SERVICE: CALLERS},
        health_servicer=monitor.servicer,
        revocation=book,
        registry=registry,
    )
    add_lookup_service(
        server.grpc_server,
        index=index,
        policy=Policy.load(config.agencies),
        audit=audit,
        pseudonymiser=lambda: pseudonymiser,
        registry=registry,
        clock=time.time_ns,
    )
    server.start()
    stack.callback(server.stop, 0)
    metrics, _ = start_http_server(0, "127.0.0.1", registry)
    stack.callback(metrics.shutdown)
    return {"port": server.port, "metrics_port": metrics.server_port}


def _signs(custody: CustodyClient) -> None:
    custody.health()


def _serve_bare(
    _config: BenchServerConfiguration,
    credentials: grpc.ServerCredentials,
    index: LmdbIndex,
    _custody: CustodyClient,
    stack: ExitStack,
) -> dict[str, object]:
    """grpcio alone: same store, same bytes in the answers; no interceptor, policy, or record."""
    mask = FieldMask.of(frozenset(FIELDS), number_in_change=False, code_in_change=False)

    def unary(data: bytes, _context: grpc.ServicerContext) -> bytes:
        request = lookup_pb2.LookupRequest.FromString(data)
        return answers.results(index.by_individual_number((int(request.individual_number),), mask))

    def batch(data: bytes, _context: grpc.ServicerContext) -> bytes:
        request = lookup_pb2.BatchLookupRequest.FromString(data)
        return answers.results(
            index.by_individual_number(list(request.individual_numbers.values), mask)
        )

    server = grpc.server(
        ThreadPoolExecutor(WORKER_THREADS),
        options=[("grpc.max_receive_message_length", 8 << 20), ("grpc.so_reuseport", 0)],
    )
    handlers = {
        "Lookup": grpc.unary_unary_rpc_method_handler(unary),
        "BatchLookup": grpc.unary_unary_rpc_method_handler(batch),
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(LOOKUP_SERVICE, handlers),)
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    stack.callback(lambda: server.stop(0).wait())
    return {"port": port}


if __name__ == "__main__":
    sys.exit(run_server("bench.lookup_server", BenchServerConfiguration, serve))
