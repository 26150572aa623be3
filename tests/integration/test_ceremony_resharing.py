"""Officers change: who comes in opens the root, who has gone cannot, not even with copies kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hsm.ceremony_file import read_ceremony
from hsm.host_files import ceremony_files, host_files
from hsm.officers import Officers, passphrases_in
from hsm.provision import provision_here
from hsm.sealed_pins import OfficersTable, open_sealed_pins
from hsm.token import open_token
from juki.domain.errors import JukiError, Reason
from tests.ceremony_fixtures import NAMES, CeremonyRoom, contents

NEW = 'threshold = 2\nnames = ["aoki", "chiba", "doi", "endo"]'
EVERYBODY = (*NAMES, "doi", "endo")


@pytest.fixture
def room(tmp_path: Path) -> Iterator[CeremonyRoom]:
    """A room after its first ceremony, with copies of what each officer and the root had."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hsm.ceremony_file.PERSON_COST", 2**4)
        room = CeremonyRoom(tmp_path / "room")
        room.folder.mkdir()
        room.write(municipalities="[]")
        assert room.run(*NAMES).exit_code == 0
        shutil.copytree(room.folder / "shares", tmp_path / "copies")
        shutil.copy(ceremony_files(room.network).sealed_pins, tmp_path / "copies" / "pins.json")
        yield room


def make_something_due(room: CeremonyRoom) -> None:
    (host_files(room.network, "pref22").certificates / "issuing-ca.pem").unlink()


def test_new_officers_open_the_root_and_the_transcript_says_who_they_are(
    room: CeremonyRoom,
) -> None:
    room.write(municipalities="[]", officers=NEW)
    for command in ("plan", "run"):
        assert "reshare" in room.command(command).output  # nothing is due, but for the officers
    reshared = room.run("aoki", "chiba", "doi", "endo", command="reshare")
    assert reshared.exit_code == 0, reshared.output
    said = room.text(2)
    assert "これまでの鍵管理者 (officers before): aoki, baba, chiba\n" in said
    assert "    鍵管理者 (officers): aoki, chiba, doi, endo\n" in said
    make_something_due(room)
    assert room.run("doi", "endo").exit_code == 0
    assert room.ceremonies() == 3


def test_old_shares_open_nothing_even_with_the_old_sealed_pins(
    room: CeremonyRoom, tmp_path: Path
) -> None:
    room.write(municipalities="[]", officers=NEW)
    assert room.run(*EVERYBODY, command="reshare").exit_code == 0
    copies = tmp_path / "copies"
    old = OfficersTable(
        Officers(2, NAMES),
        copies,
        passphrases_in(room.present(*NAMES)),
        folders={name: copies / name for name in NAMES},
    )
    sealed = ceremony_files(room.network).sealed_pins
    with pytest.raises(JukiError) as refusal, open_sealed_pins(sealed, old):
        pass
    assert refusal.value.reason == Reason.CONFIGURATION_INVALID
    plan = read_ceremony(room.file).plan
    location = host_files(room.network, "root").token(plan.module, "root")
    with open_sealed_pins(copies / "pins.json", old) as pins:
        with (
            pytest.raises(JukiError, match="refuses the PIN"),
            open_token(location, pin=pins.get("root")),
        ):
            pass
        read = read_ceremony(room.file)
        new = read.table(read.officers, passphrases_in(room.present("doi", "endo")), 1)
        with open_sealed_pins(sealed, new) as known:
            assert known.get("root") != pins.get("root")
            officer = "security officer of root"
            assert known.get(officer) != pins.get(officer)
            with open_token(location, pin=known.get("root")) as token:
                assert token.has_key("root")
    for name in ("aoki", "chiba", "doi", "endo"):
        assert len(list((room.folder / "shares" / name).iterdir())) == 1
    assert list((room.folder / "shares" / "baba").iterdir()) == []


def test_fewer_holders_than_the_old_threshold_give_nobody_a_share(room: CeremonyRoom) -> None:
    room.write(municipalities="[]", officers=NEW)
    before = contents(room.folder / "shares") | contents(room.network)
    refused = room.run("aoki", "doi", "endo", command="reshare")
    assert refused.exit_code == 1
    assert "1 officers are present, 2 are needed" in refused.output
    absent = room.run("aoki", "baba", "chiba", "doi", command="reshare")
    assert absent.exit_code == 1
    assert "absent: endo" in absent.output
    after = contents(room.folder / "shares") | contents(room.network)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert {name for name in changed if "tokens/" not in name} == {
        "root/transcripts/unfinished.jsonl"
    }


def test_an_officer_who_forgot_the_passphrase_gets_another_share(room: CeremonyRoom) -> None:
    make_something_due(room)
    assert room.run("aoki", chiba="what was it again").exit_code == 1
    reshared = room.run("aoki", "baba", chiba="a passphrase to remember", command="reshare")
    # Two of three are enough to open, and chiba, asked last, chooses a new one.
    assert reshared.exit_code == 0, reshared.output
    assert room.run("baba", chiba="a passphrase to remember").exit_code == 0


def test_people_take_over_a_network_that_was_made_unattended(tmp_path: Path) -> None:
    room = CeremonyRoom(tmp_path)
    people = 'threshold = 2\nnames = ["aoki", "baba"]'
    unattended = ceremony_files(room.network).unattended_officer
    former = f'former = ["unattended"]\ndirectories = {{ unattended = "{unattended}" }}'
    room.write(municipalities="[]", officers=f"{people}\n{former}")
    provision_here(replace(read_ceremony(room.file).plan, allowed_uids=()))
    secret = (unattended / "unattended").read_text()
    taken = room.run("aoki", "baba", command="reshare", unattended=secret)
    assert taken.exit_code == 0, taken.output
    assert [file.name for file in unattended.iterdir()] == ["unattended"]  # its share is gone
    room.write(municipalities='["221309"]', officers=people)
    assert room.run("aoki", "baba").exit_code == 0
    assert room.ceremonies() == 3


def test_before_the_first_ceremony_there_is_nothing_to_share_anew(tmp_path: Path) -> None:
    room = CeremonyRoom(tmp_path)
    room.write(municipalities="[]")
    refused = room.run(*NAMES, command="reshare")
    assert refused.exit_code == 1
    assert "nobody holds a share" in refused.output
    assert not room.network.exists()
