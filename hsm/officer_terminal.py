"""Asks officers for their passphrases on the terminal, where nobody sees what they type."""

from __future__ import annotations

import getpass
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from hsm.officers import SHORTEST_PASSPHRASE
from juki.domain.errors import JukiError, Reason

ATTEMPTS = 3
"""How often an officer may mistype."""


class OfficersAtTheTerminal:
    """`Passphrases` of people: an empty line says that an officer is not present."""

    def __init__(self, console: Console, folder_of: Callable[[str], Path]) -> None:
        if not sys.stdin.isatty():
            raise JukiError(
                Reason.CONFIGURATION_INVALID,
                "officers type their passphrases on a terminal; "
                "automation gives a directory of files with --passphrases",
            )
        self._console = console
        self._folder_of = folder_of

    def __call__(self, officer: str, is_new: bool) -> str | None:
        self._console.print(
            f"\n[bold]鍵管理者 {officer}[/] (officer): 分散鍵の場所 (share in) "
            f"{self._folder_of(officer)}",
            soft_wrap=True,
        )
        return self._new(officer) if is_new else self._present(officer)

    def refused(self, error: JukiError) -> None:
        """Tells why an officer is asked again."""
        self._console.print(f"受け付けられません (not accepted): {error.message}", soft_wrap=True)

    def _present(self, officer: str) -> str | None:
        return _typed(f"{officer}: パスフレーズ (passphrase; Enter if absent): ") or None

    def _new(self, officer: str) -> str | None:
        for _ in range(ATTEMPTS):
            first = _typed(
                f"{officer}: 新しいパスフレーズ "
                f"(new passphrase, {SHORTEST_PASSPHRASE} characters or more): "
            )
            if not first:
                return None
            if len(first) < SHORTEST_PASSPHRASE:
                self._console.print("短すぎます (too short)")
            elif first != _typed(f"{officer}: もう一度 (once more): "):
                self._console.print("一致しません (the two differ)")
            else:
                return first
        return None


def _typed(prompt: str) -> str:
    with warnings.catch_warnings():
        # getpass would otherwise read from standard input with what is typed on the screen.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(prompt)
        except EOFError:
            return ""
        except getpass.GetPassWarning:
            raise JukiError(
                Reason.CONFIGURATION_INVALID, "the terminal cannot hide what is typed"
            ) from None
