"""The table of faults injected into an audit log; written where JUKI_AUDIT_FAULT_TABLE says."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.audit_faults.injection import Call

_HEAD: Final = """# Faults injected into the audit log, and what it did

Made by `tests/integration/test_audit_faults.py`. A process opens a log (in one of {scenarios}
states), appends {appended} records through segments that are begun anew after a few, and closes
it. The system calls that it makes on the log's files are counted in a clean run; then it runs once
for each of them and each fault: the call fails with the error, or the process is killed before it
is made (strace). After every run the log is opened with the recovery of a server's start, appended
to, and verified as a whole: every record that was answered for stands where the answer said, none
is there by half, twice or out of order, and none that the log held before is lost. {count:,} faults
in all; every one of them kept that promise.

Written anew by

    JUKI_AUDIT_FAULT_TABLE=docs/audit-faults.md .venv/bin/python -m pytest -s \\
        tests/integration/test_audit_faults.py -k any_fault

"Refused" is AUDIT_UNAVAILABLE: the look-up is not answered. Of a log that refuses from then on the
server is told by its health; it is started anew. A full disk refuses while it lasts.

"""


@dataclass(frozen=True, slots=True)
class Seen:
    """One fault and what was seen of it."""

    scenario: str
    call: Call
    fault: str
    what: str


def report(seen: Sequence[Seen]) -> str:
    """The table; also written to the file that the environment names."""
    from tests.audit_faults.scenarios import APPENDED, SCENARIOS

    rows: defaultdict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
    for one in seen:
        kind = re.sub(r"[0-9]{8}", "N", one.call.file)
        rows[one.call.name, "(directory)" if kind == "." else kind, one.fault][one.what] += 1
    lines = ["| call | on | fault | times | what was seen |", "|---|---|---|---|---|"]
    for (name, file, fault), whats in sorted(rows.items()):
        words = ", ".join(f"{what} ({count})" for what, count in whats.most_common())
        lines.append(f"| {name} | {file} | {fault} | {whats.total()} | {words} |")
    table = "\n".join(lines) + "\n"
    path = os.environ.get("JUKI_AUDIT_FAULT_TABLE")
    if path:
        head = _HEAD.format(scenarios=len(SCENARIOS), appended=APPENDED, count=len(seen))
        Path(path).write_text(head + table, encoding="utf-8")
    return table
