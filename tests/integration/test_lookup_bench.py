"""The lookup bench measures real processes over mutual TLS and leaves nothing behind."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from bench.cli import app
from tests.people import MEMORY


def test_the_bench_measures_ours_and_the_bare_handler_in_one_run() -> None:
    before = set(MEMORY.iterdir())
    result = CliRunner().invoke(
        app,
        ["lookup", "--people", "300", "--rounds", "2", "--seconds", "0.3", "--json"],
    )
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures["people"] == 300
    assert figures["rounds"] == 2
    for name in (
        "batch_ratio_to_bare",
        "unary_ratio_to_bare",
        "batch_lookups_per_second",
        "unary_lookups_per_second",
    ):
        assert figures[name] > 0
    assert figures["machine"]["cores"] >= 1
    assert {
        path for path in set(MEMORY.iterdir()) - before if path.name.startswith("juki-bench-")
    } == set()
