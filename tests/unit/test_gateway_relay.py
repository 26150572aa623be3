"""The whole gateway against a prefecture in memory: relay, returns, codes and numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from cs_gateway.gateway import Gateway, GatewayOptions
from cs_gateway.group import Written
from cs_gateway.progress import Standing
from cs_gateway.replenishment import PoolMarks
from cs_gateway.tables import CODE_REQUEST, DISPUTE, RECEIPT
from juki.domain.change import ChangeReason
from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import Reason
from juki.store.engine import migrate, open_engine
from juki.v1 import intake_pb2, notification_pb2
from tests.gateway_fixtures import (
    MUNICIPALITY,
    MemoryCustody,
    TickingClock,
    number_for,
    register_event,
)
from tests.network_fixtures import wait_until
from tests.prefecture_fixture import (
    PREFECTURE,
    FakePrefecture,
    pretended_signer,
    pretended_verifier,
)


class Running:
    """A gateway that runs, and can be started again on the same database."""

    def __init__(self, directory: Path, prefecture: FakePrefecture) -> None:
        self.directory = directory
        self.prefecture = prefecture
        self.custody = MemoryCustody()
        self.clock = TickingClock()
        self.count = 0
        self.start()

    def start(self) -> None:
        self.prefecture._hung_up = False
        self.engine = open_engine(f"sqlite:///{self.directory / 'gateway.db'}")
        migrate(self.engine, "gateway")
        self.registry = CollectorRegistry()
        self.gateway = Gateway(
            GatewayOptions(LocalGovernmentCode(MUNICIPALITY), marks=PoolMarks(50, 200)),
            engine=self.engine,
            custody=self.custody,
            upstream=self.prefecture,
            verify=pretended_verifier,
            registry=self.registry,
            clock=self.clock,
        )
        self.gateway.start()

    def stop(self) -> None:
        self.gateway.close()
        self.engine.dispose()

    def births(self, count: int) -> list[Written]:
        first = self.count
        self.count += count
        events = [
            register_event(f"e{n}", f"r{n}", ChangeReason.BIRTH) for n in range(first, self.count)
        ]
        return self.gateway.intake.hand_in(events, "rpc").wait(20)

    def wait_for_failure(self, reason: Reason) -> None:
        name, labels = "juki_gateway_worker_failures_total", {"reason": reason.value}
        for _ in range(300):
            if self.registry.get_sample_value(name, labels):
                return
            self.gateway.progress.wait(self.gateway.progress.version, 0.1)
        raise AssertionError("it did not fail")

    def wait(self, condition: Callable[[Standing], bool], seconds: float = 20) -> Standing:
        progress = self.gateway.progress
        version, standing = progress.version, progress.standing
        for _ in range(10_000):
            if condition(standing):
                return standing
            before = version
            version, standing = progress.wait(version, seconds)
            assert version != before, f"it did not come to pass: {standing}"
        raise AssertionError("it did not come to pass")


@pytest.fixture
def prefecture() -> FakePrefecture:
    return FakePrefecture()


@pytest.fixture
def running(tmp_path: Path, prefecture: FakePrefecture) -> Iterator[Running]:
    running = Running(tmp_path, prefecture)
    yield running
    running.stop()


def test_an_event_becomes_known_to_the_prefecture_and_to_the_nation(
    running: Running, prefecture: FakePrefecture
) -> None:
    running.births(3)
    running.wait(lambda s: s.nation_through >= 3 and s.prefecture_through >= 3)
    assert list(prefecture.held)[:3] == [(1, 1), (1, 2), (1, 3)]
    count = running.registry.get_sample_value("juki_notification_propagation_seconds_count")
    assert count is not None
    assert count >= 3
    with running.gateway.store.read() as connection:
        tiers = set(connection.scalars(select(RECEIPT.c.tier)))
    assert tiers == {"prefecture", "nation"}


def test_numbers_are_designated_in_the_background(running: Running) -> None:
    [born] = running.births(1)
    assert born.number == ""
    running.wait(lambda s: s.issued_through == 2 and s.numbers_pending == 0)
    resident = running.gateway.store.resident(running.gateway.store.sealer.blind("record_id", "r0"))
    assert resident is not None
    information = resident.information
    assert int(information.individual_number) == number_for(int(born.code))
    assert information.change.reason == ChangeReason.NUMBER_DESIGNATION


def test_one_refused_number_does_not_hold_up_the_others(
    running: Running, prefecture: FakePrefecture
) -> None:
    prefecture.available = False
    running.wait(lambda s: s.codes_available == 0 or s.codes_available >= 50)
    if running.gateway.progress.standing.codes_available < 50:
        prefecture.available = True
        running.wait(lambda s: s.codes_available >= 50)
        prefecture.available = False
    outcomes = running.births(9)
    prefecture.refused_codes = {int(outcomes[4].code)}
    prefecture.available = True
    running.wait(lambda s: s.numbers_pending == 1 and s.issued_through == 17)


def test_the_pool_is_refilled_on_demand_and_below_the_low_water_mark(running: Running) -> None:
    outcomes = running.births(400)
    assert {w.refusal for w in outcomes} == {None}
    assert len({w.code for w in outcomes}) == 400
    running.wait(lambda s: s.codes_available >= 50)


def test_a_request_for_codes_is_durable_before_it_is_sent(
    running: Running, prefecture: FakePrefecture
) -> None:
    running.wait(lambda s: s.codes_available >= 50)
    with running.gateway.store.read() as connection:
        stored = {r.request_id: r.wanted for r in connection.execute(select(CODE_REQUEST))}
    assert stored == dict(prefecture.requests)


def test_what_is_held_at_the_prefecture_is_not_sent_twice_after_a_restart(
    running: Running, prefecture: FakePrefecture
) -> None:
    running.births(2)
    standing = running.wait(
        lambda s: s.numbers_pending == 0 and s.prefecture_through == s.issued_through == 4
    )
    sent = prefecture.submissions
    running.stop()
    running.start()
    assert running.gateway.progress.standing.prefecture_through == standing.prefecture_through
    running.births(1)
    running.wait(lambda s: s.prefecture_through == s.issued_through >= 6)
    assert prefecture.submissions <= sent + 2
    assert prefecture.position.sequence == 6


def test_a_prefecture_that_lost_notifications_gets_them_again(
    running: Running, prefecture: FakePrefecture
) -> None:
    running.births(4)
    running.wait(lambda s: s.prefecture_through == s.issued_through == 8)
    prefecture.lose_after(1, 3)
    running.births(1)
    running.wait(lambda s: s.prefecture_through == s.issued_through == 10)
    assert sorted(prefecture.held) == [(1, n) for n in range(1, 11)]
    lost = running.registry.get_sample_value("juki_gateway_prefecture_lost_notifications_total")
    assert lost == 1


def test_a_prefecture_that_lost_notifications_gets_them_again_though_nothing_happens(
    running: Running, prefecture: FakePrefecture
) -> None:
    running.births(4)
    running.wait(lambda s: s.prefecture_through == s.issued_through == 8)
    prefecture.lose_after(1, 3)
    running.clock.advance(10_000_000)
    wait_until(lambda: sorted(prefecture.held) == [(1, n) for n in range(1, 9)])


def test_a_prefecture_that_forgot_the_certificate_gets_it_again(
    running: Running, prefecture: FakePrefecture
) -> None:
    running.births(1)
    running.wait(lambda s: s.prefecture_through == s.issued_through == 2)
    prefecture.certificates_known = False
    running.births(1)
    running.wait(lambda s: s.prefecture_through == s.issued_through == 4)


def test_a_receipt_that_somebody_else_signed_is_not_believed(
    running: Running, prefecture: FakePrefecture
) -> None:
    running.wait(lambda s: s.codes_available >= 50)
    stranger = pretended_signer("spiffe://pref13.juki.example/server")
    prefecture.signer = dataclasses.replace(stranger, identity=PREFECTURE)
    running.births(1)
    running.wait_for_failure(Reason.SIGNATURE_INVALID)
    assert running.gateway.progress.standing.prefecture_through == 0
    prefecture.signer = pretended_signer(PREFECTURE)
    running.wait(lambda s: s.prefecture_through >= 1)


def test_a_receipt_for_other_content_than_was_sent_is_not_believed(
    running: Running, prefecture: FakePrefecture, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.wait(lambda s: s.codes_available >= 50)
    honest = prefecture._receipt

    def dishonest(*arguments: Any) -> notification_pb2.Receipt:
        receipt = honest(*arguments)
        receipt.last_digest = bytes(32)
        return receipt

    monkeypatch.setattr(prefecture, "_receipt", dishonest)
    running.births(1)
    running.wait_for_failure(Reason.TAMPERING_DETECTED)
    standing = running.gateway.progress.standing
    assert (standing.prefecture_through, standing.nation_through) == (0, 0)


def test_a_national_receipt_for_other_content_is_not_believed(
    running: Running, prefecture: FakePrefecture
) -> None:
    nation, prefecture.nation = prefecture.nation, None
    running.births(1)
    running.wait(lambda s: s.prefecture_through == s.issued_through == 2)
    prefecture.nation = nation
    held = dict(prefecture.held)
    prefecture.held[1, 2] = notification_pb2.SignedNotification(notification=b"other")
    prefecture.send_back_national_receipt(1, 1, 2)
    running.wait_for_failure(Reason.TAMPERING_DETECTED)
    assert running.gateway.progress.standing.nation_through == 0
    prefecture._returns.clear()
    prefecture.held = held
    prefecture.send_back_national_receipt(1, 1, 2)
    running.wait(lambda s: s.nation_through == 2)


def test_disputes_flow_back_and_are_marked_when_resolved(
    running: Running, prefecture: FakePrefecture
) -> None:
    running.births(1)
    running.wait(lambda s: s.nation_through >= 2)
    report = notification_pb2.DisputeReport(
        dispute_id="d1",
        reason=notification_pb2.DISPUTE_REASON_TWO_CLAIMS,
        municipalities=[MUNICIPALITY, "221007"],
        found_at=Timestamp(seconds=1),
    )
    resolved = notification_pb2.DisputeReport()
    resolved.CopyFrom(report)
    resolved.resolved_at.seconds = 2
    prefecture.send_back(intake_pb2.FollowReturnsResponse(dispute=report))
    prefecture.send_back(intake_pb2.FollowReturnsResponse(dispute=resolved))
    running.births(1)
    running.wait(lambda s: s.nation_through >= 4)
    with running.gateway.store.read() as connection:
        rows = connection.execute(select(DISPUTE.c.dispute_id, DISPUTE.c.resolved)).all()
    assert [tuple(row) for row in rows] == [("d1", True)]
