"""Key ceremonies with officers: who opens the root, what is said, what is changed, what is not."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hsm.ceremony import Ceremony, hold_ceremony
from hsm.certificates import read_chain
from hsm.host_files import ceremony_files, root_file
from hsm.key_classes import key_classes
from hsm.officers import Officers
from hsm.plan import Prefecture, ProvisioningPlan
from hsm.sealed_pins import OfficersTable
from hsm.transcript import verify_transcripts
from juki.domain.errors import JukiError, Reason

PASSPHRASES = {name: f"a long passphrase of {name}" for name in ("hoshi", "kawa", "mori")}


def ceremony(
    directory: Path, present: tuple[str, ...], municipalities: tuple[str, ...]
) -> Ceremony:
    plan = ProvisioningPlan(directory, (Prefecture("22", municipalities),))
    answers = {name: PASSPHRASES[name] for name in present}
    table = OfficersTable(
        Officers(2, tuple(PASSPHRASES)),
        directory.parent / "officers",
        lambda officer, _: answers.get(officer),
        cost=2**4,
    )
    return Ceremony(plan, table)


def contents(directory: Path) -> dict[str, str]:
    return {
        str(file.relative_to(directory)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in directory.rglob("*")
        if file.is_file()
    }


def root_key(directory: Path) -> ec.EllipticCurvePublicKey:
    key = read_chain(root_file(directory))[0].public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("ceremony") / "network"
    directory.mkdir()
    assert hold_ceremony(ceremony(directory, tuple(PASSPHRASES), ("221309",)))
    return directory


@pytest.fixture
def held(first: Path, tmp_path: Path) -> Path:
    """A copy of the first ceremony's files; tokens stay where they were."""
    shutil.copytree(first.parent, tmp_path / "copy")
    return tmp_path / "copy" / "network"


def transcripts(directory: Path) -> Path:
    return ceremony_files(directory).transcripts


def test_a_ceremony_held_again_changes_nothing_and_needs_nobody(first: Path) -> None:
    before = contents(first)
    assert hold_ceremony(ceremony(first, (), ("221309",))) is None
    assert contents(first) == before


def test_the_transcript_names_every_key_certificate_and_officer_and_no_secret(first: Path) -> None:
    text = (transcripts(first) / "0001.txt").read_text()
    for said in ("hoshi, kawa, mori", "2 of 3", "Juki-Net root", "issuing authority pref22"):
        assert said in text
    plan = ceremony(first, (), ("221309",)).plan
    for one in key_classes(plan):
        for holder in one.holders:
            assert f"(key made)  {holder} / {one.label}  {one.kind}\n" in text
    secrets = [file.read_text() for file in first.rglob("pin")] + list(PASSPHRASES.values())
    assert len(secrets) > 3
    for file in transcripts(first).iterdir():
        assert not any(secret.encode() in file.read_bytes() for secret in secrets)


def test_no_passphrase_is_in_any_file(first: Path) -> None:
    for file in first.parent.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not any(one.encode() in content for one in PASSPHRASES.values()), file


@pytest.mark.parametrize("present", [("kawa",), ()])
def test_too_few_officers_add_no_host_and_open_no_token(
    held: Path, present: tuple[str, ...]
) -> None:
    before = contents(held)
    with pytest.raises(JukiError, match="2 are needed") as refusal:
        hold_ceremony(ceremony(held, present, ("221309", "221007")))
    assert refusal.value.reason == Reason.KEY_USE_NOT_PERMITTED
    assert contents(held) == before


def test_a_wrong_passphrase_is_refused_before_any_token_is_opened(
    held: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PASSPHRASES, "kawa", "not the passphrase")
    shutil.rmtree(held / "root" / "hsm")  # whoever opened a token now would fail by another reason
    with pytest.raises(JukiError, match="officer 'kawa' is wrong"):
        hold_ceremony(ceremony(held, ("hoshi", "kawa"), ("221309", "221007")))


def test_any_two_officers_add_a_host_and_leave_the_others_untouched(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "network"
    directory.mkdir()
    hold_ceremony(ceremony(directory, tuple(PASSPHRASES), ()))
    before = contents(directory)
    for present, municipalities in (
        (("hoshi", "kawa"), ("221309",)),
        (("kawa", "mori"), ("221309", "221007")),
    ):
        assert hold_ceremony(ceremony(directory, present, municipalities))
    after = contents(directory)
    changed = {name for name in before if after[name] != before[name]}
    # SoftHSM rewrites its own locks and counters when a token is opened; the issuing authority has
    # the new certificates on record.
    assert {name for name in changed if "/tokens/" not in name} == {
        "root/sealed_pins.json",
        "pref22/hsm/authority.jsonl",
    }
    assert (directory / "cs-221007" / "hsm" / "certificates" / "signing.pem").exists()
    verified = verify_transcripts(transcripts(directory), root_key(directory))
    assert verified.ceremonies == 3
    assert "kawa, mori" in (transcripts(directory) / "0003.txt").read_text()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("0001.jsonl", "pref22", "pref13"),
        ("0001.jsonl", "hoshi", "yama"),
        ("0001.txt", "pref22", "pref13"),
        ("0001.txt", "第1号", "第2号"),
    ],
)
def test_a_changed_transcript_is_found(held: Path, file: str, old: str, new: str) -> None:
    verify_transcripts(transcripts(held), root_key(held))
    changed = transcripts(held) / file
    changed.write_text(changed.read_text().replace(old, new, 1))
    with pytest.raises(JukiError) as refusal:
        verify_transcripts(transcripts(held), root_key(held))
    assert refusal.value.reason == Reason.TAMPERING_DETECTED


def test_a_removed_line_and_another_roots_signature_are_found(held: Path) -> None:
    with pytest.raises(JukiError, match="not what the root key signed"):
        verify_transcripts(transcripts(held), ec.generate_private_key(ec.SECP256R1()).public_key())
    lines = transcripts(held) / "0001.jsonl"
    lines.write_bytes(b"".join(lines.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(JukiError, match="does not stand for the lines"):
        verify_transcripts(transcripts(held), root_key(held))


def test_a_lost_root_certificate_never_costs_the_root_key(held: Path) -> None:
    root_file(held).unlink()
    before = contents(held)
    with pytest.raises(JukiError, match="put it back"):
        hold_ceremony(ceremony(held, tuple(PASSPHRASES), ("221309",)))
    assert contents(held) == before


def test_every_key_of_every_host_is_of_one_class_and_the_root_is_of_its_own(first: Path) -> None:
    plan = ceremony(first, (), ("221309",)).plan
    classes = {one.label: one for one in key_classes(plan)}
    for host in plan.hosts():
        for label in (
            *host.elliptic_labels(),
            *host.wrapping_labels(),
            *host.mac_labels(),
        ):
            assert host.name in classes[label].holders
    assert (classes["root"].holders, classes["root"].uses) == (("root",), ())
    shorter = replace(plan, lifetime_days={"signing": 30})
    assert {one.label: one.lifetime for one in key_classes(shorter)}["signing"] is not None
    assert next(o for o in key_classes(shorter) if o.label == "signing").lifetime.days == 30  # type: ignore[union-attr]
