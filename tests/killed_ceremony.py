"""Holds ceremonies that are killed (SIGKILL) at chosen steps, then held again to their end.

A step is a call or a return of one of hsm's functions, or a call that changes a file. Reads a JSON
object from standard input: `command` ("run" or "reshare") and `rooms`, each with a directory that
holds a prepared ceremony file and the steps to be killed at, one after another. Writes a JSON list:
for every room the number of steps that its last, undisturbed run took. Forks before anything of
PKCS#11 is loaded into use, so that a kill costs no start of the interpreter.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hsm
import hsm.ceremony_file
from hsm.ceremony import Ceremony, hold_ceremony
from hsm.ceremony_file import read_ceremony
from hsm.host_files import ceremony_files
from hsm.officers import passphrases_in
from hsm.resharing import reshare
from hsm.sealed_pins import holders_of
from juki.domain.errors import JukiError

_OURS = str(Path(hsm.__file__).parent)
_CHANGES_FILES = frozenset(
    ("write", "flush", "fsync", "rename", "mkdir", "rmdir", "unlink", "touch", "open", "sync")
)


def hold(room: Path, command: str) -> None:
    """The ceremony, or the resharing, of a room; all its officers are present."""
    read = read_ceremony(room / "ceremony.toml")
    answers = passphrases_in(room / "passphrases")
    ceremony = Ceremony(read.plan, read.table(read.officers, answers, 1), file_digest=read.digest)
    if command == "reshare":
        sealed = ceremony_files(read.plan.directory).sealed_pins
        if holders_of(sealed) != read.officers:  # else the new officers have their shares
            reshare(ceremony, read.table(holders_of(sealed), answers, 1))
            return
    hold_ceremony(ceremony)


def counting(kill_at: int) -> Callable[[Any, str, Any], None]:
    """A profiler that counts steps and kills at one; `counted` is how many there were."""
    counted = [0]

    def step(frame: Any, event: str, argument: Any) -> None:
        if event.startswith("c_"):
            if event != "c_call" or getattr(argument, "__name__", "") not in _CHANGES_FILES:
                return
        elif not frame.f_code.co_filename.startswith(_OURS):
            return
        counted[0] += 1
        if counted[0] == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    step.counted = counted  # type: ignore[attr-defined]
    return step


def in_a_child(room: Path, command: str, kill_at: int) -> int | None:
    """Steps taken, None where it was killed."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        code = 1
        try:
            step = counting(kill_at)
            sys.setprofile(step)
            hold(room, command)
            sys.setprofile(None)
            os.write(writable, str(step.counted[0]).encode())  # type: ignore[attr-defined]
            code = 0
        except JukiError as error:
            sys.stderr.write(f"{room.name}: {error}\n")
        finally:
            os._exit(code)
    os.close(writable)
    with os.fdopen(readable) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return None
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{room}: the ceremony failed after it was killed at {kill_at}")
    return int(said)


def main() -> None:
    """Each room in turn."""
    hsm.ceremony_file.PERSON_COST = 2**4
    asked = json.loads(sys.stdin.read())
    steps = []
    for room, kills in asked["rooms"]:
        for kill_at in kills:
            in_a_child(Path(room), asked["command"], kill_at)
        steps.append(in_a_child(Path(room), asked["command"], 0))
    sys.stdout.write(json.dumps(steps))


if __name__ == "__main__":
    main()
