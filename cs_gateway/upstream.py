"""Calls the prefectural server over mutual TLS."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Final

import grpc

from juki.rpc.errors import refusals_of_peer
from juki.v1 import codes_pb2, codes_pb2_grpc, intake_pb2, intake_pb2_grpc

_SUBMIT_SECONDS: Final = 30.0
_READ_SECONDS: Final = 10.0
_ALLOT_SECONDS: Final = 15.0


class PrefectureClient:
    """An `Upstream` over a channel of `juki.rpc.channel.open_channel`."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._intake = intake_pb2_grpc.NotificationIntakeServiceStub(channel)
        self._codes = codes_pb2_grpc.CodeServiceStub(channel)
        self._lock = threading.Lock()
        self._returns: grpc.CallIterator[intake_pb2.FollowReturnsResponse] | None = None
        self._closed = False

    def submit_notifications(
        self, request: intake_pb2.SubmitNotificationsRequest
    ) -> intake_pb2.SubmitNotificationsResponse:
        """See `cs_gateway.ports.Upstream`."""
        with refusals_of_peer():
            return self._intake.SubmitNotifications(request, timeout=_SUBMIT_SECONDS)

    def get_stream_head(self, municipality: str) -> intake_pb2.GetStreamHeadResponse:
        """See `cs_gateway.ports.Upstream`."""
        request = intake_pb2.GetStreamHeadRequest(municipality=municipality)
        with refusals_of_peer():
            return self._intake.GetStreamHead(request, timeout=_READ_SECONDS)

    def fetch_notifications(
        self, request: intake_pb2.FetchNotificationsRequest
    ) -> intake_pb2.FetchNotificationsResponse:
        """See `cs_gateway.ports.Upstream`."""
        with refusals_of_peer():
            return self._intake.FetchNotifications(request, timeout=_SUBMIT_SECONDS)

    def follow_returns(self, after_cursor: int) -> Iterator[intake_pb2.FollowReturnsResponse]:
        """See `cs_gateway.ports.Upstream`."""
        request = intake_pb2.FollowReturnsRequest(after_cursor=after_cursor)
        with self._lock:
            if self._closed:
                return
            call = self._intake.FollowReturns(request)
            self._returns = call
        try:
            with refusals_of_peer():
                yield from call
        finally:
            call.cancel()  # type: ignore[no-untyped-call]

    def close_returns(self) -> None:
        """See `cs_gateway.ports.Upstream`."""
        with self._lock:
            self._closed = True
            if self._returns is not None:
                self._returns.cancel()  # type: ignore[no-untyped-call]

    def allot_codes(self, municipality: str, request_id: str, count: int) -> list[int]:
        """See `cs_gateway.ports.Upstream`."""
        request = codes_pb2.AllotCodesRequest(
            municipality=municipality, request_id=request_id, count=count
        )
        with refusals_of_peer():
            response = self._codes.AllotCodes(request, timeout=_ALLOT_SECONDS)
        return list(response.resident_record_codes)

    def generate_numbers(
        self, municipality: str, codes: Sequence[int], timeout: float
    ) -> list[int]:
        """See `cs_gateway.ports.Upstream`."""
        request = codes_pb2.GenerateIndividualNumbersRequest(
            municipality=municipality, resident_record_codes=codes
        )
        with refusals_of_peer():
            response = self._codes.GenerateIndividualNumbers(request, timeout=timeout)
        return list(response.individual_numbers)

    def remake_number(self, municipality: str, request_id: str, code: int, former: int) -> int:
        """See `cs_gateway.ports.Upstream`."""
        request = codes_pb2.RemakeIndividualNumberRequest(
            municipality=municipality,
            request_id=request_id,
            resident_record_code=code,
            former_individual_number=former,
        )
        with refusals_of_peer():
            response = self._codes.RemakeIndividualNumber(request, timeout=_READ_SECONDS)
        return response.individual_number
