"""Fills the registers: synthetic residents, through the drop folders, like any notification."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from juki.demo.gateway import Register
from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import JukiError, Reason
from juki.localnet.plan import NetworkPlan
from juki.population.drop_file import entry_line
from juki.population.residents import Resident, generate
from juki.v1 import register_pb2

_EVENT_DATE: Final = "2026-11-01"


@dataclass(frozen=True, slots=True)
class LoadedPerson:
    """A resident as their own municipality's register knows them."""

    resident: Resident
    event_id: str


def write_drop_files(plan: NetworkPlan, residents: int, seed: int) -> dict[str, list[LoadedPerson]]:
    """Writes one drop file a municipality and hands it in by renaming; returns who is in it."""
    people: dict[str, list[LoadedPerson]] = {code: [] for code in plan.municipalities}
    lines: dict[str, list[bytes]] = {code: [] for code in plan.municipalities}
    codes = [LocalGovernmentCode(code) for code in plan.municipalities]
    for number, resident in enumerate(generate(codes, residents, seed)):
        keeper = resident.register.digits
        event_id = f"load-{seed}-{number}"
        people[keeper].append(LoadedPerson(resident, event_id))
        lines[keeper].append(entry_line(resident, event_id, _EVENT_DATE))
    for code, content in lines.items():
        _drop(plan.drop_folder(code), "initial-load.jsonl", b"".join(content))
    return people


def _drop(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{name}.tmp"
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(folder / name)


def wait_loaded(
    registers: dict[str, Register],
    people: dict[str, list[LoadedPerson]],
    progress: Callable[[str, int, int], None],
    seconds: float = 600.0,
) -> None:
    """Returns when the nation's receipts cover every resident.

    `progress` is told (municipality, known nationally, all) several times a second.

    Raises:
        JukiError: UPSTREAM_UNAVAILABLE when it takes longer than `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        done = True
        for code, register in registers.items():
            expected = len(people[code])
            progress(code, min(register.progress.nation, expected), expected)
            done = done and register.progress.nation >= expected
        if done:
            return
        if time.monotonic() > deadline:
            raise JukiError(Reason.UPSTREAM_UNAVAILABLE, "the residents were not loaded in time")
        time.sleep(0.1)


def codes_and_numbers(
    register: Register, people: list[LoadedPerson]
) -> list[register_pb2.EventOutcome]:
    """What the municipality's own register learns of its residents: their codes and numbers."""
    return [one.outcome for one in register.events([person.event_id for person in people])]
