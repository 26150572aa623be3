"""Adds the disclosure service to a tier's server: one place for J-LIS and for governors."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine, Table

from juki.audit.persons.port import History
from juki.disclosure.book import RequestBook
from juki.disclosure.document import Discloser, DocumentMaker, Prove, no_proof
from juki.disclosure.held import PersonRecords
from juki.disclosure.service import DisclosureAudit, DisclosureServicer
from juki.index.reading import PersonReader
from juki.rpc.server import JukiServer
from juki.store.sealing import Sealer
from juki.v1 import disclosure_pb2_grpc


@dataclass(frozen=True, slots=True)
class DisclosureStore:
    """Where requests are kept and persons are read."""

    engine: Engine
    sealer: Sealer
    tables: tuple[Table, Table]
    """The tier's `person_request_act` and `register_root`."""

    index: PersonReader | None = None
    """Finds persons by the four items; none at a tier that keeps no index."""


def add_disclosure_service(
    server: JukiServer,
    *,
    store: DisclosureStore,
    discloser: Discloser,
    history: History,
    durable_to: Callable[[], int],
    audit: DisclosureAudit,
    clock: Callable[[], datetime.datetime],
    fee_yen: int = 0,
    serves: Callable[[str], bool] = lambda municipality: True,
    prove: Prove = no_proof,
) -> RequestBook:
    """Adds `juki.v1.DisclosureService`; the server's allow-list must name its callers.

    `durable_to` gives the sequence of the log's last durable record, which `history` follows.
    """
    book = RequestBook(store.engine, store.sealer, store.tables, clock)
    servicer = DisclosureServicer(
        book=book,
        records=PersonRecords(store.engine, store.sealer, store.index),
        documents=DocumentMaker(discloser, history, durable_to, prove),
        audit=audit,
        fee_yen=fee_yen,
        municipalities=serves,
    )
    disclosure_pb2_grpc.add_DisclosureServiceServicer_to_server(servicer, server.grpc_server)
    return book
