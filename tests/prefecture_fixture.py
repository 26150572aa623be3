"""A prefecture for tests of the gateway: keeps streams by the domain's rules, signs receipts.

It stands in until the real prefectural server is there; `PrefectureServicers` puts it behind gRPC.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from juki.domain.envelope import (
    StreamLink,
    StreamPosition,
    follow,
    notification_digest,
    receipt_digest,
)
from juki.domain.errors import JukiError, Reason
from juki.v1 import (
    codes_pb2,
    codes_pb2_grpc,
    errors_pb2,
    intake_pb2,
    intake_pb2_grpc,
    notification_pb2,
)
from tests.gateway_fixtures import MUNICIPALITY, MemoryUpstream

PREFECTURE = "spiffe://pref22.juki.example/server"
NATION = "spiffe://national.juki.example/server"


@dataclass(frozen=True)
class TestSigner:
    """Signs receipts for one tier."""

    __test__ = False

    identity: str
    key_id: bytes
    certificates: list[bytes]
    sign: Callable[[bytes], bytes]


def pretended_signer(identity: str) -> TestSigner:
    """A signer for unit tests, whose signature is a hash that `pretended_verifier` knows."""
    return TestSigner(
        identity, hashlib.sha256(identity.encode()).digest(), [], lambda d: _pretend(identity, d)
    )


def _pretend(identity: str, digest: bytes) -> bytes:
    return hashlib.sha512(identity.encode() + digest).digest()


def pretended_verifier(
    receipt: notification_pb2.SignedReceipt, certificates: Sequence[bytes], identity: str
) -> notification_pb2.Receipt:
    """Accepts what `pretended_signer` signed."""
    if receipt.signature != _pretend(identity, receipt_digest(receipt.receipt)):
        raise JukiError(Reason.SIGNATURE_INVALID, "a receipt's signature does not verify")
    return notification_pb2.Receipt.FromString(receipt.receipt)


@dataclass
class FakePrefecture(MemoryUpstream):
    """Holds one municipality's stream; with a nation that receives at once, if wished."""

    signer: TestSigner = field(default_factory=lambda: pretended_signer(PREFECTURE))
    nation: TestSigner | None = field(default_factory=lambda: pretended_signer(NATION))
    demand_certificates: bool = True
    held: dict[tuple[int, int], notification_pb2.SignedNotification] = field(default_factory=dict)
    position: StreamPosition = field(default_factory=StreamPosition)
    submissions: int = 0
    certificates_known: bool = False
    _receipts: list[notification_pb2.Receipt] = field(default_factory=list)
    _returns: list[intake_pb2.FollowReturnsResponse] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _hung_up: bool = False

    def submit_notifications(
        self, request: intake_pb2.SubmitNotificationsRequest
    ) -> intake_pb2.SubmitNotificationsResponse:
        """Stores a run and gives receipts."""
        self._check()
        with self._changed:
            self.submissions += 1
            if request.certificates:
                self.certificates_known = True
            if self.demand_certificates and not self.certificates_known:
                raise JukiError(Reason.UNKNOWN_SIGNING_KEY, "send the certificate")
            return self._submit(request)

    def _submit(
        self, request: intake_pb2.SubmitNotificationsRequest
    ) -> intake_pb2.SubmitNotificationsResponse:
        response = intake_pb2.SubmitNotificationsResponse(certificates=self.signer.certificates)
        first_new = last_new = 0
        for index, signed in enumerate(request.notifications):
            message = notification_pb2.Notification.FromString(signed.notification)
            digest = notification_digest(signed.notification)
            place = (message.epoch, message.sequence)
            known = self.held.get(place)
            try:
                if known is not None:
                    if notification_digest(known.notification) != digest:
                        raise JukiError(Reason.SEQUENCE_CONFLICT, "held with another digest")
                    continue
                self.position = follow(
                    self.position,
                    StreamLink(
                        *place,
                        message.predecessor_digest,
                        digest,
                        message.HasField("epoch_start"),
                        message.epoch_start.last_known_sequence,
                    ),
                )
            except JukiError as error:
                if index == 0:
                    raise
                response.refusal.index = index
                response.refusal.reason = errors_pb2.ErrorReason.Value(  # type: ignore[assignment]
                    f"ERROR_REASON_{error.reason.value}"
                )
                break
            self.held[place] = signed
            first_new = first_new or message.sequence
            last_new = message.sequence
        epochs = {
            notification_pb2.Notification.FromString(s.notification).epoch
            for s in request.notifications
        }
        (epoch,) = epochs
        first_sent = notification_pb2.Notification.FromString(
            request.notifications[0].notification
        ).sequence
        if last_new:
            receipt = self._receipt(self.signer, epoch, first_new, last_new)
            self._receipts.append(receipt)
            if self.nation is not None:
                self.send_back_national_receipt(epoch, first_new, last_new)
        last_sent = first_sent + len(request.notifications) - 1
        for receipt in self._receipts:
            covers = receipt.first_sequence <= last_sent and receipt.last_sequence >= first_sent
            if receipt.epoch == epoch and covers:
                response.receipts.append(self._signed(self.signer, receipt))
        return response

    def _receipt(
        self, signer: TestSigner, epoch: int, first: int, last: int
    ) -> notification_pb2.Receipt:
        return notification_pb2.Receipt(
            issuer=signer.identity,
            municipality=MUNICIPALITY,
            epoch=epoch,
            first_sequence=first,
            last_sequence=last,
            last_digest=notification_digest(self.held[epoch, last].notification),
            received_at=Timestamp(seconds=1_790_000_000),
        )

    def _signed(
        self, signer: TestSigner, receipt: notification_pb2.Receipt
    ) -> notification_pb2.SignedReceipt:
        data = receipt.SerializeToString()
        return notification_pb2.SignedReceipt(
            receipt=data, key_id=signer.key_id, signature=signer.sign(receipt_digest(data))
        )

    def send_back_national_receipt(self, epoch: int, first: int, last: int) -> None:
        """Lets the nation's receipt flow back."""
        assert self.nation is not None
        receipt = self._signed(self.nation, self._receipt(self.nation, epoch, first, last))
        self.send_back(
            intake_pb2.FollowReturnsResponse(
                national_receipt=receipt, certificates=self.nation.certificates
            )
        )

    def send_back(self, item: intake_pb2.FollowReturnsResponse) -> None:
        """Lets something flow back."""
        with self._changed:
            item.cursor = len(self._returns) + 1
            self._returns.append(item)
            self._changed.notify_all()

    def lose_after(self, epoch: int, sequence: int) -> None:
        """Forgets the end of the stream, as after a restore of its own."""
        with self._changed:
            self.held = {p: s for p, s in self.held.items() if p <= (epoch, sequence)}
            self._receipts = [r for r in self._receipts if r.last_sequence <= sequence]
            digest = notification_digest(self.held[epoch, sequence].notification)
            self.position = StreamPosition(epoch, sequence, digest)

    def get_stream_head(self, municipality: str) -> intake_pb2.GetStreamHeadResponse:
        """The head."""
        self._check()
        at = self.position
        return intake_pb2.GetStreamHeadResponse(
            epoch=at.epoch, sequence=at.sequence, digest=at.digest if at.epoch else b""
        )

    def fetch_notifications(
        self, request: intake_pb2.FetchNotificationsRequest
    ) -> intake_pb2.FetchNotificationsResponse:
        """A run."""
        self._check()
        places = (
            (request.epoch, sequence)
            for sequence in range(request.first_sequence, request.first_sequence + request.limit)
        )
        return intake_pb2.FetchNotificationsResponse(
            notifications=[self.held[place] for place in places if place in self.held]
        )

    def follow_returns(self, after_cursor: int) -> Iterator[intake_pb2.FollowReturnsResponse]:
        """What flows back, without end."""
        self._check()
        position = after_cursor
        while True:
            with self._changed:
                while len(self._returns) <= position and not self._hung_up:
                    self._changed.wait()
                if self._hung_up:
                    return
                items = self._returns[position:]
            yield from items
            position += len(items)

    def close_returns(self) -> None:
        """Ends `follow_returns`."""
        with self._changed:
            self._hung_up = True
            self._changed.notify_all()


class IntakeServicer(intake_pb2_grpc.NotificationIntakeServiceServicer):
    """The prefecture's intake behind gRPC."""

    def __init__(self, prefecture: FakePrefecture) -> None:
        self._prefecture = prefecture

    def SubmitNotifications(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._prefecture.submit_notifications(request)

    def GetStreamHead(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._prefecture.get_stream_head(request.municipality)

    def FetchNotifications(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._prefecture.fetch_notifications(request)

    def FollowReturns(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        yield from self._prefecture.follow_returns(request.after_cursor)


class CodeServicer(codes_pb2_grpc.CodeServiceServicer):
    """The prefecture's code service behind gRPC."""

    def __init__(self, prefecture: FakePrefecture) -> None:
        self._prefecture = prefecture

    def AllotCodes(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        values = self._prefecture.allot_codes(
            request.municipality, request.request_id, request.count
        )
        return codes_pb2.AllotCodesResponse(resident_record_codes=values)

    def GenerateIndividualNumbers(  # noqa: N802
        self, request: Any, context: grpc.ServicerContext
    ) -> Any:
        values = self._prefecture.generate_numbers(
            request.municipality, request.resident_record_codes, 1.0
        )
        return codes_pb2.GenerateIndividualNumbersResponse(individual_numbers=values)
