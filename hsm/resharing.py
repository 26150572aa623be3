"""New officers for old ones: a new key over the sealed PINs, and new PINs for the root's token.

The old shares open nothing any more: not the sealed PINs, which are sealed under another key, and
not the root with a copy kept of the old ones, since its PINs are changed. The PINs of hosts' tokens
stay: custody on the hosts has them in any case.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hsm.ceremony import Ceremony, Steps
from hsm.host_files import ROOT_HOST, ceremony_files
from hsm.root_pins import change_root_pins, settle_root_pins
from hsm.sealed_pins import OfficersTable, open_sealed_pins, share_anew, void_shares
from hsm.transcript import Transcript
from juki.domain.errors import JukiError, Reason


def reshare(ceremony: Ceremony, holders: OfficersTable) -> Path:
    """Give the ceremony's officers new shares, by those who hold the old ones; gives the text.

    As many of `holders` as their threshold asks for and every officer of the ceremony have to be
    present. Raises as `hold_ceremony` does.
    """
    plan = replace(ceremony.plan, directory=ceremony.plan.directory.resolve())
    files = ceremony_files(plan.directory)
    if not files.sealed_pins.exists():
        raise JukiError(
            Reason.CONFIGURATION_INVALID, "no ceremony was held here yet: nobody holds a share"
        )
    with open_sealed_pins(files.sealed_pins, holders) as before:
        settle_root_pins(plan, before)
        transcript = Transcript(files.transcripts, ceremony.clock)
        steps = Steps(replace(ceremony, plan=plan, table=holders), before, transcript)
        steps.open_table()
        old, new = holders.officers, ceremony.table.officers
        transcript.say(
            "resharing begun",
            officers_before=list(old.names),
            needed_before=f"{old.threshold} of {len(old.names)}",
            officers=list(new.names),
            officers_needed=f"{new.threshold} of {len(new.names)}",
        )
        with share_anew(before, ceremony.table) as pins:
            transcript.say("shares made anew", officers=list(new.names))
            change_root_pins(plan, pins, ceremony.random_pin)
            transcript.say("PINs changed", token=ROOT_HOST)
            for table in (holders, ceremony.table):
                void_shares(files.sealed_pins, table)
            return Steps(replace(ceremony, plan=plan), pins, transcript).close_table()
