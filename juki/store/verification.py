"""Walks a database and compares the rows that are there with the roots that are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, Table, func, select

from juki.domain.errors import JukiError, Reason
from juki.store.checkpoint import Checkpoint, Standing, sections_of, standing
from juki.store.root import CoveredTable, RegisterRoot, RootState, Section, recompute
from juki.store.sealing import Sealer


@dataclass(slots=True)
class Verification:
    """What a walk over a database found."""

    standing: Standing
    rows: int = 0
    findings: list[str] = field(default_factory=list)
    """What is wrong, by table and row in the table's order; never whose row it is."""


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees one state of the database, whatever is written meanwhile."""
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            yield connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        else:
            yield connection.execution_options(read_only=True)


@dataclass(frozen=True, slots=True)
class RootedDatabase:
    """A database and what lies under its roots."""

    engine: Engine
    sealer: Sealer
    root_table: Table
    sections: Sequence[Section]
    outside: Sequence[CoveredTable] = ()
    """Tables under no root, whose rows are sealed or blind all the same."""

    def states(self, connection: Connection) -> dict[str, RootState | None]:
        """The stored root of each section; None where there is none yet.

        Raises:
            JukiError: TAMPERING_DETECTED when one does not open.
        """
        return {
            one.name: RegisterRoot(self.sealer, self.root_table, one.name).read(connection)
            for one in self.sections
        }

    def count_rows(self) -> int:
        """How many rows a verification reads; for a progress bar."""
        with snapshot(self.engine) as connection:
            return sum(
                connection.scalar(select(func.count()).select_from(covered.table)) or 0
                for section in self.sections
                for covered in section.tables
            )


def verify(
    database: RootedDatabase,
    last: Checkpoint | None,
    told: Callable[[int], None] = lambda rows: None,
) -> Verification:
    """Reads every row under the roots, opens what is sealed, and compares.

    Works beside a running server. `told` hears of rows as they are read.

    Raises:
        JukiError: STORE_UNAVAILABLE where the key of the roots was rotated a moment ago.
    """
    sealer = database.sealer
    with snapshot(database.engine) as connection:
        try:
            states = database.states(connection)
        except JukiError as error:
            if error.reason is not Reason.TAMPERING_DETECTED:
                raise
            return Verification(Standing.FORKED, 0, ["a stored root does not open"])
        found = Verification(standing(sections_of(states, sealer), last))
        if found.standing is Standing.FORKED:
            found.findings.append("the roots are not those of the last checkpoint")
        for section in database.sections:
            state = states[section.name] or RootState(root_version=sealer.root_version)
            element = sealer.element(state.root_version)
            for covered in section.tables:
                total, count = recompute(
                    connection,
                    sealer,
                    covered,
                    element,
                    told=told,
                    unreadable=found.findings.append,
                )
                found.rows += count
                if (total, count) != state.of(covered.table.name):
                    found.findings.append(_difference(covered.table.name, count, state))
    return found


def _difference(table: str, count: int, state: RootState) -> str:
    _, expected = state.of(table)
    if count == expected:
        return f"{table}: a row was altered, put back to an older state or exchanged"
    what = "deleted" if count < expected else "added or doubled"
    return f"{table}: rows were {what}: {count} are there, the root knows {expected}"
