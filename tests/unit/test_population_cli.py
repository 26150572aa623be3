"""`juki population generate` writes drop files that name every event and record once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from juki.domain.codes import LocalGovernmentCode
from juki.domain.four_items import Address, BirthDate, FourItems, PersonName, Sex
from juki.domain.municipalities import municipality_directory
from juki.population.cli import app
from juki.population.drop_file import entry_event, entry_line, written_birth_date
from juki.population.households import Relation
from juki.population.residents import Resident

HAMAMATSU = LocalGovernmentCode("221309")
CHUO_WARD = LocalGovernmentCode("221384")


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["generate", *arguments])


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_resident_becomes_an_ex_officio_entry_without_empty_parts() -> None:
    resident = Resident(
        1,
        Relation.HEAD,
        HAMAMATSU,
        "0000000001",
        FourItems(
            PersonName("辻\U000e0100　花子", "ツジ　ハナコ"),
            BirthDate(1931, 4),
            Sex.FEMALE,
            Address(CHUO_WARD, "元城町"),
        ),
    )
    expected = {
        "event_id": "load-1-1",
        "record_id": "0000000001",
        "reason": "EX_OFFICIO_ENTRY",
        "event_date": "2026-10-01",
        "name": {"written": "辻\U000e0100　花子", "reading": "ツジ　ハナコ"},
        "birth_date": "1931-04",
        "sex": "FEMALE",
        "address": {"municipality": "221384", "town": "元城町"},
    }
    assert entry_event(resident, "load-1-1", "2026-10-01") == expected
    line = entry_line(resident, "load-1-1", "2026-10-01")
    assert line.count(b"\n") == 1
    assert json.loads(line) == expected


@pytest.mark.parametrize(
    ("date", "written"),
    [
        (BirthDate(1985, 4, 2), "1985-04-02"),
        (BirthDate(1931, 4), "1931-04"),
        (BirthDate(1931), "1931"),
    ],
)
def test_a_birth_date_is_written_as_far_as_it_is_known(date: BirthDate, written: str) -> None:
    assert written_birth_date(date) == written


def test_residents_go_to_standard_output_and_nothing_else_does() -> None:
    result = run("--municipality", "221309", "--municipality", "222038", "--residents", "60")
    assert result.exit_code == 0
    events = lines(result.stdout)
    assert len(events) == 60
    assert len({event["event_id"] for event in events}) == 60
    assert events[0]["event_id"] == "load-1-1"


def test_the_same_seed_writes_the_same_file(tmp_path: Path) -> None:
    for name, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        out = str(tmp_path / name)
        result = run("--prefecture", "22", "--residents", "200", "--seed", seed, "--out", out)
        assert result.exit_code == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_split_writes_each_municipality_its_own_file(tmp_path: Path) -> None:
    result = run("--prefecture", "22", "--residents", "3000", "--split", str(tmp_path / "drop"))
    assert result.exit_code == 0
    directory = municipality_directory()
    files = sorted((tmp_path / "drop").iterdir())
    assert len(files) == 35
    total = 0
    for file in files:
        events = lines(file.read_text(encoding="utf-8"))
        total += len(events)
        assert len({event["record_id"] for event in events}) == len(events)
        for event in events:
            code = LocalGovernmentCode(event["address"]["municipality"])
            assert directory.keeper_of(code).digits == file.stem
    assert total == 3000


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--prefecture", "22", "--municipality", "221309"),
        ("--prefecture", "48"),
        ("--municipality", "221308"),
        ("--municipality", "220001"),
        ("--prefecture", "22", "--out", "a", "--split", "b"),
    ],
)
def test_contradictory_or_unknown_places_are_refused(arguments: tuple[str, ...]) -> None:
    result = run("--residents", "1", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_help_shows_examples() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "--prefecture 22" in result.stdout
