"""Reads and writes the registry of every Individual Number ever made, old and new."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select

from juki.domain.change import RecordState
from juki.domain.codes import IndividualNumber, ResidentRecordCode
from juki.domain.errors import JukiError, Reason
from juki.store.chunks import chunks, select_by_key
from juki.store.engine import now_microseconds
from juki.store.root import RowChanges, row_bytes
from juki.store.sealing import Sealer, seal_id
from national_server import tables as t
from national_server.code_pool import municipality_of_codes

_LOCK: Final = 0x6A756B69_6E756D62
"""Key of PostgreSQL's advisory lock: any two processes of the nation agree on it."""


def lock_registry(connection: Connection) -> None:
    """Lets one transaction at a time make numbers, whatever process it is in.

    SQLite's transactions that write exclude each other by themselves.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def check_own(connection: Connection, municipality: str, code_blinds: Collection[bytes]) -> None:
    """Returns if each code was allotted to the municipality or stands on its register.

    Raises:
        JukiError: CODE_NOT_ALLOTTED.
    """
    owners = municipality_of_codes(connection, code_blinds)
    foreign = [blind for blind in code_blinds if owners.get(blind) != municipality]
    person_code, claim = t.metadata.tables["person_code"], t.metadata.tables["claim"]
    for chunk in chunks(foreign):
        statement = (
            select(person_code.c.code_blind)
            .join(claim, claim.c.ordinal == person_code.c.ordinal)
            .where(
                person_code.c.code_blind.in_(chunk),
                claim.c.municipality == municipality,
                claim.c.state == int(RecordState.CURRENT),
            )
        )
        held = {bytes(blind) for blind in connection.scalars(statement)}
        if not held.issuperset(chunk):
            raise JukiError(
                Reason.CODE_NOT_ALLOTTED,
                "a code was not allotted to this municipality, nor stands on its register",
            )


def newest_numbers(
    connection: Connection, sealer: Sealer, code_blinds: Collection[bytes]
) -> dict[bytes, IndividualNumber]:
    """The newest number of each code that has one."""
    table = t.individual_number
    newest: dict[bytes, IndividualNumber] = {}
    for chunk in chunks(code_blinds):
        statement = select(table).where(table.c.code_blind.in_(chunk)).order_by(table.c.generation)
        for row in connection.execute(statement):
            newest[bytes(row.code_blind)] = opened_number(row, sealer)
    return newest


def next_generation(connection: Connection, code_blind: bytes) -> int:
    """The generation of the code's next re-made number; 0 is the first designation's."""
    table = t.individual_number
    statement = select(func.max(table.c.generation)).where(table.c.code_blind == code_blind)
    return (connection.scalar(statement) or 0) + 1


def keep_numbers(
    connection: Connection,
    sealer: Sealer,
    numbers: Mapping[bytes, IndividualNumber],
    generation: int,
    changes: RowChanges,
) -> None:
    """Stores numbers by the blind code that each was made from; none was ever made before."""
    if not numbers:
        return
    now = now_microseconds()
    rows = []
    for code_blind, number in numbers.items():
        number_blind = sealer.blind("number", number.digits)
        place = number_place(number_blind, code_blind, generation, now)
        sealed = sealer.seal(number.digits.encode(), place)
        changes.add("individual_number", seal_id(sealed))
        rows.append(
            {
                "number_blind": number_blind,
                "code_blind": code_blind,
                "generation": generation,
                "number_sealed": sealed,
                "made_at": now,
            }
        )
    connection.execute(insert(t.individual_number), rows)


def keep_replacement(
    connection: Connection, former_blind: bytes, number_blind: bytes, changes: RowChanges
) -> None:
    """Stores that the former number was replaced, once and for good."""
    now = now_microseconds()
    changes.add("number_remake", row_bytes(former_blind, number_blind, now))
    connection.execute(
        insert(t.number_remake).values(
            former_blind=former_blind, number_blind=number_blind, remade_at=now
        )
    )


def keep_request(
    connection: Connection,
    request: tuple[str, str],
    code_blind: bytes,
    former_blind: bytes,
    changes: RowChanges,
) -> None:
    """Binds a municipality's request id to its person and number, with the answer.

    Raises:
        JukiError: REQUEST_ID_REUSED when it is bound to others.
    """
    table, (municipality, request_id) = t.remake_request, request
    row = connection.execute(
        select(table.c.code_blind, table.c.former_blind).where(
            table.c.municipality == municipality, table.c.request_id == request_id
        )
    ).first()
    if row is None:
        changes.add("remake_request", row_bytes(municipality, request_id, code_blind, former_blind))
        connection.execute(
            insert(table).values(
                municipality=municipality,
                request_id=request_id,
                code_blind=code_blind,
                former_blind=former_blind,
            )
        )
    elif (bytes(row.code_blind), bytes(row.former_blind)) != (code_blind, former_blind):
        raise JukiError(Reason.REQUEST_ID_REUSED, "the request id was used for another number")


def restore_number(
    connection: Connection,
    sealer: Sealer,
    changes: RowChanges,
    *,
    code: ResidentRecordCode,
    number: IndividualNumber,
    former: IndividualNumber | None,
    municipality: str,
    request_id: str,
) -> bool:
    """Takes in a number that a restored database may lack; `former` is the one it replaced.

    False where the number was made for another code since, or the former one was replaced by
    another: what stands here stays.
    """
    code_blind = sealer.blind("code", code.digits)
    number_blind = sealer.blind("number", number.digits)
    made_for = generated_codes(connection, {number_blind}).get(number_blind)
    if made_for is None:
        held = newest_numbers(connection, sealer, [code_blind])
        generation = next_generation(connection, code_blind) if held else 0
        keep_numbers(connection, sealer, {code_blind: number}, generation, changes)
    elif made_for != code_blind:
        return False
    if former is None:
        return True
    former_blind = sealer.blind("number", former.digits)
    replaced_by = replacements(connection, {former_blind}).get(former_blind)
    if replaced_by is None:
        request = municipality, request_id
        keep_request(connection, request, code_blind, former_blind, changes)
        keep_replacement(connection, former_blind, number_blind, changes)
    return replaced_by in {None, number_blind}


def generated_codes(connection: Connection, number_blinds: Collection[bytes]) -> dict[bytes, bytes]:
    """For those of the numbers that were made: the blind code each was made from."""
    table = t.individual_number
    return select_by_key(connection, table.c.number_blind, table.c.code_blind, number_blinds)


def replacements(connection: Connection, former_blinds: Collection[bytes]) -> dict[bytes, bytes]:
    """For those of the numbers that were replaced: the number each was replaced by."""
    table = t.number_remake
    return select_by_key(connection, table.c.former_blind, table.c.number_blind, former_blinds)


def open_number(connection: Connection, sealer: Sealer, number_blind: bytes) -> IndividualNumber:
    """The number behind its blind value, which was made."""
    table = t.individual_number
    row = connection.execute(select(table).where(table.c.number_blind == number_blind)).one()
    return opened_number(row, sealer)


def opened_number(row: Any, sealer: Sealer) -> IndividualNumber:
    """The number of a row of the table `individual_number`.

    Raises:
        JukiError: TAMPERING_DETECTED when the row is not as it was sealed.
    """
    place = number_place(
        bytes(row.number_blind), bytes(row.code_blind), row.generation, row.made_at
    )
    return IndividualNumber(sealer.open(bytes(row.number_sealed), place).decode())


def is_persons(connection: Connection, number_blind: bytes, code_blind: bytes) -> bool:
    """Whether the number is that of the person with the code, who may have had other codes."""
    made_for = generated_codes(connection, {number_blind}).get(number_blind)
    if made_for is None:
        return False
    if made_for == code_blind:
        return True
    person_code = t.metadata.tables["person_code"]
    person_number = t.metadata.tables["person_number"]
    persons = select_by_key(
        connection,
        person_code.c.code_blind,
        person_code.c.ordinal,
        {code_blind, made_for},
    )
    person = persons.get(code_blind)
    if person is None:
        return False
    holder = connection.scalar(
        select(person_number.c.ordinal).where(person_number.c.number_blind == number_blind)
    )
    return bool(person == (persons.get(made_for) if holder is None else holder))


def number_place(number_blind: bytes, code_blind: bytes, generation: int, made_at: int) -> bytes:
    """The place that a sealed number is bound to: all the rest of its row."""
    return b"individual_number.number|%b|%b|%d|%d" % (
        number_blind,
        code_blind,
        generation,
        made_at,
    )
