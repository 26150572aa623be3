"""Nothing personal lies in the clear in any file that the network wrote (invariant 6).

The lookup index is in memory-backed storage and not among these files.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from juki.demo.checks import PensionBody
from juki.demo.gateway import Register
from juki.localnet.network import LocalNetwork
from tests.network_fixtures import running_network, wait_until
from tests.planted_person import MUNICIPALITY, NAME, READING, REMAINDER, TOWN, planted_birth

QUARANTINED_NAME = "鬼灯　露草"
SECOND_MUNICIPALITY = "221007"


def encodings_of(text: str) -> Iterator[bytes]:
    """The text as it could stand in a file: UTF-8, UTF-16, hex, base64 at each alignment."""
    utf8 = text.encode()
    yield utf8
    for raw in (utf8, text.encode("utf-16-le"), text.encode("utf-16-be")):
        yield raw
        yield raw.hex().encode()
        yield raw.hex().upper().encode()
        for shift in range(3):
            # The characters that the neighbours of the text would share are cut off.
            encoded = base64.b64encode(bytes(shift) + raw)
            yield encoded[(shift * 8 + 5) // 6 : len(encoded) - 4]
    yield json.dumps(text).strip('"').encode()


def files_with(directory: Path, plants: dict[str, str]) -> list[str]:
    """Which plant stands in which file."""
    needles = {
        what: re.compile(b"|".join(sorted({re.escape(one) for one in encodings_of(text)})))
        for what, text in plants.items()
    }
    return [
        f"{what} in {path.relative_to(directory)}"
        for path in sorted(directory.rglob("*"))
        if path.is_file()
        for content in [path.read_bytes()]
        for what, needle in needles.items()
        if needle.search(content)
    ]


def drop_lines(folder: Path) -> None:
    """A drop file with a good line and one that is quarantined."""
    good = {
        "event_id": "planted-2",
        "record_id": "7777700002",
        "reason": "BIRTH",
        "event_date": "2026-04-02",
        "name": {"written": NAME, "reading": READING},
        "birth_date": "2026-04-02",
        "sex": "FEMALE",
        "address": {"municipality": MUNICIPALITY, "town": TOWN, "remainder": REMAINDER},
    }
    bad = {**good, "event_id": "planted-3", "name": {"written": QUARANTINED_NAME}, "sex": "?"}
    partial = folder / "planted.tmp"
    lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in (good, bad))
    partial.write_text(lines, encoding="utf-8")
    partial.rename(folder / "planted.jsonl")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    with running_network(
        tmp_path_factory.mktemp("network"), {"22": (MUNICIPALITY, SECOND_MUNICIPALITY)}
    ) as network:
        yield network


@pytest.mark.parametrize("text", [NAME, REMAINDER, "82429671037"])
@pytest.mark.parametrize("shift", [0, 1, 2])
def test_the_search_finds_what_is_there(tmp_path: Path, text: str, shift: int) -> None:
    canaries = {
        "utf8": text.encode(),
        "utf16": text.encode("utf-16-le"),
        "hex": text.encode().hex().encode(),
        "base64": base64.b64encode(b"x" * shift + text.encode() + b"tail"),
        "json": json.dumps({"a": text}).encode(),
    }
    for name, content in canaries.items():
        (tmp_path / name).write_bytes(b"before" + content + b"after")
    found = files_with(tmp_path, {"canary": text})
    assert found == [f"canary in {name}" for name in sorted(canaries)]


def test_no_file_of_the_network_holds_a_planted_persons_data(network: LocalNetwork) -> None:
    register = Register(network, MUNICIPALITY)
    body = PensionBody(network)
    try:
        drop_lines(network.plan.drop_folder(MUNICIPALITY))
        acknowledged = network.plan.drop_folder(MUNICIPALITY) / "acknowledged"
        wait_until((acknowledged / "planted.jsonl.ack.json").exists)
        (outcome,) = register.record(planted_birth())
        register.wait_national(outcome.notification.sequence)
        wait_until(lambda: bool(register.event("planted-1").outcome.individual_number))
        wait_until(lambda: register.progress.nation >= register.progress.issued >= 3)
        outcome = register.event("planted-1").outcome
        answer = body.batch([outcome.individual_number])
        assert answer.results[0].information.name.written == NAME
    finally:
        body.close()
        register.close()
    plants = {
        "name": NAME,
        "reading": READING,
        "town": TOWN,
        "remainder": REMAINDER,
        "quarantined name": QUARANTINED_NAME,
        "code": outcome.resident_record_code,
        "number": outcome.individual_number,
    }
    assert all(plants.values())
    searched = [path for path in network.plan.directory.rglob("*") if path.is_file()]
    assert any(path.name == "data.sqlite-wal" for path in searched)
    assert files_with(network.plan.directory, plants) == []
