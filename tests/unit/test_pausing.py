"""Pauses after failures grow, stay short enough to find a neighbour again, and never overflow."""

from __future__ import annotations

from juki.worker import pause_after


def test_a_neighbour_away_for_days_is_found_within_five_seconds_of_its_return() -> None:
    pauses = [pause_after(failures, max) for failures in (1, 2, 3, 4, 5, 100_000)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 1
    assert pauses[-1] == 5
