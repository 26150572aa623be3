"""From the register to the index: persons as lookups are to see them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from sqlalchemy import Connection, Engine, select

from juki.domain.residency import ResidencyStatus
from juki.index.port import PersonState
from juki.register import tables as t
from juki.register.held import HeldClaim, Person, held_claim
from juki.store.sealing import Sealer

_PAGE: Final = 2000


def state_of(person: Person) -> PersonState:
    """What the index is to know of a person after a commit."""
    residency = person.residency
    assert residency is not None, "a touched person has a residency"
    return _state(person.ordinal, residency.status, residency.municipality, person.claims)


def all_states(engine: Engine, sealer: Sealer) -> Iterator[PersonState]:
    """Every person of the register, by ordinal; for a rebuild of the index.

    Raises:
        JukiError: TAMPERING_DETECTED when a stored record does not open in its place.
    """
    after = 0
    while page := _page(engine, after):
        with engine.connect().execution_options(read_only=True) as connection:
            statement = select(t.claim).where(t.claim.c.ordinal.in_([o for o, _, _ in page]))
            claims: dict[int, dict[str, HeldClaim]] = {}
            for row in connection.execute(statement):
                claims.setdefault(row.ordinal, {})[row.municipality] = held_claim(row, sealer)
        for ordinal, status, municipality in page:
            held = claims.get(ordinal, {})
            if not held or (municipality and municipality not in held):
                raise sealer.tampering("a person of the register has lost a claim")
            yield _state(ordinal, status, municipality, held)
        after = page[-1][0]


def present_information(connection: Connection, sealer: Sealer, ordinal: int) -> bytes | None:
    """The person's serialised `IdentificationInformation`; None while nothing may be given.

    Raises:
        JukiError: TAMPERING_DETECTED when the stored record does not open in its place.
    """
    residency = connection.execute(
        select(t.residency.c.status, t.residency.c.municipality).where(
            t.residency.c.ordinal == ordinal
        )
    ).first()
    if residency is None or residency.status == ResidencyStatus.DISPUTED:
        return None
    row = connection.execute(
        select(t.claim).where(
            t.claim.c.ordinal == ordinal, t.claim.c.municipality == residency.municipality
        )
    ).first()
    return None if row is None else held_claim(row, sealer).information


def _state(
    ordinal: int, status: ResidencyStatus, municipality: str, claims: Mapping[str, HeldClaim]
) -> PersonState:
    if status is ResidencyStatus.DISPUTED:
        claimed = tuple(held.information for _, held in sorted(claims.items()))
        return PersonState(ordinal, status, b"", claimed)
    return PersonState(ordinal, status, claims[municipality].information)


def _page(engine: Engine, after: int) -> list[tuple[int, ResidencyStatus, str]]:
    table = t.residency
    statement = (
        select(table.c.ordinal, table.c.status, table.c.municipality)
        .where(table.c.ordinal > after)
        .order_by(table.c.ordinal)
        .limit(_PAGE)
    )
    with engine.connect().execution_options(read_only=True) as connection:
        return [
            (row.ordinal, ResidencyStatus(row.status), row.municipality)
            for row in connection.execute(statement)
        ]
