"""What the gateway needs of custody, of the next tier and of the outside world."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from juki.custody.signing import SigningCustody
from juki.v1 import intake_pb2, notification_pb2


class Clock(Protocol):
    """Gives the time in microseconds since 1970-01-01 UTC."""

    def __call__(self) -> int:
        """The time now."""


class RandomSource(Protocol):
    """Uniform choices that nobody can foresee, such as `random.SystemRandom`."""

    def randrange(self, stop: int, /) -> int:
        """An integer in [0, stop)."""


class NewDataKey(Protocol):
    """A data key in the clear, for memory only, and as the token wrapped it."""

    @property
    def plaintext(self) -> bytes:
        """The key, 32 bytes."""

    @property
    def wrapped(self) -> bytes:
        """What may be stored."""


class GatewayCustody(SigningCustody, Protocol):
    """What the gateway needs of the custody of keys."""

    def new_data_key(self, wrapping_key: str) -> NewDataKey:
        """A fresh 32-byte key, and the same key wrapped by the token."""

    def unwrap_data_key(self, wrapping_key: str, wrapped: bytes) -> bytes:
        """The 32-byte key that `wrapped` holds."""

    def rewrap_data_key(self, wrapping_key: str, wrapped: bytes) -> bytes:
        """The same key wrapped by the generation of the wrapping key in use."""


class Upstream(Protocol):
    """The prefectural server, as the gateway calls it.

    Every method raises `JukiError`: UPSTREAM_UNAVAILABLE when the prefecture does not answer, else
    the reason that it gave.
    """

    def submit_notifications(
        self, request: intake_pb2.SubmitNotificationsRequest
    ) -> intake_pb2.SubmitNotificationsResponse:
        """Hands over a run of the stream."""

    def get_stream_head(self, municipality: str) -> intake_pb2.GetStreamHeadResponse:
        """How far the prefecture holds the stream."""

    def fetch_notifications(
        self, request: intake_pb2.FetchNotificationsRequest
    ) -> intake_pb2.FetchNotificationsResponse:
        """A run of the stream as the prefecture holds it."""

    def follow_returns(self, after_cursor: int) -> Iterator[intake_pb2.FollowReturnsResponse]:
        """What flows back, from a cursor on; ends when `close_returns` is called."""

    def close_returns(self) -> None:
        """Ends a running `follow_returns`."""

    def allot_codes(self, municipality: str, request_id: str, count: int) -> list[int]:
        """Unused resident record codes as decimal values; the same for the same request id."""

    def generate_numbers(
        self, municipality: str, codes: Sequence[int], timeout: float
    ) -> list[int]:
        """Individual Numbers for codes, in their order; `timeout` in seconds."""

    def remake_number(self, municipality: str, request_id: str, code: int, former: int) -> int:
        """The number that replaces `former`; the same for the same former number."""


class ReceiptVerifier(Protocol):
    """Checks a receipt's signature and its signer's certificate."""

    def __call__(
        self,
        receipt: notification_pb2.SignedReceipt,
        certificates: Sequence[bytes],
        identity: str,
    ) -> notification_pb2.Receipt:
        """The receipt, signed by `identity`.

        Raises:
            JukiError: UNKNOWN_SIGNING_KEY, SIGNER_MISMATCH or SIGNATURE_INVALID.
        """
