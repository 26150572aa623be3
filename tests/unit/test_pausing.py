"""Pauses after failures grow, stay short enough to find a neighbour again, and never overflow."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import cs_gateway.worker
import pref_server.pausing


@pytest.mark.parametrize(
    "pause_after", [cs_gateway.worker.pause_after, pref_server.pausing.pause_after]
)
def test_a_neighbour_away_for_days_is_found_within_five_seconds_of_its_return(
    pause_after: Callable[[int, Callable[[float, float], float]], float],
) -> None:
    pauses = [pause_after(failures, max) for failures in (1, 2, 3, 4, 5, 100_000)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 1
    assert pauses[-1] == 5
