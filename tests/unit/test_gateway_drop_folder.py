"""Drop files: each line by itself, at least once, nothing personal left behind."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs_gateway import drop_folder
from cs_gateway.drop_folder import DropFolder
from cs_gateway.drop_line import MAX_LINE_BYTES, parse_line
from cs_gateway.drop_store import DropStore
from juki.domain.errors import JukiError, Reason
from juki.store.engine import open_engine
from juki.v1 import identification_pb2
from tests.gateway_fixtures import WARD, GatewayCore

SECRET = "遠州　花子"


def line(event_id: str, record_id: str, reason: str = "BIRTH", **changes: Any) -> bytes:
    values: dict[str, Any] = {
        "event_id": event_id,
        "record_id": record_id,
        "reason": reason,
        "event_date": "2026-11-01",
    }
    if reason in ("BIRTH", "MOVING_IN", "ADDRESS_CHANGE"):
        values |= {
            "name": {"written": SECRET, "reading": "エンシュウ　ハナコ"},
            "birth_date": "2026-10-30",
            "sex": "FEMALE",
            "address": {"municipality": WARD, "town": "元城町", "remainder": "1番地"},
        }
    return json.dumps(values | changes, ensure_ascii=False).encode() + b"\n"


class Folder:
    """A watched folder over a gateway's core."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "drop"
        self.directory.mkdir()
        self.engine = open_engine(f"sqlite:///{directory / 'gateway.db'}")
        self.core = GatewayCore(self.engine)
        self.store = DropStore(self.core.store)
        self.folder = self.again()

    def again(self) -> DropFolder:
        return DropFolder(self.directory, self.core.intake, self.store, self.core.clock)

    def drop(self, name: str, *lines: bytes) -> Path:
        path = self.directory / name
        path.write_bytes(b"".join(lines))
        return path

    def result(self, name: str) -> Any:
        return json.loads((self.directory / name).read_text(encoding="utf-8"))

    def issued(self) -> int:
        return self.core.progress.standing.issued_through


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder(tmp_path)
    yield folder
    folder.core.close()
    folder.engine.dispose()


def test_a_file_is_taken_in_acknowledged_and_removed(folder: Folder) -> None:
    path = folder.drop("20261101.jsonl", line("e1", "r1"), line("e2", "r2"))
    folder.folder.take_in_all()
    assert folder.result("acknowledged/20261101.jsonl.ack.json") == {
        "file": "20261101.jsonl",
        "lines": 2,
        "accepted": 2,
        "quarantined": 0,
        "refusal": "",
        "first": {"epoch": 1, "sequence": 1},
        "last": {"epoch": 1, "sequence": 2},
    }
    assert not path.exists()
    assert folder.core.progress.standing.numbers_pending == 0


def test_a_file_that_is_still_being_written_is_left_alone(folder: Folder) -> None:
    path = folder.drop("20261101.jsonl.tmp", line("e1", "r1"))
    assert folder.folder.take_in_all() == 0
    assert path.exists()


def test_a_broken_line_is_quarantined_alone_with_its_number_and_reason(folder: Folder) -> None:
    folder.drop(
        "mixed.jsonl",
        line("e1", "r1"),
        b"{" + SECRET.encode() + b"\n",
        line("e3", "r3", "DEATH"),
        b"\n",
        line("e5", "r5", nickname="x"),
        line("e6", "r6")[:-1],
    )
    folder.folder.take_in_all()
    assert folder.result("quarantine/mixed.jsonl.reasons.json") == [
        {"line": 2, "reason": "MALFORMED_MESSAGE"},
        {"line": 3, "reason": "RECORD_NOT_FOUND"},
        {"line": 5, "reason": "MALFORMED_MESSAGE"},
    ]
    assert folder.result("acknowledged/mixed.jsonl.ack.json")["accepted"] == 2
    [(file_id, name, count)] = folder.store.refused_files()
    assert (name, count) == ("mixed.jsonl", 3)
    exported = list(folder.store.export(file_id))
    assert [r.line_number for r in exported] == [2, 3, 5]
    assert exported[0].line == b"{" + SECRET.encode() + b"\n"
    folder.store.forget(file_id)
    assert list(folder.store.export(file_id)) == []


def test_nothing_personal_remains_in_folder_or_database(folder: Folder, tmp_path: Path) -> None:
    folder.drop("a.jsonl", line("e1", "r1"), line("e2", "r2", "MOVING_IN", moved_from="1"))
    folder.folder.take_in_all()
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(files) >= 3
    for path in files:
        assert SECRET.encode() not in path.read_bytes()


def test_a_file_read_again_after_a_crash_makes_no_second_notification(folder: Folder) -> None:
    lines = [line(f"e{n}", f"r{n}") for n in range(30)]
    folder.drop("a.jsonl", *lines)
    folder.folder.take_in_all()
    folder.drop("again.jsonl", *lines)
    folder.folder.take_in_all()
    assert folder.issued() == 30
    assert folder.result("acknowledged/again.jsonl.ack.json")["accepted"] == 30


def test_a_file_dropped_again_in_a_corrected_form_leaves_no_reasons_of_the_first(
    folder: Folder,
) -> None:
    reasons = folder.directory / "quarantine" / "a.jsonl.reasons.json"
    folder.drop("a.jsonl", line("e1", "r1"), line("e2", "r2", "NO_SUCH"))
    folder.folder.take_in_all()
    assert reasons.exists()
    folder.drop("a.jsonl", line("e1", "r1"), line("e2", "r2"))
    folder.folder.take_in_all()
    ack = folder.result("acknowledged/a.jsonl.ack.json")
    assert (ack["accepted"], ack["quarantined"]) == (2, 0)
    assert not reasons.exists()
    assert folder.issued() == 2


def test_a_file_is_resumed_where_a_failure_of_custody_stopped_it(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop_folder, "_LINES_AT_ONCE", 4)
    broken = b"no JSON\n"
    path = folder.drop("a.jsonl", broken, *(line(f"e{n}", f"r{n}") for n in range(20)))
    sign = folder.core.custody.sign

    def fail_at_the_third(key: str, digests: list[bytes]) -> list[bytes]:
        folder.core.custody.fail = folder.core.custody.calls >= 2
        return sign(key, digests)

    monkeypatch.setattr(folder.core.custody, "sign", fail_at_the_third)
    with pytest.raises(JukiError) as refused:
        folder.folder.take_in_all()
    assert refused.value.reason is Reason.CUSTODY_UNAVAILABLE
    assert path.exists()
    monkeypatch.setattr(folder.core.custody, "sign", sign)
    folder.core.custody.fail = False
    folder.again().take_in_all()
    assert folder.issued() == 20
    ack = folder.result("acknowledged/a.jsonl.ack.json")
    assert (ack["lines"], ack["accepted"], ack["quarantined"]) == (21, 20, 1)
    assert folder.result("quarantine/a.jsonl.reasons.json") == [
        {"line": 1, "reason": "MALFORMED_MESSAGE"}
    ]


def test_a_file_waits_for_codes_instead_of_losing_its_lines(folder: Folder) -> None:
    reserved = folder.core.pool.reserve(folder.core.pool.available, 0)
    path = folder.drop("a.jsonl", line("e1", "r1"))
    with pytest.raises(JukiError) as refused:
        folder.folder.take_in_all()
    assert refused.value.reason is Reason.CODE_POOL_EMPTY
    assert path.exists()
    folder.core.pool.give_back(reserved)
    folder.folder.take_in_all()
    assert folder.issued() == 1


def test_a_crash_between_acknowledging_and_removing_only_removes(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder.drop("a.jsonl", line("e1", "r1"), b"no JSON\n")
    monkeypatch.setattr(Path, "unlink", lambda self: (_ for _ in ()).throw(OSError()))
    with pytest.raises(OSError):  # noqa: PT011 - any
        folder.folder.take_in_all()
    monkeypatch.undo()
    assert path.exists()
    folder.again().take_in_all()
    assert not path.exists()
    assert folder.issued() == 1
    [(file_id, _, _)] = folder.store.refused_files()
    assert len(list(folder.store.export(file_id))) == 1


def test_a_file_of_too_many_lines_is_refused_as_a_whole_and_left_to_the_register(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop_folder, "MAX_LINES", 2)
    path = folder.drop("a.jsonl", *(line(f"e{n}", f"r{n}") for n in range(3)))
    folder.folder.take_in_all()
    assert folder.result("acknowledged/a.jsonl.ack.json")["refusal"] == "MESSAGE_TOO_LARGE"
    assert path.with_name("a.jsonl.refused").exists()
    assert folder.issued() == 0


@pytest.mark.parametrize(
    ("written", "expected"),
    [("1985-04-02", (1985, 4, 2)), ("1931-04", (1931, 4, 0)), ("1931", (1931, 0, 0))],
)
def test_birth_dates_may_be_known_in_part(written: str, expected: tuple[int, int, int]) -> None:
    year, month, day = expected
    event = parse_line(line("e1", "r1", birth_date=written))
    assert event.four_items.birth_date == identification_pb2.BirthDate(
        year=year, month=month, day=day
    )


@pytest.mark.parametrize(
    "broken",
    [
        line("e1", "r1", reason="NO_SUCH"),
        line("e1", "r1", event_date="2026-02-30"),
        line("e1", "r1", event_date="20260201"),
        line("e1", "r1", birth_date="1985-4-2"),
        line("e1", "r1", birth_date="1985-00-02"),
        line("e1", "r1", sex="female"),
        line("e1", "r1", name={"written": SECRET, "nickname": "x"}),
        line("e1", "r1", name=SECRET),
        line("e1", "r1", moved_from=7),
        b'{"event_id":"a","event_id":"b"}',
        b'{"event_id":"\\ud800"}',
        b"[1]",
        b"null",
        b'"\xff"',
        b"[" * 20_000,
        b'{"a":' + b"1" * MAX_LINE_BYTES + b"}",
        b'{"a":' + b"1" * 5000 + b"}",
    ],
)
def test_a_line_that_cannot_be_read_is_refused_without_being_quoted(broken: bytes) -> None:
    with pytest.raises(JukiError) as refused:
        parse_line(broken)
    assert SECRET not in str(refused.value)


@given(st.binary(max_size=300))
def test_no_bytes_whatever_do_anything_but_be_refused(data: bytes) -> None:
    with pytest.raises(JukiError) as refused:
        parse_line(data)
    assert refused.value.reason in (Reason.MALFORMED_MESSAGE, Reason.INVALID_FIELD)


@pytest.mark.parametrize("name", [b"\x93\xfa\x96{.jsonl", ("長" * 70 + ".jsonl").encode()])
def test_a_file_whose_name_cannot_be_kept_is_set_aside_and_told(
    folder: Folder, name: bytes
) -> None:
    path = folder.directory / os.fsdecode(name)
    path.write_bytes(line("e1", "r1"))
    folder.drop("good.jsonl", line("e2", "r2"))
    assert folder.folder.take_in_all() == 1
    [aside] = folder.directory.glob("name-*.refused")
    told = folder.result(f"acknowledged/{aside.stem}.ack.json")
    assert (told["refusal"], told["accepted"]) == ("INVALID_FIELD", 0)
    assert not list(folder.directory.glob("*.jsonl"))
