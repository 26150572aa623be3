"""Adds the disclosure service to a tier's server: one place for J-LIS and for governors."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import Engine, Table

from juki.audit.reading import LogRecords
from juki.disclosure.book import RequestBook
from juki.disclosure.document import Discloser, DocumentMaker
from juki.disclosure.held import PersonRecords
from juki.disclosure.proving import EntryProver
from juki.disclosure.service import DisclosureAudit, DisclosureServicer
from juki.lookup.running import Answering
from juki.rpc.server import JukiServer
from juki.store.sealing import Sealer
from juki.v1 import disclosure_pb2_grpc


def add_disclosure_service(
    stack: ExitStack,
    server: JukiServer,
    answering: Answering,
    *,
    engine: Engine,
    sealer: Sealer,
    tables: tuple[Table, Table],
    name: str,
    identity: str,
    trust_domain: str,
    audit_directory: Path,
    clock: Callable[[], datetime.datetime],
    fee_yen: int = 0,
    serves: Callable[[str], bool] = lambda municipality: True,
) -> RequestBook:
    """Adds `juki.v1.DisclosureService`; the server's allow-list must name its callers.

    `answering` are the parts that look-ups are answered with and recorded in `audit_directory`;
    `tables` the tier's `person_request_act` and `register_root`; `name` and `identity` those of who
    discloses; `serves` says which municipalities' counters may ask. Gives the book of requests.
    """
    book = RequestBook(engine, sealer, tables, clock)
    records = LogRecords(audit_directory)
    stack.callback(records.close)
    audit, keys = answering.audit, answering.pseudonym_keys
    discloser = Discloser(name, identity, trust_domain, lambda: answering.policy.registry)
    servicer = DisclosureServicer(
        book=book,
        records=PersonRecords(engine, sealer, answering.index),
        documents=DocumentMaker(
            discloser,
            answering.history,
            lambda: audit.position.sequence,
            EntryProver(audit_directory, records),
        ),
        audit=DisclosureAudit(audit, keys.newest, time.time_ns),
        fee_yen=fee_yen,
        municipalities=serves,
    )
    disclosure_pb2_grpc.add_DisclosureServiceServicer_to_server(servicer, server.grpc_server)
    return book
