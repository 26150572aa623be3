"""Killed or out of space: what was acknowledged is there, what was not is refused."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from juki.audit.encoding import decode
from juki.audit.log import FileAuditLog
from juki.audit.segment import read_frames, read_header, segments
from juki.audit.verify import verify

PRELUDE = """
import resource, sys, threading
from pathlib import Path
from juki.audit.log import FileAuditLog
from juki.audit.port import AuditRecord, AuditUnavailable

def record(request):
    return AuditRecord(1, "spiffe://agency.juki.example/nenkin", request, None, None)

log = FileAuditLog(Path(sys.argv[1]), segment_bytes=20_000)
"""

WRITES_UNTIL_KILLED = """
output = threading.Lock()

def append(thread):
    n = 0
    while True:
        position = log.append(record(f"{thread}/{n}"))
        with output:
            sys.stdout.write(f"{position.sequence} {thread}/{n}\\n")
            sys.stdout.flush()
        n += 1

for thread in range(8):
    threading.Thread(target=append, args=(thread,)).start()
"""

WRITES_UNTIL_FULL = """
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
try:
    while True:
        print(log.append(record("request")).sequence, flush=True)
except AuditUnavailable as refused:
    print(refused.reason, flush=True)
try:
    log.append(record("smaller"))
except AuditUnavailable as refused:
    print("and again", flush=True)
log.close()
"""


def start(program: str, directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PRELUDE + program), str(directory)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


def requests(directory: Path) -> dict[int, str]:
    found: dict[int, str] = {}
    for path in segments(directory):
        with path.open("rb") as file:
            assert read_header(path, file) == len(found) + 1
            for frame in read_frames(path, file):
                found[len(found) + 1] = decode(frame.record).request_id
    return found


def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    with start(WRITES_UNTIL_KILLED, tmp_path) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline() for _ in range(300)]
        process.kill()
        acknowledged += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    FileAuditLog(tmp_path).close()
    report = verify(tmp_path)
    assert report.problem is None
    assert report.segments > 1
    found = requests(tmp_path)
    for line in acknowledged:
        if not line.endswith("\n"):
            continue  # the kill cut the line itself
        sequence, request = line.split()
        assert found[int(sequence)] == request
    assert len(found) >= 300


def test_a_full_disk_refuses_and_what_was_acknowledged_stays(tmp_path: Path) -> None:
    with start(WRITES_UNTIL_FULL, tmp_path) as process:
        output = process.communicate(timeout=60)[0].split("\n")
    assert process.returncode == 0
    *sequences, reason, again, end = output
    assert (reason, again, end) == ("AUDIT_UNAVAILABLE", "and again", "")
    assert [int(sequence) for sequence in sequences] == list(range(1, len(sequences) + 1))
    assert len(sequences) > 10

    torn = verify(tmp_path)
    assert torn.torn_tail is not None, "the write that did not fit left a part of itself"
    with FileAuditLog(tmp_path) as log:
        assert log.position.sequence == len(sequences)
    assert verify(tmp_path).problem is None
