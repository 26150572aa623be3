"""A ceremony killed at any step is held again and ends as if nothing had happened, and says so."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from hsm.ceremony_file import read_ceremony
from hsm.ceremony_works import works
from hsm.host_files import ceremony_files, host_files
from hsm.officers import passphrases_in
from hsm.sealed_pins import open_sealed_pins
from hsm.token_making import pin_is_right
from tests.ceremony_fixtures import NAMES, CeremonyRoom, assert_whole, certificates, contents

REPOSITORY = Path(__file__).parents[2]
SEED = 20261124
"""Of the steps at which it is killed; another one kills at others."""
ROUNDS = 20


def hold(command: str, rooms: Sequence[tuple[CeremonyRoom, Sequence[int]]]) -> list[int]:
    """Hold the ceremony of each room in processes of their own, killed at the steps given."""
    asked = {"command": command, "rooms": [(str(room.folder), kills) for room, kills in rooms]}
    driver = subprocess.run(
        [sys.executable, "-m", "tests.killed_ceremony"],
        input=json.dumps(asked),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert driver.returncode == 0, driver.stderr
    steps: list[int] = json.loads(driver.stdout)
    return steps


def new_room(folder: Path) -> CeremonyRoom:
    folder.mkdir()
    room = CeremonyRoom(folder)
    room.write(municipalities="[]")
    room.present(*NAMES)
    return room


def kill_points(steps: int) -> list[list[int]]:
    """One kill spread over all steps, and some rooms in which the next attempt is killed too."""
    chosen = random.Random(SEED)
    width = steps / ROUNDS
    once = [[int(width * place + chosen.random() * width) + 1] for place in range(ROUNDS)]
    return once + [[chosen.randint(1, steps), chosen.randint(1, steps)] for _ in range(4)]


@pytest.mark.slow
@pytest.mark.timeout(900)  # dozens of processes: slow where others want the cores
def test_a_first_ceremony_killed_at_any_step_ends_with_the_same_set(tmp_path: Path) -> None:
    whole = new_room(tmp_path / "whole")
    (steps,) = hold("run", [(whole, [])])
    assert steps > 500
    expected = made(whole)
    kills = kill_points(steps)
    rooms = [new_room(tmp_path / f"killed-{'-'.join(map(str, one))}") for one in kills]
    hold("run", list(zip(rooms, kills, strict=True)))
    resumed = 0
    for room in rooms:
        assert made(room) == expected, room.folder.name
        plan = read_ceremony(room.file).plan
        assert_whole(plan)
        assert room.ceremonies() == 1
        said = room.text(1)
        assert said.count("(ceremony opened)") == 1
        resumed += "(ceremony resumed)" in said
        for certificate in certificates(plan).values():
            assert f": {certificate.serial_number:x}\n" in said
        before = contents(room.network)
        assert "nothing to do" in room.command("run").output
        assert contents(room.network) == before
    assert resumed > len(rooms) / 2  # the others were killed before a word was said


@pytest.mark.slow
@pytest.mark.timeout(900)  # dozens of processes: slow where others want the cores
def test_a_resharing_killed_at_any_step_leaves_a_root_that_the_officers_open(
    tmp_path: Path,
) -> None:
    def prepared(folder: Path) -> CeremonyRoom:
        room = new_room(folder)
        room.present("aoki", "baba", "chiba", "doi")
        return room

    def change_officers(room: CeremonyRoom) -> None:
        room.write(municipalities="[]", officers='threshold = 2\nnames = ["aoki", "chiba", "doi"]')

    whole = prepared(tmp_path / "whole")
    hold("run", [(whole, [])])
    change_officers(whole)
    (steps,) = hold("reshare", [(whole, [])])
    assert steps > 100
    kills = kill_points(steps)
    rooms = [prepared(tmp_path / f"killed-{'-'.join(map(str, one))}") for one in kills]
    hold("run", [(room, []) for room in rooms])
    for room in rooms:
        change_officers(room)
    hold("reshare", list(zip(rooms, kills, strict=True)))
    for room in rooms:
        (host_files(room.network, "pref22").certificates / "issuing-ca.pem").unlink()
        held = room.run("chiba", "doi")  # the root has to be opened by the new officers
        assert held.exit_code == 0, (room.folder.name, held.output)
        assert_whole(read_ceremony(room.file).plan)
        assert room.ceremonies() == 3
        assert "(shares made anew)" in room.text(2) or "(resharing begun)" in room.text(2)
        assert security_officer_is_known(room), room.folder.name
        before = contents(room.network)
        assert "nothing to do" in room.command("run").output
        assert contents(room.network) == before


def security_officer_is_known(room: CeremonyRoom) -> bool:
    """Whether the sealed PIN of the root's security officer is the token's."""
    read = read_ceremony(room.file)
    answers = passphrases_in(room.present("aoki", "doi"))
    sealed = ceremony_files(room.network).sealed_pins
    with open_sealed_pins(sealed, read.table(read.officers, answers, 1)) as pins:
        pin = pins.get("security officer of root")
        assert not any("next" in name for name in pins.names())
    location = host_files(room.network, "root").token(read.plan.module, "root")
    return pin_is_right(location, pin, is_officer=True)


def made(room: CeremonyRoom) -> dict[str, str]:
    """Which files there are, and what is in those that hold nothing random."""
    plan = read_ceremony(room.file).plan
    assert works(plan, datetime.now(UTC)) == []
    return {
        name: configured(room.network / name) if name.endswith("custody.toml") else ""
        for name in contents(room.network, tokens=False)
    }


def configured(file: Path) -> str:
    """A custody's configuration but for its token's serial number, which the module chose."""
    lines = file.read_text("utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("serial = "))


def test_half_a_line_of_a_power_cut_is_cut_off_and_the_rest_stays_said(tmp_path: Path) -> None:
    room = new_room(tmp_path / "room")
    hold("run", [(room, [])])
    last = (room.transcripts / "0001.jsonl").read_bytes().splitlines()[-1]
    unfinished = {"step": "ceremony opened", "time": "2026-11-24T09:00:00+00:00"}
    line = json.dumps({**unfinished, "previous": sha256(last).hexdigest()})
    (room.transcripts / "unfinished.jsonl").write_text(f'{line}\n{{"step": "token ma')
    assert "transcript of an interrupted ceremony" in room.command("plan").output
    hold("run", [(room, [])])
    assert room.ceremonies() == 2
    said = room.text(2)
    assert "2026-11-24 18:00:00 JST  鍵セレモニー開始 (ceremony opened)" in said
    assert "中断した鍵セレモニーの再開 (ceremony resumed)" in said
    assert "token ma" not in said
