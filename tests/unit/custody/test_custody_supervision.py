"""Pauses, PINs that are not tried twice, and a link that never blocks: without processes."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from hsm.backoff import LONGEST_PAUSE_SECONDS, Backoff
from hsm.link import Kind, Message, link_pair, receive, send
from hsm.pin_guard import PinGuard
from juki.rpc.health import HealthMonitor


def test_pauses_double_from_a_tenth_of_a_second_to_two_and_begin_anew_after_a_success() -> None:
    backoff = Backoff()
    pauses = [backoff.failed() for _ in range(7)]
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])
    assert backoff.failures == 7
    backoff.succeeded()
    assert backoff.failed() == pytest.approx(0.1)
    for _ in range(2000):
        assert backoff.failed() <= LONGEST_PAUSE_SECONDS


@pytest.fixture
def pin(tmp_path: Path) -> Path:
    """A PIN's file."""
    file = tmp_path / "pin"
    file.write_text("wrong")
    return file


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    """Where the guard remembers."""
    return tmp_path / "pin_refused.json"


def test_a_refused_pin_is_forbidden_to_every_later_process_until_its_file_changes(
    pin: Path, memory: Path
) -> None:
    guard = PinGuard(pin, memory)
    assert not guard.forbids(warned=False)
    guard.refused(locked=False, warned=False)
    assert guard.forbids(warned=False)
    assert PinGuard(pin, memory).forbids(warned=False)
    pin.write_text("right?")
    assert not PinGuard(pin, memory).forbids(warned=False)


def test_a_token_that_warns_no_more_has_been_given_a_pin_by_its_officer(
    pin: Path, memory: Path
) -> None:
    PinGuard(pin, memory).refused(locked=False, warned=True)
    assert PinGuard(pin, memory).forbids(warned=True)
    assert not PinGuard(pin, memory).forbids(warned=False)


def test_a_locked_pin_is_asked_about_again_only_after_a_while(pin: Path, memory: Path) -> None:
    now = [1000.0]
    guard = PinGuard(pin, memory, clock=lambda: now[0])
    guard.refused(locked=True, warned=False)
    now[0] += 29
    assert guard.forbids(warned=False)
    now[0] += 2
    assert not guard.forbids(warned=False)


def test_where_nothing_can_be_kept_one_process_still_tries_once(pin: Path, tmp_path: Path) -> None:
    guard = PinGuard(pin, tmp_path / "no such directory" / "pin_refused.json")
    guard.refused(locked=False, warned=False)
    assert guard.forbids(warned=False)


def test_an_accepted_pin_leaves_nothing_behind(pin: Path, memory: Path) -> None:
    guard = PinGuard(pin, memory)
    guard.refused(locked=False, warned=False)
    guard.accepted()
    assert not memory.exists()
    assert not guard.forbids(warned=False)


@pytest.mark.parametrize("kept", ["", "[]", "{}", '{"inode": 1}', "\x00"])
def test_a_damaged_memory_is_no_memory(pin: Path, memory: Path, kept: str) -> None:
    memory.write_text(kept)
    assert not PinGuard(pin, memory).forbids(warned=False)


def test_the_link_keeps_the_bounds_of_messages_and_ends_with_its_worker() -> None:
    front, worker = link_pair()
    with front:
        assert receive(front) == ([], True)
        send(worker, Kind.STARTED)
        send(worker, Kind.NOT_OPENED, "no token is labelled 'x'")
        said = [Message(Kind.STARTED), Message(Kind.NOT_OPENED, "no token is labelled 'x'")]
        assert receive(front) == (said, True)
        worker.close()
        assert receive(front) == ([], False)


def test_a_worker_is_not_held_up_by_a_front_that_does_not_read() -> None:
    front, worker = link_pair()
    with front, worker:
        for _ in range(10_000):
            send(worker, Kind.ALIVE)


def test_a_fault_shows_in_health_within_five_seconds() -> None:
    settings = inspect.signature(HealthMonitor).parameters
    assert settings["interval_seconds"].default + settings["deadline_seconds"].default < 5
