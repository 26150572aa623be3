"""M of N officers open what fewer cannot, and a wrong passphrase is refused before any token."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsm.officers import Officers, Passphrases, passphrases_in
from hsm.sealed_pins import OfficersTable, open_sealed_pins
from hsm.secret_sharing import join_key, split_key
from juki.domain.errors import JukiError, Reason

NAMES = ("hoshi", "kawa", "mori", "yama")
ALL = {name: f"a long passphrase of {name}" for name in NAMES}


def answering(passphrases: dict[str, str]) -> Passphrases:
    return lambda officer, _: passphrases.get(officer)


def table(folder: Path, passphrases: dict[str, str], threshold: int = 3) -> OfficersTable:
    officers = Officers(threshold, NAMES)
    return OfficersTable(officers, folder / "officers", answering(passphrases), cost=2**4)


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    with open_sealed_pins(tmp_path / "pins.json", table(tmp_path, ALL)) as pins:
        pins.put("root", "0123456789abcdef")
    return tmp_path


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_every_m_shares_give_the_key_and_every_fewer_do_not(data: st.DataObject) -> None:
    key = data.draw(st.binary(min_size=32, max_size=32))
    count = data.draw(st.integers(1, 6))
    threshold = data.draw(st.integers(1, count))
    shares = split_key(key, threshold, count)
    for chosen in combinations(shares, threshold):
        assert join_key(chosen, threshold) == key
    for fewer in combinations(shares, threshold - 1):
        with pytest.raises(JukiError):
            join_key(fewer, threshold)
        if fewer and threshold > 2:  # even where someone lies about how many are needed
            assert join_key(fewer, threshold - 1) != key


def test_every_three_of_four_officers_open_the_pin_and_every_two_do_not(sealed: Path) -> None:
    for present in combinations(NAMES, 3):
        chosen = {name: ALL[name] for name in present}
        with open_sealed_pins(sealed / "pins.json", table(sealed, chosen)) as pins:
            assert pins.get("root") == "0123456789abcdef"
            assert pins.present == present
    for present in combinations(NAMES, 2):
        chosen = {name: ALL[name] for name in present}
        with (
            pytest.raises(JukiError, match="2 officers are present, 3 are needed") as refusal,
            open_sealed_pins(sealed / "pins.json", table(sealed, chosen)),
        ):
            pass
        assert refusal.value.reason == Reason.KEY_USE_NOT_PERMITTED


def test_two_officers_who_rewrite_the_threshold_open_nothing(sealed: Path) -> None:
    file = sealed / "pins.json"
    file.write_text(file.read_text().replace('"threshold": 3', '"threshold": 2'))
    two = {name: ALL[name] for name in NAMES[:2]}
    with (
        pytest.raises(JukiError) as refusal,
        open_sealed_pins(file, table(sealed, two, threshold=2)),
    ):
        pass
    assert refusal.value.reason == Reason.TAMPERING_DETECTED


def test_a_wrong_passphrase_is_refused_by_the_officers_name_and_never_shown(sealed: Path) -> None:
    wrong = {**ALL, "kawa": "not the passphrase"}
    with (
        pytest.raises(JukiError, match="officer 'kawa' is wrong") as refusal,
        open_sealed_pins(sealed / "pins.json", table(sealed, wrong)),
    ):
        pass
    assert refusal.value.reason == Reason.KEY_USE_NOT_PERMITTED
    assert "not the passphrase" not in str(refusal.value)


def test_one_officers_share_does_not_pass_for_anothers(sealed: Path) -> None:
    kawa, mori = (next((sealed / "officers").glob(f"{name}.*")) for name in ("kawa", "mori"))
    kawa.write_text(mori.read_text())
    with (
        pytest.raises(JukiError, match="officer 'kawa'"),
        open_sealed_pins(sealed / "pins.json", table(sealed, {**ALL, "kawa": ALL["mori"]})),
    ):
        pass


def test_the_first_ceremony_needs_every_officer(tmp_path: Path) -> None:
    three = {name: ALL[name] for name in NAMES[:3]}
    with (
        pytest.raises(JukiError, match="absent: yama"),
        open_sealed_pins(tmp_path / "pins.json", table(tmp_path, three)),
    ):
        pass
    assert not (tmp_path / "pins.json").exists()
    assert list((tmp_path / "officers").iterdir()) == []


def test_a_passphrase_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "kawa"
    file.write_text("a long passphrase\n")
    file.chmod(0o600)
    assert passphrases_in(tmp_path)("kawa", False) == "a long passphrase"
    assert passphrases_in(tmp_path)("mori", False) is None
    file.chmod(0o640)
    with pytest.raises(JukiError, match="others than its owner"):
        passphrases_in(tmp_path)("kawa", False)
