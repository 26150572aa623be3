"""A gateway's database that was written into past the gateway is found out, on either database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, Table, delete, insert, select, update

from cs_gateway.covered import SECTIONS
from cs_gateway.outbox import Outbox
from cs_gateway.tables import CODE_POOL, OUTBOX, REGISTER_EVENT, REGISTER_ROOT, RESIDENT
from juki.domain.change import ChangeReason
from juki.domain.errors import JukiError, Reason
from juki.store.engine import open_engine
from juki.store.verification import RootedDatabase, verify
from tests.gateway_fixtures import GatewayCore, register_event


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    url: Any = f"sqlite:///{tmp_path / 'gateway.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    engine = open_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def core(engine: Engine) -> Iterator[GatewayCore]:
    core = GatewayCore(engine, codes=20)
    take(core, *(register_event(f"e{n}", f"r{n}", ChangeReason.BIRTH) for n in range(3)))
    take(core, register_event("e3", "r0", ChangeReason.CODE_CHANGE_REQUEST))
    assert findings(core) == []
    core.tampered_with = True
    yield core
    core.close()


def take(core: GatewayCore, *events: Any) -> None:
    assert all(one.refusal is None for one in core.intake.hand_in(events, "rpc").wait(20))


def findings(core: GatewayCore) -> list[str]:
    database = RootedDatabase(core.engine, core.store.sealer, REGISTER_ROOT, SECTIONS)
    return verify(database, None).findings


def rows(core: GatewayCore, table: Table) -> list[dict[str, Any]]:
    with core.engine.connect() as connection:
        statement = select(table).order_by(*table.primary_key)
        return [dict(row) for row in connection.execute(statement).mappings()]


def write(core: GatewayCore, *statements: Any) -> None:
    with core.engine.begin() as connection:
        for statement in statements:
            connection.execute(statement)


def set_of(table: Table, row: dict[str, Any], **values: Any) -> Any:
    condition: Any = True
    for column in table.primary_key:
        condition = (column == row[column.name]) & condition
    return update(table).where(condition).values(values)


def exchange_rows(core: GatewayCore) -> None:
    first, second, *_ = rows(core, RESIDENT)
    write(
        core,
        set_of(RESIDENT, first, information=second["information"]),
        set_of(RESIDENT, second, information=first["information"]),
    )


def exchange_columns(core: GatewayCore) -> None:
    resident, envelope = rows(core, RESIDENT)[0], rows(core, OUTBOX)[0]
    write(
        core,
        set_of(RESIDENT, resident, information=envelope["envelope"]),
        set_of(OUTBOX, envelope, envelope=resident["information"]),
    )


def cut_off(core: GatewayCore) -> None:
    resident, envelope = rows(core, RESIDENT)[0], rows(core, OUTBOX)[0]
    write(
        core,
        set_of(RESIDENT, resident, information=resident["information"][:-16]),
        set_of(OUTBOX, envelope, envelope=b""),
    )


def alter_beside(core: GatewayCore) -> None:
    write(
        core,
        set_of(RESIDENT, rows(core, RESIDENT)[0], number_pending=False),
        set_of(OUTBOX, rows(core, OUTBOX)[0], issued_at=1),
    )


@pytest.mark.parametrize("tamper", [exchange_rows, exchange_columns, cut_off, alter_beside])
def test_a_row_that_does_not_open_is_detected_on_read_and_by_the_walk(
    core: GatewayCore, tamper: Callable[[GatewayCore], None]
) -> None:
    tamper(core)
    reads: list[Callable[[], object]] = [
        lambda: core.store.resident(rows(core, RESIDENT)[0]["record_key"])
    ]
    if tamper is not exchange_rows:
        reads.append(lambda: Outbox(core.store).run_after(1, 0))
    for read in reads:
        with pytest.raises(JukiError) as found:
            read()
        assert found.value.reason is Reason.TAMPERING_DETECTED
    assert "resident, row 1" in findings(core)


def roll_back_a_resident(core: GatewayCore) -> str:
    before = rows(core, RESIDENT)
    take(core, register_event("e9", "r1", ChangeReason.DEATH))
    (changed,) = [old for old, new in zip(before, rows(core, RESIDENT), strict=True) if old != new]
    write(core, set_of(RESIDENT, changed, **changed))
    assert core.store.resident(changed["record_key"]) is not None
    return "resident: a row was altered, put back to an older state or exchanged"


def delete_an_event(core: GatewayCore) -> str:
    key = rows(core, REGISTER_EVENT)[0]["event_key"]
    write(core, delete(REGISTER_EVENT).where(REGISTER_EVENT.c.event_key == key))
    return "register_event: rows were deleted: 3 are there, the root knows 4"


def double_an_outbox_row(core: GatewayCore) -> str:
    write(core, insert(OUTBOX).values({**rows(core, OUTBOX)[0], "sequence": 99}))
    return "outbox: rows were added or doubled: 5 are there, the root knows 4"


def free_a_used_code(core: GatewayCore) -> str:
    used = next(row for row in rows(core, CODE_POOL) if row["used_at"] is not None)
    write(core, set_of(CODE_POOL, used, used_at=None))
    return "code_pool: a row was altered, put back to an older state or exchanged"


@pytest.mark.parametrize(
    "tamper", [roll_back_a_resident, delete_an_event, double_an_outbox_row, free_a_used_code]
)
def test_rows_that_open_but_are_not_those_that_were_written_are_found(
    core: GatewayCore, tamper: Callable[[GatewayCore], str]
) -> None:
    assert tamper(core) in findings(core)
