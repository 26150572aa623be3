"""Merging of runs: eight neighbours of a size become one, so that a query looks into few."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from juki.audit.persons.rows import Numbers
from juki.audit.persons.run import Run, write_run

FAN: Final = 8
"""Runs merged at once: each row is rewritten once for every eightfold growth."""

MAX_RUN_ROWS: Final = 1 << 30
"""16 GiB: no run grows beyond, so that merging never needs more free disk than one such run."""

_ROWS_AT_ONCE: Final = 1 << 20


def choose(runs: Sequence[Run], flush_rows: int) -> Sequence[Run]:
    """The runs to merge next, neighbours of one size class; none where there is nothing to do."""
    start = 0
    while start < len(runs):
        level = _level(runs[start], flush_rows)
        stop = start
        while stop < len(runs) and _level(runs[stop], flush_rows) == level:
            stop += 1
        group = runs[start : start + FAN]
        if stop - start >= FAN and sum(run.rows for run in group) <= MAX_RUN_ROWS:
            return group
        start = stop
    return ()


def merge(runs: Sequence[Run], path: Path) -> Run:
    """One run of the rows of neighbours, durable apart from its name.

    Raises DamagedRun where an input is not what was written, OSError.
    """
    for run in runs:
        run.check()
    rows = sum(run.rows for run in runs)
    return write_run(
        path, rows, runs[0].first_sequence, runs[-1].last_sequence, _sorted_parts(runs, rows)
    )


def sort_rows(prefixes: Numbers, positions: Numbers) -> tuple[Numbers, Numbers]:
    """By prefix; rows of one prefix stay in the order they have, which is that of positions."""
    order = np.argsort(prefixes, kind="stable")
    return prefixes[order], positions[order]


def _sorted_parts(runs: Sequence[Run], rows: int) -> Iterator[tuple[Numbers, Numbers]]:
    """Part after part of the prefixes' range, each from all runs, the oldest run first."""
    parts = 1 << (rows // _ROWS_AT_ONCE).bit_length()
    width = (1 << 64) // parts
    starts = [0] * len(runs)
    for part in range(1, parts + 1):
        stops = [run.lower_bound(part * width) for run in runs]
        columns = [
            run.columns(start, stop) for run, start, stop in zip(runs, starts, stops, strict=True)
        ]
        yield sort_rows(
            np.concatenate([prefixes for prefixes, _ in columns]),
            np.concatenate([positions for _, positions in columns]),
        )
        starts = stops


def _level(run: Run, flush_rows: int) -> int:
    level, size = 0, flush_rows * FAN
    while run.rows >= size:
        level, size = level + 1, size * FAN
    return level
