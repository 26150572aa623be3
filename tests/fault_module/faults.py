"""A token that fails as a test says: SoftHSM behind a module of our own, compiled by the tests."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from pkcs11 import Mechanism, TokenFlag

from hsm.host_files import HostFiles
from hsm.plan import DEFAULT_MODULE

_SOURCE = Path(__file__).with_name("fault_module.c")

SESSION_HANDLE_INVALID = 0xB3
GENERAL_ERROR = 0x05
DEVICE_ERROR = 0x30
PIN_LOCKED = 0xA4
"""CKR_... (PKCS #11 v2.40, section 3.5)."""


@dataclass(frozen=True)
class Faults:
    """The faults of one token; none to begin with."""

    directory: Path

    @property
    def module(self) -> Path:
        """The PKCS#11 module."""
        return self.directory / "fault_module.so"

    @property
    def _control(self) -> Path:
        return self.directory / "faults"

    def compile(self) -> None:
        """Compile the module with this directory's control file."""
        self.directory.mkdir(exist_ok=True)
        subprocess.run(
            [
                *("gcc", "-std=gnu11", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"),
                *(f'-DCONTROL="{self._control}"', f'-DMODULE="{DEFAULT_MODULE}"'),
                *("-o", str(self.module), str(_SOURCE), "-ldl"),
            ],
            check=True,
        )

    def _begin(self, *lines: str) -> None:
        new = self._control.with_suffix(".new")
        new.write_text("".join(f"{line}\n" for line in lines))
        new.rename(self._control)

    def lift(self) -> None:
        """No fault from now on."""
        self._control.unlink(missing_ok=True)

    def hang(self, function: str, seconds: int = 30) -> None:
        """`function` takes `seconds`, whatever is asked."""
        self._begin(f"hang {function} {seconds}")

    def fail(self, function: str, code: int) -> None:
        """`function` answers `code`."""
        self._begin(f"fail {function} {code:#x}")

    def fail_once(self, function: str, code: int) -> None:
        """The next call of `function` answers `code`; then there is no fault any more."""
        self._begin(f"once {function} {code:#x}")

    @property
    def is_lifted(self) -> bool:
        """Whether there is no fault now."""
        return not self._control.exists()

    def remove_token(self) -> None:
        """No slot holds a token, and what is open answers that it was removed."""
        self._begin("removed")

    def lock_pin(self) -> None:
        """The token says that its PIN is locked, and takes none."""
        self._begin(f"fail C_Login {PIN_LOCKED:#x}", _flags(TokenFlag.USER_PIN_LOCKED))

    def leave_one_attempt(self) -> None:
        """The token says that it locks its PIN at the next wrong attempt."""
        self._begin(_flags(TokenFlag.USER_PIN_FINAL_TRY))

    def hide(self, mechanism: Mechanism) -> None:
        """The token does not offer the mechanism."""
        self._begin(f"without {mechanism.value:#x}")

    def calls(self, function: str) -> int:
        """How often a function was called until now."""
        file = self._control.with_name("faults.calls")
        return file.read_text().split().count(function) if file.exists() else 0


def _flags(flags: TokenFlag) -> str:
    return f"flags {flags.value:#x}"


def stand_before(files: HostFiles) -> Faults:
    """Have a host's custody use the fault module, from its next start on."""
    faults = Faults(files.directory / "faults")
    faults.compile()
    text = files.configuration.read_text()
    assert str(DEFAULT_MODULE) in text
    files.configuration.write_text(text.replace(str(DEFAULT_MODULE), str(faults.module)))
    return faults
