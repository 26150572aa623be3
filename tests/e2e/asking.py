"""Agencies that ask the nation without end, and what its audit log holds of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import grpc

from juki.audit.encoding import decode
from juki.audit.port import AuditRecord
from juki.audit.segment import TornTail, read_frames, read_header, segments
from juki.demo.checks import NATIONAL_PENSION
from juki.demo.gateway import Register
from juki.localnet.network import LocalNetwork
from juki.v1 import lookup_pb2, lookup_pb2_grpc
from tests.network_fixtures import wait_until
from tests.planted_person import MUNICIPALITY, planted_birth


def one_number(network: LocalNetwork) -> str:
    """The Individual Number of a person known nationally."""
    register = Register(network, MUNICIPALITY)
    try:
        register.record(planted_birth())
        wait_until(lambda: bool(register.event("planted-1").outcome.individual_number))
        wait_until(lambda: register.progress.nation >= register.progress.issued >= 2)
        number: str = register.event("planted-1").outcome.individual_number
        return number
    finally:
        register.close()


class Asker:
    """Asks batch after batch and notes which were answered, for how many persons."""

    def __init__(self, network: LocalNetwork, name: str, number: str) -> None:
        self.answered: dict[str, int] = {}
        self.failed = 0
        self._name = name
        self._number = int(number)
        self._stopping = threading.Event()
        self._channel = network.channel("agency-nenkin", "national")
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._channel.close()

    def _run(self) -> None:
        stub = lookup_pb2_grpc.LookupServiceStub(self._channel)
        for turn in range(1_000_000):
            if self._stopping.is_set():
                return
            request_id = f"{self._name}-batch-{turn:06d}"
            persons = turn % 7 + 1
            try:
                response = stub.BatchLookup(
                    lookup_pb2.BatchLookupRequest(
                        context=lookup_pb2.LookupContext(
                            affair=NATIONAL_PENSION,
                            request_id=request_id,
                            office="office",
                            operator="batch",
                            fields=[lookup_pb2.FIELD_ADDRESS],
                        ),
                        individual_numbers=lookup_pb2.IndividualNumberKeys(
                            values=[self._number] * persons
                        ),
                    ),
                    timeout=20,
                )
            except grpc.RpcError:
                self.failed += 1
            else:
                assert len(response.results) == persons
                self.answered[request_id] = persons


def records_of(directory: Path) -> Iterator[AuditRecord]:
    """Every whole record of a log, in order."""
    for path in segments(directory):
        with path.open("rb") as file:
            read_header(path, file)
            try:
                for frame in read_frames(path, file):
                    yield decode(frame.record)
            except TornTail:
                return


def recorded_persons(directory: Path) -> dict[str, int]:
    """How many persons each call of the log was for, by its request id."""
    # A call that gRPC repeated after a lost answer is recorded each time it was looked up.
    return {record.request_id: len(record.outcomes) for record in records_of(directory)}
