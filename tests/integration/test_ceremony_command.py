"""`juki hsm ceremony`: what officers get done with it, and what it refuses to do for fewer."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from itertools import combinations
from pathlib import Path

import pytest

from hsm.ceremony_file import read_ceremony
from hsm.ceremony_works import keys_of
from hsm.configuration import read_configuration
from hsm.host_files import host_files
from hsm.key_classes import certified_labels
from hsm.permissions import Operation
from hsm.token import open_token
from juki.domain.errors import JukiError, Reason
from tests.ceremony_fixtures import (
    NAMES,
    CeremonyRoom,
    assert_whole,
    certificates,
    contents,
    verify,
)
from tests.custody_fixtures import running_custody

EXAMPLE = Path(__file__).parents[2] / "deploy" / "ceremony" / "example.toml"
ARCHIVE = """
[[further_hosts]]
name = "archive"
identity = "spiffe://national.juki.example/archive"
issuer = "national"
keys = [{ label = "tls-client" }, { label = "seal", kind = "AES-256" }]
[[further_hosts.sockets]]
path = "custody.sock"
uids = [4711]
permissions = [
  { key = "tls-client", operations = ["sign", "certificate_chain"] },
  { key = "seal", operations = ["unwrap_data_key"] },
]
"""


@pytest.fixture(scope="module", autouse=True)
def quick_passphrases() -> Iterator[None]:
    """The cost of guessing is not what these tests are about; on the terminal it is paid."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hsm.ceremony_file.PERSON_COST", 2**4)
        yield


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> CeremonyRoom:
    room = CeremonyRoom(tmp_path_factory.mktemp("room"))
    room.write()
    held = room.run(*NAMES)
    assert held.exit_code == 0, held.output
    return room


@pytest.fixture
def room(first: CeremonyRoom, tmp_path: Path) -> CeremonyRoom:
    """A room of its own after the first ceremony."""
    shutil.copytree(first.folder, tmp_path / "room")
    copy = CeremonyRoom(tmp_path / "room")
    for file in copy.network.rglob("softhsm2.conf"):  # names its tokens by their whole path
        file.write_text(file.read_text().replace(str(first.folder), str(copy.folder)))
    return copy


def test_the_example_is_made_as_planned_by_any_three_of_its_five_officers(tmp_path: Path) -> None:
    room = CeremonyRoom(tmp_path)
    room.file.write_text(EXAMPLE.read_text())
    planned = room.command("plan")
    assert planned.exit_code == 0
    assert {one.name for one in tmp_path.iterdir()} == {"ceremony.toml"}
    five = ("aoki", "baba", "chiba", "doi", "endo")
    assert room.run(*five).exit_code == 0
    read = read_ceremony(room.file)
    assert_whole(read.plan)
    hosts = read.plan.hosts()
    keys = 1 + sum(len(keys_of(host)) for host in hosts)
    made = 1 + sum(len(certified_labels(host)) for host in hosts)
    totals = {"token": 12, "key": keys, "certificate": made, "custody.toml": 11}
    for what, count in totals.items():
        assert f"{what} {count}" in planned.output
    said = room.text(1)
    assert "接続中のネットワーク (networks up): " in said
    assert (said.count("(token made)  "), said.count("(key made)  ")) == (12, keys)
    assert said.count("(certificate signed)  ") == made
    archive = read_configuration(host_files(room.network, "national-archive").configuration)
    assert [socket.allowed_uids for socket in archive.sockets] == [(992,)]
    pref22 = read_configuration(host_files(room.network, "pref22").configuration)
    users = {socket.path.name: socket.allowed_uids for socket in pref22.sockets}
    assert users == {"custody.sock": (990,), "authority.sock": (991,)}
    for name in five:
        assert len(list((tmp_path / "shares" / name).iterdir())) == 1
    shown = room.command("key-classes").output
    assert all(label in shown for label in ("root", "issuing-ca", "tls-client", "wrapping"))


def test_held_again_it_changes_no_byte_and_asks_nobody(first: CeremonyRoom) -> None:
    before = contents(first.folder)
    for command in ("plan", "run"):
        again = first.command(command)
        assert again.exit_code == 0
        assert "nothing to do" in again.output
    assert contents(first.folder) == before


def test_every_two_of_three_officers_hold_it_and_no_one_alone(room: CeremonyRoom) -> None:
    read = read_ceremony(room.file)
    before = contents(room.network)
    for alone in NAMES:
        room.write(municipalities='["221309", "221007"]')
        refused = room.run(alone)
        assert refused.exit_code == 1
        assert "1 officers are present, 2 are needed" in refused.output
    assert contents(room.network) == before
    for place, two in enumerate(combinations(NAMES, 2), start=2):
        file = host_files(read.plan.directory, "cs-221309").certificates / "signing.pem"
        file.unlink()
        assert room.run(*two).exit_code == 0
        assert f"(officers present): {', '.join(two)}\n" in room.text(place)
    assert room.ceremonies() == 4


def test_a_wrong_passphrase_changes_nothing_and_is_nowhere_in_the_output(
    room: CeremonyRoom,
) -> None:
    room.write(municipalities='["221309", "221007"]')
    before = contents(room.network)
    refused = room.run("aoki", baba="not the passphrase at all")
    assert refused.exit_code == 1
    assert "officer 'baba' is wrong" in refused.output
    assert "not the passphrase at all" not in refused.output
    assert contents(room.network) == before


def test_a_host_added_later_gets_its_keys_and_the_others_are_not_touched(
    room: CeremonyRoom,
) -> None:
    before = contents(room.network, tokens=False)
    room.write(municipalities='["221309", "221007"]', more=ARCHIVE)
    assert room.run("aoki", "chiba").exit_code == 0
    plan = read_ceremony(room.file).plan
    assert_whole(plan)
    after = contents(room.network, tokens=False)
    assert {name for name in before if after[name] != before[name]} == {
        "root/sealed_pins.json",
        "national/hsm/authority.jsonl",  # what an authority certified is on its record
        "pref22/hsm/authority.jsonl",
    }
    new = {name.split("/")[0] for name in after.keys() - before.keys()}
    assert new == {"root", "cs-221007", "cs-221007-register", "archive"}
    files = host_files(room.network, "archive")
    with open_token(files.token(plan.module, "archive")) as token:
        assert token.has_key("seal")
        assert not token.has_key("wrapping")


def test_grants_and_users_that_changed_reach_a_host_that_is_there(room: CeremonyRoom) -> None:
    room.write(more=ARCHIVE)
    assert room.run("aoki", "chiba").exit_code == 0
    before = contents(room.network, tokens=False)
    changed = ARCHIVE.replace("4711", "4712").replace(
        '"unwrap_data_key"]', '"unwrap_data_key", "new_data_key"]'
    )
    room.write(more=changed)
    planned = room.command("plan").output
    assert "+ custody.sock: mode 0600, users 4712" in planned
    assert room.run("aoki", "chiba").exit_code == 0
    after = contents(room.network, tokens=False)
    assert {name for name in before if after[name] != before[name]} == {"archive/hsm/custody.toml"}
    configuration = read_configuration(host_files(room.network, "archive").configuration)
    assert configuration.sockets[0].allowed_uids == (4712,)
    granted = configuration.sockets[0].permitted()
    granted.require("seal", Operation.NEW_DATA_KEY)
    said = room.text(3)
    assert "鍵の使用許可の設定 (custody configured)  archive\n" in said
    assert "        - custody.sock: mode 0600, users 4711\n" in said
    assert "        + custody.sock: seal: new_data_key, unwrap_data_key\n" in said
    assert "key made" not in said


def test_custody_of_a_further_host_grants_what_the_file_says_after_its_next_start(
    room: CeremonyRoom,
) -> None:
    here = ARCHIVE.replace("4711", str(os.getuid()))
    room.write(more=here)
    assert room.run("aoki", "chiba").exit_code == 0
    with running_custody(host_files(room.network, "archive")) as custody:
        assert len(custody.client.certificate_chain("tls-client")) == 2
        with pytest.raises(JukiError) as refusal:
            custody.client.new_data_key("seal")
        assert refusal.value.reason is Reason.KEY_USE_NOT_PERMITTED
        room.write(more=here.replace('"unwrap', '"new_data_key", "unwrap'))
        assert room.run("aoki", "chiba").exit_code == 0
        custody.start_again()
        assert custody.client.new_data_key("seal").plaintext


def test_a_key_added_to_a_host_is_made_beside_those_it_has(room: CeremonyRoom) -> None:
    room.write(more=ARCHIVE)
    assert room.run("aoki", "chiba").exit_code == 0
    before = certificates(read_ceremony(room.file).plan)
    room.write(
        more=ARCHIVE.replace("keys = [", 'keys = [{ label = "signing" }, ').replace(
            "permissions = [",
            'permissions = [{ key = "signing", operations = ["sign", "certificate_chain"] },',
        )
    )
    assert room.run("aoki", "chiba").exit_code == 0
    plan = read_ceremony(room.file).plan
    assert_whole(plan)
    after = certificates(plan)
    assert {key for key in after if before.get(key) != after[key]} == {("archive", "signing")}
    assert room.text(3).count("(key made)  ") == 1
    assert "nothing to do" in room.command("run").output


def test_certificates_live_as_long_as_the_file_says(tmp_path: Path) -> None:
    room = CeremonyRoom(tmp_path)
    days = {"root": 900, "issuing-ca": 800, "tls-client": 30, "signing": 40, "server-issuer": 50}
    lines = "\n".join(f"{label} = {count}" for label, count in days.items())
    room.write(municipalities="[]", more=f"[validity_days]\n{lines}")
    assert room.run(*NAMES).exit_code == 0
    made = certificates(read_ceremony(room.file).plan)
    assert len(made) == 8
    for (_, label), certificate in made.items():
        life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        assert life == timedelta(days=days[label]), label


def test_a_server_that_gets_another_name_gets_a_certificate_for_it_and_the_same_key(
    room: CeremonyRoom,
) -> None:
    host = (
        '[[further_hosts]]\nname = "front"\nidentity = "spiffe://national.juki.example/front"\n'
        'issuer = "national"\ndns = ["{}.national.juki.example"]\n'
    )
    room.write(more=host.format("front"))
    assert room.run("aoki", "chiba").exit_code == 0
    before = certificates(read_ceremony(room.file).plan)
    room.write(more=host.format("portal"))
    assert room.run("aoki", "chiba").exit_code == 0
    after = certificates(read_ceremony(room.file).plan)
    assert {key for key in after if before[key] != after[key]} == {("front", "server-issuer")}
    changed = ("front", "server-issuer")
    assert before[changed].public_key() == after[changed].public_key()
    assert "DNS portal.national.juki.example" in room.text(3)


def test_a_directory_root_that_is_elsewhere_is_asked_for_and_never_made_anew(
    room: CeremonyRoom,
) -> None:
    (room.network / "root").rename(room.folder / "safe")
    assert "nothing to do" in room.command("run").output  # nothing due: the root is not needed
    room.write(municipalities='["221309", "221007"]')
    before = contents(room.folder)
    refused = room.run(*NAMES)
    assert refused.exit_code == 1
    assert "bring the directory root back" in refused.output
    after = contents(room.folder)
    assert {name: after[name] for name in before if "passphrases" not in name} == {
        name: before[name] for name in before if "passphrases" not in name
    }
    assert not (room.network / "root").exists()


@pytest.mark.parametrize("lost", ["certificates", "."])
def test_keys_of_a_host_are_never_destroyed_because_a_file_is_missing(
    room: CeremonyRoom, lost: str
) -> None:
    directory = host_files(room.network, "pref22").directory
    if lost == "certificates":
        shutil.rmtree(directory / "certificates")
    else:  # only the token is left
        shutil.rmtree(directory / "certificates")
        (directory / "custody.toml").unlink()
    tokens = {name: one for name, one in contents(directory).items() if "object" in name}
    refused = room.run("aoki", "baba")
    assert refused.exit_code == 1
    assert "pref22" in refused.output
    assert tokens == {name: one for name, one in contents(directory).items() if "object" in name}


def test_an_officer_whose_stick_is_not_there_gets_no_share_on_this_machines_disk(
    tmp_path: Path,
) -> None:
    room = CeremonyRoom(tmp_path)
    stick = tmp_path / "stick"
    officers = f'threshold = 1\nnames = ["aoki"]\ndirectories = {{ aoki = "{stick}" }}'
    room.write(municipalities="[]", officers=officers)
    refused = room.run("aoki")
    assert refused.exit_code == 1
    assert "where officer 'aoki' keeps a share, is not there" in refused.output.replace("\n", " ")
    assert not stick.exists()
    stick.mkdir()
    assert room.run("aoki").exit_code == 0
    assert [file.name.split(".")[0] for file in stick.iterdir()] == ["aoki"]
    assert not (tmp_path / "shares").exists()


def test_a_transcript_is_verified_and_shown_and_a_changed_one_refused(room: CeremonyRoom) -> None:
    (room.network / "cs-221309/hsm/certificates/signing.pem").unlink()
    assert room.run("aoki", "baba").exit_code == 0
    room.file.rename(room.folder / "away")  # not needed: the transcript and the root are enough
    shown = verify(room.transcripts / "0001.txt")
    assert shown.exit_code == 0
    assert shown.output.startswith("鍵セレモニー記録 第1号")
    assert "記録 2 件" in shown.output
    assert verify(room.transcripts).output.startswith("鍵セレモニー記録 第2号")
    copy = room.folder / "root.pem"
    (room.network / "root.pem").rename(copy)
    assert verify(room.transcripts, "--root", copy).exit_code == 0
    lines = (room.transcripts / "0001.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    first["officers_present"] = ["mallory"]
    lines[0] = json.dumps(first)
    (room.transcripts / "0001.jsonl").write_text("\n".join(lines) + "\n")
    refused = verify(room.transcripts, "--root", copy)
    assert refused.exit_code == 1
    assert "does not follow" in refused.output


def test_without_a_terminal_and_without_a_directory_nobody_is_asked(tmp_path: Path) -> None:
    room = CeremonyRoom(tmp_path)
    room.write(municipalities="[]")
    refused = room.command("run", "--yes")
    assert refused.exit_code == 1
    assert "on a terminal" in refused.output
    assert not room.network.exists()
