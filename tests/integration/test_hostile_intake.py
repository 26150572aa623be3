"""What each tier refuses by itself: the prefecture its gateways, the nation a prefecture.

The nation is called as a prefecture that wants to cheat would call it. Each refusal has its own
reason, is counted under it, and leaves nothing stored.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import grpc
import pytest

from juki.domain.change import ChangeReason
from juki.domain.codes import ResidentRecordCode
from juki.domain.errors import Reason
from juki.localnet.network import LocalNetwork
from juki.rpc.errors import Refusal, details_of
from juki.v1 import codes_pb2, codes_pb2_grpc, intake_pb2, intake_pb2_grpc, notification_pb2
from tests.network_fixtures import metric, upper_tiers
from tests.stream import Stream, information

__all__ = ["upper_tiers"]

ELSEWHERE = "131016"
"""A municipality of another prefecture."""


class Caller:
    """A caller of a tier's intake that hands over the stream of one municipality."""

    def __init__(
        self, network: LocalNetwork, tier: str, caller: str, municipality: str, neighbour: str
    ) -> None:
        self.network = network
        self.tier = tier
        self.municipality = municipality
        self.neighbour = neighbour
        self.channel = network.channel(caller, tier)
        self.intake = intake_pb2_grpc.NotificationIntakeServiceStub(self.channel)
        self.codes = codes_pb2_grpc.CodeServiceStub(self.channel)
        self.stream = Stream(municipality, network.custody(f"cs-{municipality}"))
        head = self.head()
        if head.epoch:
            self.stream.epoch, self.stream.sequence = head.epoch, head.sequence
            self.stream.digest = head.digest

    def head(self) -> intake_pb2.GetStreamHeadResponse:
        return self.intake.GetStreamHead(
            intake_pb2.GetStreamHeadRequest(municipality=self.municipality), timeout=20
        )

    def birth(self) -> notification_pb2.SignedNotification:
        """The next notification of the stream, under a code of the municipality's own pool."""
        request = codes_pb2.AllotCodesRequest(
            municipality=self.municipality, request_id=secrets.token_hex(16), count=1
        )
        (code,) = self.codes.AllotCodes(request, timeout=20).resident_record_codes
        digits = ResidentRecordCode.from_int(code).digits
        return self.stream.add(
            information(digits, ChangeReason.BIRTH, municipality=self.municipality)
        )

    def submit(
        self, signed: notification_pb2.SignedNotification, certificates: list[bytes] | None = None
    ) -> intake_pb2.SubmitNotificationsResponse:
        request = intake_pb2.SubmitNotificationsRequest(
            notifications=[signed], certificates=certificates or self.stream.certificates
        )
        return self.intake.SubmitNotifications(request, timeout=20)

    def refused_reasons(self) -> dict[Reason, float]:
        return {
            reason: metric(
                self.network, self.tier, f'juki_intake_refused_total{{reason="{reason}"}}'
            )
            for reason in Reason
        }


@pytest.fixture(params=["pref22", "national"])
def caller(request: pytest.FixtureRequest, upper_tiers: LocalNetwork) -> Iterator[Caller]:
    # The nation gets the stream of 221007 from its cheating prefecture alone.
    one = (
        Caller(upper_tiers, "pref22", "cs-221309", "221309", "221007")
        if request.param == "pref22"
        else Caller(upper_tiers, "national", "pref22", "221007", "221309")
    )
    one.submit(one.birth())
    yield one
    one.channel.close()


@dataclass(frozen=True)
class Offence:
    """One way to cheat, and the reason it is refused for."""

    name: str
    make: Callable[[Caller], tuple[notification_pb2.SignedNotification, list[bytes]]]
    reason: Reason

    def __str__(self) -> str:
        return self.name


def flipped_byte(caller: Caller) -> tuple[notification_pb2.SignedNotification, list[bytes]]:
    signed = caller.birth()
    damaged = bytearray(signed.notification)
    damaged[signed.notification.index("ハナコ".encode()) + 2] ^= 0x01
    signed.notification = bytes(damaged)
    return signed, caller.stream.certificates


def other_signer(caller: Caller) -> tuple[notification_pb2.SignedNotification, list[bytes]]:
    neighbour = Stream(caller.neighbour, caller.network.custody(f"cs-{caller.neighbour}"))
    return neighbour.sign(caller.birth().notification), neighbour.certificates


def signed_by_the_prefecture(
    caller: Caller,
) -> tuple[notification_pb2.SignedNotification, list[bytes]]:
    prefecture = Stream("", caller.network.custody("pref22"))
    return prefecture.sign(caller.birth().notification), prefecture.certificates


def reused_sequence(caller: Caller) -> tuple[notification_pb2.SignedNotification, list[bytes]]:
    stream = caller.stream
    held = (stream.epoch, stream.sequence, stream.digest)
    caller.submit(caller.birth())
    stream.epoch, stream.sequence, stream.digest = held
    return caller.birth(), stream.certificates


def unknown_municipality(
    caller: Caller,
) -> tuple[notification_pb2.SignedNotification, list[bytes]]:
    # A prefecture's code: nobody keeps a register under it.
    return _in_the_name_of(caller, "220001")


def elsewhere(caller: Caller) -> tuple[notification_pb2.SignedNotification, list[bytes]]:
    return _in_the_name_of(caller, ELSEWHERE)


def _in_the_name_of(
    caller: Caller, municipality: str
) -> tuple[notification_pb2.SignedNotification, list[bytes]]:
    caller.stream.municipality = municipality
    signed = caller.stream.add(information("24727059608", ChangeReason.BIRTH))
    return signed, caller.stream.certificates


def gap(caller: Caller) -> tuple[notification_pb2.SignedNotification, list[bytes]]:
    caller.birth()
    return caller.birth(), caller.stream.certificates


def other_predecessor(caller: Caller) -> tuple[notification_pb2.SignedNotification, list[bytes]]:
    caller.stream.digest = bytes(32)
    return caller.birth(), caller.stream.certificates


OFFENCES = [
    Offence("a flipped byte", flipped_byte, Reason.SIGNATURE_INVALID),
    Offence("another gateway's signature", other_signer, Reason.SIGNER_MISMATCH),
    Offence("the prefecture's signature", signed_by_the_prefecture, Reason.SIGNER_MISMATCH),
    Offence("a reused sequence", reused_sequence, Reason.SEQUENCE_CONFLICT),
    Offence("an unknown municipality", unknown_municipality, Reason.UNKNOWN_MUNICIPALITY),
    Offence("a gap", gap, Reason.SEQUENCE_GAP),
    Offence("another predecessor", other_predecessor, Reason.PREDECESSOR_MISMATCH),
]


def refusal_of(caller: Caller, offence: Offence) -> Refusal:
    signed, certificates = offence.make(caller)
    head, counted = caller.head(), caller.refused_reasons()
    with pytest.raises(grpc.RpcError) as caught:
        caller.submit(signed, certificates)
    assert caller.head() == head, "nothing is stored"
    counted[offence.reason] += 1
    assert caller.refused_reasons() == counted
    return details_of(caught.value)


@pytest.mark.parametrize("offence", OFFENCES, ids=str)
def test_each_tier_refuses_by_itself_counts_and_stores_nothing(
    caller: Caller, offence: Offence
) -> None:
    refusal = refusal_of(caller, offence)
    assert refusal.reason is offence.reason
    if offence.reason is Reason.SEQUENCE_GAP:
        assert refusal.metadata["expected_sequence"] == str(caller.head().sequence + 1)
    assert "花子" not in refusal.message


def test_nobody_speaks_for_another_prefectures_municipality(caller: Caller) -> None:
    expected = {
        "pref22": Reason.UNKNOWN_MUNICIPALITY,
        "national": Reason.NOT_OWN_MUNICIPALITY,
    }[caller.tier]
    assert refusal_of(caller, Offence("", elsewhere, expected)).reason is expected
    calls = (
        lambda: caller.intake.GetStreamHead(
            intake_pb2.GetStreamHeadRequest(municipality=ELSEWHERE), timeout=20
        ),
        lambda: caller.intake.FetchNotifications(
            intake_pb2.FetchNotificationsRequest(
                municipality=ELSEWHERE, epoch=1, first_sequence=1, limit=1
            ),
            timeout=20,
        ),
        lambda: caller.codes.AllotCodes(
            codes_pb2.AllotCodesRequest(
                municipality=ELSEWHERE, request_id=secrets.token_hex(16), count=1
            ),
            timeout=20,
        ),
        lambda: caller.codes.GenerateIndividualNumbers(
            codes_pb2.GenerateIndividualNumbersRequest(
                municipality=ELSEWHERE, resident_record_codes=[24727059608]
            ),
            timeout=20,
        ),
        lambda: caller.codes.RemakeIndividualNumber(
            codes_pb2.RemakeIndividualNumberRequest(
                municipality=ELSEWHERE,
                request_id=secrets.token_hex(16),
                resident_record_code=24727059608,
                former_individual_number=123456789018,
            ),
            timeout=20,
        ),
    )
    for call in calls:
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert details_of(caught.value).reason is expected


def test_a_duplicate_gets_the_first_receipt_again(caller: Caller) -> None:
    signed = caller.birth()
    first = caller.submit(signed)
    again = caller.submit(signed)
    assert list(again.receipts) == list(first.receipts)
    receipt = notification_pb2.Receipt.FromString(first.receipts[0].receipt)
    assert receipt.last_digest == caller.stream.digest
