"""Officers at the terminal: they are asked in turn, may mistype, and nobody sees what they type."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.ceremony_fixtures import CeremonyRoom, contents, passphrase
from tests.terminal import Terminal, on_a_terminal

AGAIN = "もう一度 (once more): "


def juki(room: CeremonyRoom, command: str) -> AbstractContextManager[Terminal]:
    return on_a_terminal(["-m", "juki", "hsm", "ceremony", command, room.file])


def chooses(terminal: Terminal, officer: str) -> None:
    """An officer chooses a passphrase and types it twice."""
    terminal.wait_for(f"{officer}: 新しいパスフレーズ")
    terminal.type(passphrase(officer))
    terminal.wait_for(f"{officer}: {AGAIN}")
    terminal.type(passphrase(officer))


def is_asked(terminal: Terminal, officer: str, answer: str) -> None:
    terminal.wait_for(f"{officer}: パスフレーズ (passphrase; Enter if absent): ")
    terminal.type(answer)


@pytest.mark.timeout(900)  # dozens of processes: slow where others want the cores
def test_officers_hold_ceremonies_at_a_terminal(tmp_path: Path) -> None:
    room = CeremonyRoom(tmp_path)
    room.write(municipalities="[]")
    screens = ""

    # The first: everybody chooses a passphrase; baba has to try three times.
    with juki(room, "run") as terminal:
        terminal.wait_for("作るもの (to make): token 3")
        terminal.wait_for("開始しますか (begin)? [y/N]: ")
        terminal.type("y")
        terminal.wait_for(str(room.folder / "shares" / "aoki"))
        chooses(terminal, "aoki")
        terminal.wait_for("baba: 新しいパスフレーズ")
        terminal.type("too short")
        terminal.wait_for("短すぎます (too short)")
        terminal.wait_for("baba: 新しいパスフレーズ")
        terminal.type(passphrase("baba"))
        terminal.wait_for(f"baba: {AGAIN}")
        terminal.type(passphrase("baba") + "?")
        terminal.wait_for("一致しません (the two differ)")
        chooses(terminal, "baba")
        chooses(terminal, "chiba")
        terminal.wait_for("鍵セレモニー記録 第1号")
        terminal.wait_for("出席した鍵管理者 (officers present): aoki, baba, chiba")
        terminal.wait_for("署名欄 (signatures of those present)")
        assert terminal.end() == 0, terminal.screen
        screens += terminal.screen
    before = contents(room.network)

    # Again: nothing is due, nobody is asked.
    with juki(room, "run") as terminal:
        assert terminal.end() == 0
        assert "変更なし (nothing to do)" in terminal.screen
        assert "パスフレーズ" not in terminal.screen
    assert contents(room.network) == before

    # One of them alone cannot add a host.
    room.write(municipalities='["221309"]')
    with juki(room, "run") as terminal:
        terminal.wait_for("begin)?")
        terminal.type("y")
        is_asked(terminal, "aoki", "")
        is_asked(terminal, "baba", passphrase("baba"))
        is_asked(terminal, "chiba", "")
        terminal.wait_for("1 officers are present, 2 are needed")
        assert terminal.end() == 1
        screens += terminal.screen
    assert contents(room.network) == before

    # Who does not say yes has done nothing.
    with juki(room, "run") as terminal:
        terminal.wait_for("begin)?")
        terminal.type("n")
        assert terminal.end() == 1
    assert contents(room.network) == before

    # Two of them can, one of whom mistypes.
    with juki(room, "run") as terminal:
        terminal.wait_for("begin)?")
        terminal.type("y")
        is_asked(terminal, "aoki", "")
        is_asked(terminal, "baba", "mistyped this time")
        terminal.wait_for("受け付けられません (not accepted): the passphrase of officer 'baba'")
        is_asked(terminal, "baba", passphrase("baba"))
        is_asked(terminal, "chiba", passphrase("chiba"))
        terminal.wait_for("鍵セレモニー記録 第2号")
        assert terminal.end() == 0, terminal.screen
        screens += terminal.screen
    assert room.ceremonies() == 2

    # The third who mistypes three times ends it.
    room.write(municipalities='["221309", "221007"]')
    before = contents(room.network)
    with juki(room, "run") as terminal:
        terminal.wait_for("begin)?")
        terminal.type("y")
        for _ in range(3):
            is_asked(terminal, "aoki", "mistyped again and again")
        terminal.wait_for("the passphrase of officer 'aoki' is wrong")
        assert terminal.end() == 1
        screens += terminal.screen
    assert contents(room.network) == before

    # endo comes for aoki.
    room.write(
        municipalities='["221309"]', officers='threshold = 2\nnames = ["baba", "chiba", "endo"]'
    )
    with juki(room, "reshare") as terminal:
        terminal.wait_for("2 of 3 (aoki, baba, chiba) → 2 of 3 (baba, chiba, endo)")
        terminal.wait_for("begin)?")
        terminal.type("y")
        is_asked(terminal, "aoki", "")
        is_asked(terminal, "baba", passphrase("baba"))
        is_asked(terminal, "chiba", passphrase("chiba"))
        for officer in ("baba", "chiba", "endo"):
            chooses(terminal, officer)
        terminal.wait_for("鍵セレモニー記録 第3号")
        assert terminal.end() == 0, terminal.screen
        screens += terminal.screen

    typed = [passphrase(name) for name in ("aoki", "baba", "chiba", "endo")]
    for secret in (*typed, "too short\r", "mistyped"):
        assert secret not in screens.replace("(too short)", "")


def test_each_officer_needs_a_stick_of_their_own(tmp_path: Path) -> None:
    room = CeremonyRoom(tmp_path / "room")
    room.folder.mkdir()
    slot = tmp_path / "stick"  # where every stick is mounted, one after the other
    slots = f'directories = {{ aoki = "{slot}", baba = "{slot}" }}'
    officers = f'threshold = 2\nnames = ["aoki", "baba"]\n{slots}'
    room.write(municipalities="[]", officers=officers)
    with juki(room, "run") as terminal:
        terminal.wait_for("begin)?")
        terminal.type("y")
        chooses(terminal, "aoki")
        terminal.wait_for(f"{slot}, where officer 'aoki' keeps a share, is not there")
        slot.mkdir()
        chooses(terminal, "aoki")
        chooses(terminal, "baba")
        terminal.wait_for("holds another officer's share: officer 'baba' needs another stick")
        slot.rename(tmp_path / "stick of aoki")
        slot.mkdir()
        chooses(terminal, "baba")
        terminal.wait_for("鍵セレモニー記録 第1号")
        assert terminal.end() == 0, terminal.screen
    assert len(list(slot.iterdir())) == len(list((tmp_path / "stick of aoki").iterdir())) == 1
    assert not (room.folder / "shares").exists()

    room.write(municipalities='["221309"]', officers=officers)
    with juki(room, "run") as terminal:
        terminal.wait_for("begin)?")
        terminal.type("y")
        is_asked(terminal, "aoki", passphrase("aoki"))
        terminal.wait_for("holds no share of officer 'aoki'")
        slot.rename(tmp_path / "stick of baba")
        (tmp_path / "stick of aoki").rename(slot)
        is_asked(terminal, "aoki", passphrase("aoki"))
        terminal.wait_for("鍵管理者 baba")
        slot.rename(tmp_path / "stick of aoki")
        (tmp_path / "stick of baba").rename(slot)
        is_asked(terminal, "baba", passphrase("baba"))
        terminal.wait_for("鍵セレモニー記録 第2号")
        assert terminal.end() == 0, terminal.screen


def test_a_broken_off_prompt_leaves_nothing_behind(tmp_path: Path) -> None:
    room = CeremonyRoom(tmp_path)
    room.write(municipalities="[]")
    with juki(room, "run") as terminal:
        terminal.wait_for("begin)?")
        terminal.type("y")
        terminal.wait_for("aoki: 新しいパスフレーズ")
        terminal.type("\x03")  # Ctrl-C
        assert terminal.end() != 0
        assert "Traceback" not in terminal.screen
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and file != room.file]
