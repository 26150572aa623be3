"""Taking an old generation of keys out of use, and later destroying it; its certificates stay.

In two steps, since the first can be undone (delete the `.retired` file) and the second cannot: what
still needs the old generation, a backup of a database for one, shows between them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hsm.ceremony import Ceremony, Steps
from hsm.generations import generation_files, retired_file
from hsm.host_files import ceremony_files
from hsm.root_pins import settle_root_pins
from hsm.rotation import find_class, holders_here
from hsm.sealed_pins import open_sealed_pins
from hsm.transcript import Transcript
from juki.custody.naming import token_label
from juki.domain.errors import JukiError, Reason


@dataclass(frozen=True)
class Retirement:
    """What to take out of use."""

    key_class: str
    generation: int
    hosts: tuple[str, ...] = ()
    """Names of hosts; empty: every holder whose directory is here."""
    destroy: bool = False
    """Destroy keys that were taken out of use before."""


def hold_retirement(ceremony: Ceremony, retirement: Retirement) -> Path:
    """Take the generation out of use at these hosts, or destroy it; gives the transcript's text.

    Custody notices within a second. Raises CONFIGURATION_INVALID, before anything is changed, for a
    generation in use, one that does not exist, or one to destroy that was not taken out of use.
    """
    plan = ceremony.plan
    key_class = find_class(plan, retirement.key_class, retirement.hosts)
    holders = retirement.hosts or holders_here(plan, key_class)
    files = ceremony_files(plan.directory)
    with open_sealed_pins(files.sealed_pins, ceremony.table) as pins:
        settle_root_pins(plan, pins)
        steps = _RetirementSteps(ceremony, pins, Transcript(files.transcripts, ceremony.clock))
        for holder in holders:
            steps.check(holder, retirement)
        steps.open_table()
        for holder in holders:
            if retirement.destroy:
                steps.destroy(holder, retirement)
            else:
                steps.take_out_of_use(holder, retirement)
        return steps.close_table()


class _RetirementSteps(Steps):
    def check(self, holder: str, retirement: Retirement) -> None:
        key_class, number = retirement.key_class, retirement.generation
        files = generation_files(self._files(holder).certificates, key_class)
        if number == files.current or number not in files.made:
            raise _refused(holder, f"{key_class}.{number} is in use or does not exist")
        if retirement.destroy and number not in files.retired:
            raise _refused(holder, f"{key_class}.{number} was not taken out of use first")

    def take_out_of_use(self, holder: str, retirement: Retirement) -> None:
        key_class, number = retirement.key_class, retirement.generation
        self._transcript.say(
            "generation taken out of use", host=holder, key=token_label(key_class, number)
        )
        file = retired_file(self._files(holder).certificates, key_class, number)
        with file.open("wb") as opened:
            os.fsync(opened.fileno())

    def destroy(self, holder: str, retirement: Retirement) -> None:
        label = token_label(retirement.key_class, retirement.generation)
        with self._open(holder, writable=True) as token:
            if token.has_key(label):
                self._transcript.say("key destroyed", host=holder, key=label)
                token.destroy_key(label)


def _refused(holder: str, what: str) -> JukiError:
    return JukiError(Reason.CONFIGURATION_INVALID, f"{holder}: {what}")
