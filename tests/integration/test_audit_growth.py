"""`juki bench audit-growth`: what it says of a small log is consistent with itself."""

from __future__ import annotations

from pathlib import Path

from bench.audit_growth import measure_growth


def test_a_small_log_is_grown_looked_at_and_removed(tmp_path: Path) -> None:
    told = []
    figures = measure_growth(30_000, directory=tmp_path, looked=told.append)
    (stage,) = figures.stages
    assert told == [stage]
    assert stage.entries == 30_000
    assert stage.records == 1_200 + 29
    # Each entry of somebody is 16 bytes of index and at least a pseudonym in the records.
    assert 15 < stage.index / stage.entries < 17
    assert stage.archives / stage.entries > 16
    assert stage.history_entries > 5
    assert list(tmp_path.iterdir()) == []
