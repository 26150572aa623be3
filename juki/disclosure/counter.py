"""`Counter`: a municipality's counter, which brings a person's requests to J-LIS or a governor."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import grpc

from juki.config import Configuration
from juki.custody.client import CustodyClient
from juki.custody.roots import load_roots
from juki.rpc.custody_channel import open_custody_channel
from juki.rpc.errors import refusals_of_peer
from juki.server_config import PeerConfiguration
from juki.v1 import disclosure_pb2 as pb
from juki.v1 import disclosure_pb2_grpc


class CounterConfiguration(Configuration):
    """How a counter reaches who discloses, and as whom it acts there: `counter.toml`."""

    discloser: PeerConfiguration
    """Where J-LIS's or the governor's server is."""

    custody_socket: Path
    """Socket of the custody of the municipality's gateway, which signs the TLS handshakes."""

    roots_pem: Path
    """PEM file of the root certificates."""

    office: str
    """The counter; stands in the audit log, which the person reads."""

    operator: str
    """The operator by id; stands there too."""


class Counter:
    """Calls of one operator. Every method raises JukiError with the discloser's refusal."""

    def __init__(
        self,
        channel: grpc.Channel,
        *,
        office: str,
        operator: str,
        new_request_id: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._stub = disclosure_pb2_grpc.DisclosureServiceStub(channel)
        self._office = office
        self._operator = operator
        self._new_request_id = new_request_id

    @classmethod
    @contextmanager
    def connect(cls, config: CounterConfiguration, request_id: str = "") -> Iterator[Self]:
        """A counter over mutual TLS; under `request_id`, if given, its acts are repeatable."""
        with CustodyClient(config.custody_socket) as custody:
            channel = open_custody_channel(
                config.discloser.address,
                config.discloser.server_name,
                custody,
                load_roots(config.roots_pem),
            )
            try:
                yield cls(
                    channel,
                    office=config.office,
                    operator=config.operator,
                    new_request_id=lambda: request_id or secrets.token_hex(16),
                )
            finally:
                channel.close()

    def request(
        self, subject: pb.DisclosureSubject, *, other_way_agreed: bool = False
    ) -> pb.PersonRequest:
        """Takes a disclosure request in."""
        request = pb.RequestDisclosureRequest(
            counter=self._context(), subject=subject, other_way_agreed=other_way_agreed
        )
        with refusals_of_peer():
            return self._stub.RequestDisclosure(request).request

    def record_fee(self, id_: str, yen: int) -> pb.PersonRequest:
        """The person paid."""
        request = pb.RecordFeeRequest(counter=self._context(), id=id_, paid_yen=yen)
        with refusals_of_peer():
            return self._stub.RecordFee(request).request

    def disclose(self, id_: str, *, in_writing: bool = True) -> pb.Disclosure:
        """What the person is to be given."""
        way = pb.DISCLOSURE_WAY_IN_WRITING if in_writing else pb.DISCLOSURE_WAY_OTHER
        request = pb.DiscloseRequest(counter=self._context(), id=id_, way=way)
        with refusals_of_peer():
            return self._stub.Disclose(request).disclosure

    def request_correction(self, disclosure_id: str, words: str) -> pb.PersonRequest:
        """Takes in what the person asks to be corrected."""
        request = pb.RequestCorrectionRequest(
            counter=self._context(), disclosure_id=disclosure_id, words=words
        )
        with refusals_of_peer():
            return self._stub.RequestCorrection(request).request

    def requests(self, *, open_only: bool) -> list[pb.PersonRequest]:
        """All requests of the municipality's counters, the oldest first."""
        found: list[pb.PersonRequest] = []
        token = ""
        while True:
            request = pb.ListPersonRequestsRequest(open_only=open_only, page_token=token)
            with refusals_of_peer():
                page = self._stub.ListPersonRequests(request)
            found += page.requests
            token = page.next_page_token
            if not token:
                return found

    def _context(self) -> pb.CounterContext:
        return pb.CounterContext(
            request_id=self._new_request_id(), office=self._office, operator=self._operator
        )
