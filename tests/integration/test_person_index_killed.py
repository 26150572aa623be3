"""kill -9 at any moment: the person index then says what the log says, no more and no less."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from juki.audit.encoding import decode
from juki.audit.log import FileAuditLog
from juki.audit.persons.following import LogFollower
from juki.audit.persons.index import FilePersonIndex
from juki.audit.persons.port import EntryPosition
from juki.audit.reading import LogRecords
from tests.index_writer import FLUSH_ROWS, KEY

PERSONS = 40
KILLS = 6


def test_a_killed_writer_leaves_an_index_that_agrees_with_its_log(tmp_path: Path) -> None:
    chance = random.Random(5)
    merged = False
    for _ in range(KILLS):
        writer = subprocess.Popen(
            [sys.executable, "-m", "tests.index_writer", str(tmp_path), str(PERSONS)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        told = 0
        for _ in range(chance.randint(20, 250)):
            line = writer.stdout.readline()
            assert line, "the writer ended by itself"
            told, _, runs = map(int, line.split())
            merged = merged or runs > 0
        writer.kill()
        rest = writer.stdout.read()
        writer.stdout.close()
        writer.wait()
        told = max([told, *(int(line.split()[0]) for line in rest.splitlines() if line[-1:])])
        check(tmp_path, told)
    assert merged


def check(directory: Path, told: int) -> None:
    """Opens what was left, lets it catch up, and compares it with a reading of the whole log."""
    with FileAuditLog(directory / "log") as log:
        assert log.position.sequence >= told
        records = LogRecords(directory / "log")
        index = FilePersonIndex(directory / "index", records, flush_rows=FLUSH_ROWS)
        before = index.complete_to()
        assert before <= log.position.sequence
        expected: dict[bytes, list[EntryPosition]] = defaultdict(list)
        for sequence, data in records.records_from(1):
            pseudonyms = decode(data).pseudonyms
            for at in range(0, len(pseudonyms), 16):
                expected[pseudonyms[at : at + 16]].insert(0, EntryPosition(sequence, at // 16))
        for ordinal in range(1, PERSONS + 1):
            pseudonym = KEY.pseudonyms([ordinal])
            known = [one for one in expected[pseudonym] if one.sequence <= before]
            assert index.entries(pseudonym, 1, limit=100_000) == known
        LogFollower(index, records, lambda: log.position.sequence).catch_up()
        assert index.complete_to() == log.position.sequence
        for ordinal in range(1, PERSONS + 1):
            pseudonym = KEY.pseudonyms([ordinal])
            assert index.entries(pseudonym, 1, limit=100_000) == expected[pseudonym]
        assert index.check()
        index.close()
        records.close()
