"""A restored gateway recovers its stream from the prefecture and starts a new epoch."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cs_gateway.epoch import EpochStarted, EpochStarter
from cs_gateway.group import Written
from cs_gateway.signing import StreamSigner
from cs_gateway.store import open_store
from juki.domain.change import ChangeReason
from juki.domain.errors import JukiError, Reason
from juki.store.engine import open_engine
from juki.v1 import notification_pb2, register_pb2
from tests.gateway_fixtures import MUNICIPALITY, four_items, register_event
from tests.prefecture_fixture import FakePrefecture
from tests.unit.test_gateway_relay import Running


def _take(running: Running, *events: register_pb2.RegisterEvent) -> list[Written]:
    return running.gateway.intake.hand_in(events, "rpc").wait(20)


EARLY = [register_event(f"e{n}", f"r{n}", ChangeReason.BIRTH) for n in range(3)]
LATE = [
    register_event("e10", "r10", ChangeReason.BIRTH, items=four_items("遠州　花子")),
    register_event("e11", "r0", ChangeReason.ADDRESS_CHANGE, items=four_items(town="天竜")),
    register_event(
        "e12", "r10", ChangeReason.ADDRESS_CHANGE, items=four_items("遠州　花子", "春野")
    ),
    register_event("e13", "r1", ChangeReason.CODE_CHANGE_REQUEST),
    register_event("e14", "r2", ChangeReason.DEATH),
]


class Restored:
    """A gateway whose backup was made after the early events and restored after the late ones."""

    def __init__(self, directory: Path) -> None:
        self.prefecture = FakePrefecture()
        self.running = Running(directory, self.prefecture)
        _take(self.running, *EARLY)
        self._settled()
        self.running.stop()
        for file in directory.glob("gateway.db*"):
            shutil.copy(file, directory / f"backup-{file.name}")
        self.running.start()
        self.late = _take(self.running, *LATE)
        self.end = self._settled()
        self.running.stop()
        for file in directory.glob("gateway.db*"):
            file.unlink()
        for file in directory.glob("backup-*"):
            file.rename(directory / file.name.removeprefix("backup-"))
        self.directory = directory

    def _settled(self) -> int:
        return self.running.wait(
            lambda s: (
                s.numbers_pending == 0
                and s.prefecture_through == s.issued_through == s.nation_through
                and s.codes_available >= 50
            )
        ).issued_through

    def new_epoch(
        self,
        *,
        reason: str = "restored",
        operator: str = "op-7",
        without_prefecture: bool = False,
    ) -> EpochStarted:
        engine = open_engine(f"sqlite:///{self.directory / 'gateway.db'}")
        store = open_store(engine, self.running.custody, MUNICIPALITY)
        signer = StreamSigner(self.running.custody)
        starter = EpochStarter(MUNICIPALITY, store, signer, self.prefecture, self.running.clock)
        try:
            return starter.start(reason, operator, without_prefecture=without_prefecture)
        finally:
            engine.dispose()


@pytest.fixture
def restored(tmp_path: Path) -> Iterator[Restored]:
    restored = Restored(tmp_path)
    restored.running.start()
    restored.running.stop()
    yield restored
    restored.running.stop()


def test_the_lost_end_of_the_stream_is_fetched_back_and_a_signed_start_follows(
    restored: Restored,
) -> None:
    started = restored.new_epoch()
    assert started.epoch == 2
    restored.running.start()
    restored.running.wait(lambda s: (s.prefecture_epoch, s.prefecture_through) >= (2, 1))
    signed = restored.prefecture.held[2, 1]
    start = notification_pb2.Notification.FromString(signed.notification).epoch_start
    assert (start.previous_epoch, start.last_known_sequence) == (1, restored.end)
    assert (start.reason, start.declared_by) == ("restored", "op-7")


def test_events_that_the_register_repeats_are_recognised(restored: Restored) -> None:
    restored.new_epoch()
    restored.running.start()
    again = _take(restored.running, *EARLY, *LATE)[len(EARLY) :]
    assert [(w.epoch, w.sequence) for w in again] == [(w.epoch, w.sequence) for w in restored.late]
    assert all(w.repeated for w in again)
    assert again[0].code == restored.late[0].code
    assert again[3].code == restored.late[3].code
    [next_change] = _take(
        restored.running,
        register_event("e20", "r10", ChangeReason.ADDRESS_CHANGE, items=four_items("遠州　花子")),
    )
    assert next_change.epoch == 2
    assert next_change.code == restored.late[0].code
    [after_death] = _take(restored.running, register_event("e21", "r2", ChangeReason.DEATH))
    assert after_death.refusal is Reason.IMPOSSIBLE_EVENT


def test_no_code_of_the_restored_pool_is_ever_given_again(restored: Restored) -> None:
    given = {w.code for w in restored.late}
    pool_before = {code for codes in restored.prefecture.allotted.values() for code in codes}
    restored.new_epoch()
    restored.running.start()
    outcomes = _take(
        restored.running,
        *(register_event(f"n{n}", f"n{n}", ChangeReason.BIRTH) for n in range(20)),
    )
    assert {w.refusal for w in outcomes} == {None}
    new = {w.code for w in outcomes}
    assert not new & given
    assert not {int(code) for code in new} & pool_before


def test_a_restored_gateway_takes_in_nothing_before_its_new_epoch(restored: Restored) -> None:
    restored.running.start()
    with pytest.raises(JukiError) as refused:
        _take(restored.running, register_event("x1", "x1", ChangeReason.BIRTH))
    assert refused.value.reason is Reason.EPOCH_SUPERSEDED
    with pytest.raises(JukiError):
        restored.running.gateway.writer.check()  # a probe of health
    restored.running.stop()
    assert restored.new_epoch().epoch == 2
    restored.running.start()
    restored.running.gateway.writer.check()
    [outcome] = _take(restored.running, register_event("x1", "x1", ChangeReason.BIRTH))
    assert (outcome.refusal, outcome.epoch) == (None, 2)


def test_events_taken_in_unseen_after_a_restore_are_found_to_contradict(restored: Restored) -> None:
    restored.prefecture.available = False
    restored.running.start()
    _take(restored.running, register_event("x1", "x1", ChangeReason.BIRTH))
    restored.prefecture.available = True
    for _ in range(300):
        try:
            _take(restored.running, register_event("x2", "x2", ChangeReason.BIRTH))
        except JukiError as error:
            refused = error
            break
        restored.running.gateway.progress.wait(restored.running.gateway.progress.version, 0.1)
    assert refused.reason is Reason.EPOCH_SUPERSEDED
    restored.running.stop()
    with pytest.raises(JukiError) as diverged:
        restored.new_epoch()
    assert diverged.value.reason is Reason.SEQUENCE_CONFLICT
    restored.running.start()


def test_a_new_epoch_waits_for_the_prefecture_unless_told_otherwise(restored: Restored) -> None:
    restored.prefecture.available = False
    with pytest.raises(JukiError) as refused:
        restored.new_epoch()
    assert refused.value.reason is Reason.UPSTREAM_UNAVAILABLE
    started = restored.new_epoch(without_prefecture=True)
    assert (started.epoch, started.recovered) == (2, 0)
    restored.prefecture.available = True
    restored.running.start()
    restored.running.wait(lambda s: (s.prefecture_epoch, s.prefecture_through) >= (2, 1))


def test_a_notification_slipped_in_at_the_prefecture_is_not_recovered(restored: Restored) -> None:
    place = (1, restored.end)
    forged = notification_pb2.SignedNotification()
    forged.CopyFrom(restored.prefecture.held[place])
    forged.signature = bytes(64)
    restored.prefecture.held[place] = forged
    with pytest.raises(JukiError) as refused:
        restored.new_epoch()
    assert refused.value.reason is Reason.SIGNATURE_INVALID
    restored.running.start()


@pytest.mark.parametrize(("reason", "operator"), [("", "op-7"), ("x" * 201, "op-7"), ("why", "")])
def test_an_epoch_start_that_no_tier_would_take_is_never_signed(
    restored: Restored, reason: str, operator: str
) -> None:
    with pytest.raises(JukiError) as refused:
        restored.new_epoch(reason=reason, operator=operator)
    assert refused.value.reason is Reason.INVALID_FIELD
    assert restored.new_epoch().epoch == 2
