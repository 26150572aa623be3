"""The table of faults: printed, and written to the file that JUKI_FAULT_TABLE names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_HEAD = """# Faults, and what they did

Measured by `tests/e2e/test_fault_table.py` on a network of real processes on one two-core machine,
which other work shared: the nation, a prefecture, and a gateway, each with its custody over a
PKCS#11 module that fails on command before SoftHSM. Events are handed in at the gateway, people are
looked up at the nation, and the health of both is asked all the time, each five times a second.
Written anew by

    JUKI_FAULT_TABLE=docs/faults.md .venv/bin/python -m pytest -s tests/e2e/test_fault_table.py

"Red after" is from the fault until the host's health reported itself not serving. "Well after" is
from the end of the fault (for one that passes by itself: from its beginning) until health was
green, the gateway took events, and the nation had every event that it ever took. What each fuse is
to do is told in [custody](custody.md).

"""


@dataclass(frozen=True)
class Row:
    """One fuse on one host."""

    fuse: str
    host: str
    red_seconds: float | None
    failing: str
    intake: str
    lookups: str
    well_seconds: float

    def line(self) -> str:
        """The row in Markdown."""
        red = f"{self.red_seconds:.1f} s ({self.failing})" if self.red_seconds else "not red"
        cells = (self.fuse, self.host, red, self.intake, self.lookups, f"{self.well_seconds:.1f} s")
        return f"| {' | '.join(cells)} |"


def report(rows: Sequence[Row]) -> str:
    """The table; also written to the file that the environment names."""
    titles = (
        *("fuse", "at", "red after (check)", "events at the gateway meanwhile"),
        *("look-ups at the nation meanwhile", "well after"),
    )
    lines = [
        f"| {' | '.join(titles)} |",
        "|---|---|---|---|---|---|",
        *(row.line() for row in rows),
    ]
    table = "\n".join(lines) + "\n"
    path = os.environ.get("JUKI_FAULT_TABLE")
    if path:
        Path(path).write_text(_HEAD + table, encoding="utf-8")
    return table
