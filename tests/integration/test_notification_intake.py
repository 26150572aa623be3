"""What the prefectural and the national server take in, and what they refuse and why."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import grpc
import pytest

from juki.domain.change import ChangeReason
from juki.domain.codes import ResidentRecordCode
from juki.domain.envelope import receipt_digest
from juki.domain.errors import Reason
from juki.localnet.network import LocalNetwork
from juki.rpc.errors import details_of
from juki.v1 import codes_pb2, codes_pb2_grpc, intake_pb2, intake_pb2_grpc, notification_pb2
from tests.network_fixtures import metric, upper_tiers, wait_until
from tests.stream import Stream, information

__all__ = ["upper_tiers"]


class Gateway:
    """A municipality's side of the connection to its prefecture."""

    def __init__(self, network: LocalNetwork, municipality: str) -> None:
        self.network = network
        self.stream = Stream(municipality, network.custody(f"cs-{municipality}"))
        self.channel = network.channel(f"cs-{municipality}", "pref22")
        self.intake = intake_pb2_grpc.NotificationIntakeServiceStub(self.channel)
        self.codes = codes_pb2_grpc.CodeServiceStub(self.channel)
        head = self.intake.GetStreamHead(intake_pb2.GetStreamHeadRequest(municipality=municipality))
        if head.epoch:
            self.stream.epoch, self.stream.sequence = head.epoch, head.sequence
            self.stream.digest = head.digest

    def code(self) -> str:
        """A fresh resident record code of the municipality's own pool."""
        response = self.codes.AllotCodes(
            codes_pb2.AllotCodesRequest(
                municipality=self.stream.municipality, request_id=secrets.token_hex(16), count=1
            )
        )
        return ResidentRecordCode.from_int(response.resident_record_codes[0]).digits

    def submit(
        self, *signed: notification_pb2.SignedNotification
    ) -> intake_pb2.SubmitNotificationsResponse:
        """Hands a run over."""
        return self.intake.SubmitNotifications(
            intake_pb2.SubmitNotificationsRequest(
                notifications=signed, certificates=self.stream.certificates
            )
        )

    def head(self) -> tuple[int, int]:
        """Epoch and sequence that the prefecture holds."""
        head = self.intake.GetStreamHead(
            intake_pb2.GetStreamHeadRequest(municipality=self.stream.municipality)
        )
        return head.epoch, head.sequence

    def nation_holds(self) -> bool:
        """Whether the nation's receipt covers the stream's head."""
        call = self.intake.FollowReturns(intake_pb2.FollowReturnsRequest(), timeout=20)
        try:
            for item in call:
                if item.HasField("national_receipt"):
                    receipt = notification_pb2.Receipt.FromString(item.national_receipt.receipt)
                    if (receipt.epoch, receipt.last_sequence) == (
                        self.stream.epoch,
                        self.stream.sequence,
                    ):
                        return True
        finally:
            call.cancel()
        return False


@pytest.fixture
def gateway(upper_tiers: LocalNetwork) -> Iterator[Gateway]:
    """The gateway of 221309."""
    one = Gateway(upper_tiers, "221309")
    yield one
    one.channel.close()


@pytest.fixture
def other_gateway(upper_tiers: LocalNetwork) -> Iterator[Gateway]:
    """The gateway of 221007."""
    one = Gateway(upper_tiers, "221007")
    yield one
    one.channel.close()


def refused(gateway: Gateway, *signed: notification_pb2.SignedNotification) -> Reason | None:
    """The reason for which a run is refused; the stream's head must not have moved."""
    before = gateway.head()
    with pytest.raises(grpc.RpcError) as caught:
        gateway.submit(*signed)
    assert gateway.head() == before
    return details_of(caught.value).reason


def birth(gateway: Gateway) -> notification_pb2.SignedNotification:
    return gateway.stream.add(information(gateway.code(), ChangeReason.BIRTH))


def test_a_birth_is_receipted_by_the_prefecture_and_then_by_the_nation(gateway: Gateway) -> None:
    signed = birth(gateway)
    response = gateway.submit(signed)
    (receipt,) = response.receipts
    parsed = notification_pb2.Receipt.FromString(receipt.receipt)
    assert parsed.issuer == "spiffe://pref22.juki.example/server"
    assert parsed.last_digest == gateway.stream.digest
    assert list(parsed.disputed) == []
    assert gateway.nation_holds()


def test_a_receipt_is_signed_by_the_tier_that_gave_it(gateway: Gateway) -> None:
    from cryptography import x509

    from juki.custody.verify import verify_signature

    response = gateway.submit(birth(gateway))
    (receipt,) = response.receipts
    key = x509.load_der_x509_certificate(response.certificates[0]).public_key()
    assert verify_signature(key, receipt_digest(receipt.receipt), receipt.signature)
    assert not verify_signature(key, receipt_digest(receipt.receipt + b"x"), receipt.signature)


def test_a_duplicate_gets_the_first_receipt_again(gateway: Gateway) -> None:
    signed = birth(gateway)
    first = gateway.submit(signed)
    head = gateway.head()
    again = gateway.submit(signed)
    assert again.receipts == first.receipts
    assert gateway.head() == head


def test_a_flipped_byte_in_a_notification_is_refused_as_a_bad_signature(
    gateway: Gateway, upper_tiers: LocalNetwork
) -> None:
    sample = 'juki_intake_refused_total{reason="SIGNATURE_INVALID"}'
    before = metric(upper_tiers, "pref22", sample)
    signed = birth(gateway)
    position = signed.notification.index("ハナコ".encode())
    damaged = bytearray(signed.notification)
    damaged[position + 2] ^= 0x01
    signed.notification = bytes(damaged)
    assert refused(gateway, signed) is Reason.SIGNATURE_INVALID
    assert metric(upper_tiers, "pref22", sample) == before + 1


def test_another_municipalitys_signature_is_refused_as_a_signer_mismatch(
    gateway: Gateway, other_gateway: Gateway
) -> None:
    genuine = birth(gateway)
    forged = other_gateway.stream.sign(genuine.notification)
    before = gateway.head()
    with pytest.raises(grpc.RpcError) as caught:
        gateway.intake.SubmitNotifications(
            intake_pb2.SubmitNotificationsRequest(
                notifications=[forged], certificates=other_gateway.stream.certificates
            )
        )
    assert details_of(caught.value).reason is Reason.SIGNER_MISMATCH
    assert gateway.head() == before


def test_a_key_without_a_certificate_is_refused_as_unknown(gateway: Gateway) -> None:
    signed = birth(gateway)
    signed.key_id = bytes(32)
    assert refused(gateway, signed) is Reason.UNKNOWN_SIGNING_KEY


def test_a_reused_sequence_with_other_content_is_a_conflict(gateway: Gateway) -> None:
    stream = gateway.stream
    epoch, sequence, digest = stream.epoch, stream.sequence, stream.digest
    gateway.submit(birth(gateway))
    stream.epoch, stream.sequence, stream.digest = epoch, sequence, digest
    assert refused(gateway, birth(gateway)) is Reason.SEQUENCE_CONFLICT


def test_a_gap_is_answered_with_the_sequence_expected(gateway: Gateway) -> None:
    expected = gateway.stream.sequence + 1
    birth(gateway)
    with pytest.raises(grpc.RpcError) as caught:
        gateway.submit(birth(gateway))
    refusal = details_of(caught.value)
    assert refusal.reason is Reason.SEQUENCE_GAP
    assert refusal.metadata["expected_sequence"] == str(expected)


def test_a_municipality_that_keeps_no_register_here_is_unknown(gateway: Gateway) -> None:
    gateway.stream.municipality = "131016"
    signed = gateway.stream.add(information("24727059608", ChangeReason.BIRTH))
    with pytest.raises(grpc.RpcError) as caught:
        gateway.submit(signed)
    assert details_of(caught.value).reason is Reason.UNKNOWN_MUNICIPALITY


def test_a_gateway_may_not_speak_for_its_neighbour(
    gateway: Gateway, other_gateway: Gateway
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        gateway.submit(birth(other_gateway))
    assert details_of(caught.value).reason is Reason.NOT_OWN_MUNICIPALITY


def test_bytes_that_are_no_notification_are_malformed(gateway: Gateway) -> None:
    assert refused(gateway, gateway.stream.sign(b"\xff\xff\xff")) is Reason.MALFORMED_MESSAGE


def test_what_stands_before_a_refused_notification_is_taken(gateway: Gateway) -> None:
    first, second = birth(gateway), birth(gateway)
    second.signature = bytes(64)
    response = gateway.submit(first, second)
    assert len(response.receipts) == 1
    assert response.refusal.index == 1
    assert gateway.head()[1] == gateway.stream.sequence - 1


def test_impossible_content_is_held_as_disputed_and_does_not_block_the_stream(
    gateway: Gateway,
) -> None:
    never_entered = gateway.stream.add(information(gateway.code(), ChangeReason.DEATH))
    impossible_date = information(gateway.code(), ChangeReason.BIRTH)
    impossible_date.birth_date.month, impossible_date.birth_date.day = 2, 30
    foreign_address = information(gateway.code(), ChangeReason.BIRTH, municipality="131016")
    response = gateway.submit(
        never_entered,
        gateway.stream.add(impossible_date),
        gateway.stream.add(foreign_address),
        birth(gateway),
    )
    receipt = notification_pb2.Receipt.FromString(response.receipts[0].receipt)
    assert [one.reason for one in receipt.disputed] == [
        notification_pb2.DISPUTE_REASON_NO_ENTRY,
        notification_pb2.DISPUTE_REASON_IMPOSSIBLE_VALUE,
        notification_pb2.DISPUTE_REASON_IMPOSSIBLE_VALUE,
    ]
    assert gateway.nation_holds()


def test_a_code_that_was_never_allotted_is_disputed_at_the_nation(
    gateway: Gateway, upper_tiers: LocalNetwork
) -> None:
    sample = 'juki_intake_notifications_total{outcome="disputed"}'
    before = metric(upper_tiers, "national", sample)
    gateway.submit(gateway.stream.add(information("24727059608", ChangeReason.BIRTH)))
    assert gateway.nation_holds()
    assert metric(upper_tiers, "national", sample) == before + 1


def test_two_municipalities_claiming_one_person_are_told_through_the_governor(
    gateway: Gateway, other_gateway: Gateway
) -> None:
    code = gateway.code()
    gateway.submit(gateway.stream.add(information(code, ChangeReason.BIRTH)))
    other_gateway.submit(
        other_gateway.stream.add(
            information(code, ChangeReason.EX_OFFICIO_ENTRY, municipality="221007")
        )
    )
    for one in (gateway, other_gateway):
        call = one.intake.FollowReturns(intake_pb2.FollowReturnsRequest(), timeout=20)
        report = next(
            item.dispute
            for item in call
            if item.HasField("dispute")
            and item.dispute.reason == notification_pb2.DISPUTE_REASON_TWO_CLAIMS
        )
        call.cancel()
        assert list(report.municipalities) == ["221007", "221309"]


def test_a_move_whose_entry_arrives_before_the_deletion_is_no_dispute(
    gateway: Gateway, other_gateway: Gateway, upper_tiers: LocalNetwork
) -> None:
    sample = 'juki_intake_notifications_total{outcome="disputed"}'
    code = gateway.code()
    gateway.submit(gateway.stream.add(information(code, ChangeReason.BIRTH)))
    assert gateway.nation_holds()
    before = metric(upper_tiers, "national", sample)
    other_gateway.submit(
        other_gateway.stream.add(
            information(code, ChangeReason.MOVING_IN, municipality="221007"), moved_from="221309"
        )
    )
    assert other_gateway.nation_holds()
    gateway.submit(
        gateway.stream.add(information(code, ChangeReason.MOVING_OUT), moved_to="221007")
    )
    assert gateway.nation_holds()
    assert metric(upper_tiers, "national", sample) == before


def test_a_restored_gateway_starts_a_new_epoch_and_the_old_one_is_closed(
    other_gateway: Gateway,
) -> None:
    stream = other_gateway.stream
    other_gateway.submit(birth(other_gateway))
    known_sequence, known_digest = stream.sequence, stream.digest
    other_gateway.submit(
        stream.start_epoch(known_sequence=known_sequence, known_digest=known_digest)
    )
    other_gateway.submit(birth(other_gateway))
    assert other_gateway.nation_holds()
    stale = Stream(
        stream.municipality, stream.custody, stream.epoch - 1, known_sequence, known_digest
    )
    late = stale.add(information(other_gateway.code(), ChangeReason.BIRTH))
    assert refused(other_gateway, late) is Reason.EPOCH_SUPERSEDED


def test_an_epoch_nobody_started_is_unknown(gateway: Gateway) -> None:
    gateway.stream.epoch += 5
    gateway.stream.sequence = 0
    assert refused(gateway, birth(gateway)) is Reason.EPOCH_UNKNOWN


def test_a_gateway_gets_its_notifications_back_as_it_sent_them(gateway: Gateway) -> None:
    signed = birth(gateway)
    gateway.submit(signed)
    response = gateway.intake.FetchNotifications(
        intake_pb2.FetchNotificationsRequest(
            municipality="221309",
            epoch=gateway.stream.epoch,
            first_sequence=gateway.stream.sequence,
            limit=10,
        )
    )
    assert list(response.notifications) == [signed]


def test_the_same_code_gets_the_same_individual_number_and_only_for_its_municipality(
    gateway: Gateway, other_gateway: Gateway
) -> None:
    code = int(gateway.code())
    request = codes_pb2.GenerateIndividualNumbersRequest(
        municipality="221309", resident_record_codes=[code]
    )
    first = gateway.codes.GenerateIndividualNumbers(request)
    assert gateway.codes.GenerateIndividualNumbers(request) == first
    request.municipality = "221007"
    with pytest.raises(grpc.RpcError) as caught:
        other_gateway.codes.GenerateIndividualNumbers(request)
    assert details_of(caught.value).reason is Reason.CODE_NOT_ALLOTTED


def test_an_allotment_is_repeated_for_the_same_request_and_never_overlaps(
    gateway: Gateway, other_gateway: Gateway
) -> None:
    request = codes_pb2.AllotCodesRequest(
        municipality="221309", request_id=secrets.token_hex(16), count=500
    )
    first = gateway.codes.AllotCodes(request).resident_record_codes
    assert gateway.codes.AllotCodes(request).resident_record_codes == first
    other = other_gateway.codes.AllotCodes(
        codes_pb2.AllotCodesRequest(municipality="221007", request_id=request.request_id, count=500)
    ).resident_record_codes
    assert len({*first, *other}) == 1000


def test_the_servers_report_health_only_after_signing_writing_and_reading(
    upper_tiers: LocalNetwork,
) -> None:
    for server in ("national", "pref22"):
        wait_until(
            lambda server=server: metric(upper_tiers, server, 'juki_health{check="sign"}') == 1
        )
        for check in ("write", "read"):
            assert metric(upper_tiers, server, f'juki_health{{check="{check}"}}') == 1
