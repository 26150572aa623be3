"""Residents as lines of a drop file: what a municipality's register hands to its CS gateway.

JSON Lines, UTF-8, one ex-officio entry (職権記載) a line; empty parts are left out.
"""

from __future__ import annotations

import json
from typing import Any

from juki.domain.four_items import BirthDate, PersonName
from juki.population.residents import Resident


def written_birth_date(birth_date: BirthDate) -> str:
    """ "1985-04-02", "1931-04" or "1931": as much as is known."""
    text = f"{birth_date.year:04d}"
    if birth_date.month:
        text += f"-{birth_date.month:02d}"
    if birth_date.day:
        text += f"-{birth_date.day:02d}"
    return text


def _name(name: PersonName) -> dict[str, str]:
    parts = {
        "written": name.written,
        "reading": name.reading,
        "alphabet": name.alphabet,
        "common_name": name.common_name,
        "former_surname": name.former_surname,
    }
    return {part: text for part, text in parts.items() if text}


def entry_event(resident: Resident, event_id: str, event_date: str) -> dict[str, Any]:
    """The event that enters `resident` into the register on `event_date` (YYYY-MM-DD)."""
    items = resident.four_items
    address = {"municipality": items.address.municipality.digits, "town": items.address.town}
    if items.address.remainder:
        address["remainder"] = items.address.remainder
    return {
        "event_id": event_id,
        "record_id": resident.record_id,
        "reason": "EX_OFFICIO_ENTRY",
        "event_date": event_date,
        "name": _name(items.name),
        "birth_date": written_birth_date(items.birth_date),
        "sex": items.sex.name,
        "address": address,
    }


def entry_line(resident: Resident, event_id: str, event_date: str) -> bytes:
    """`entry_event` as one line of a drop file, its line feed included."""
    event = entry_event(resident, event_id, event_date)
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
