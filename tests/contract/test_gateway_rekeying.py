"""A gateway's keys are rotated: it knows its residents and events again under the new ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from cs_gateway.covered import OUTSIDE, SECTIONS
from cs_gateway.drop_store import DropStore, RefusedLine
from cs_gateway.group import Written
from cs_gateway.tables import DATA_KEY, OUTBOX, REGISTER_EVENT, REGISTER_ROOT, RESIDENT
from juki.domain.change import ChangeReason
from juki.domain.errors import JukiError, Reason
from juki.store.data_keys import KeyStore, SealingKeys
from juki.store.engine import open_engine
from juki.store.rekeying import rekey_index, reseal
from juki.store.sealing import sealed_under
from juki.store.verification import RootedDatabase
from tests.gateway_fixtures import GatewayCore, register_event

BIRTHS = [register_event(f"e{n}", f"r{n}", ChangeReason.BIRTH) for n in range(5)]


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
    yield core
    core.close()


def take(core: GatewayCore, *events: Any) -> list[Written]:
    return core.intake.hand_in(events, "rpc").wait(20)


def opened(core: GatewayCore) -> tuple[RootedDatabase, SealingKeys]:
    """The database as an operator's command opens it."""
    sealing = SealingKeys(KeyStore(core.engine, DATA_KEY, core.custody))
    sections = RootedDatabase(core.engine, sealing.sealer, REGISTER_ROOT, SECTIONS, OUTSIDE)
    return sections, sealing


def values(core: GatewayCore, column: Any) -> set[bytes]:
    with core.engine.connect() as connection:
        return {bytes(value) for value in connection.scalars(select(column))}


def test_rows_are_sealed_anew_beside_the_running_gateway(core: GatewayCore) -> None:
    first = take(core, *BIRTHS)
    drops = DropStore(core.store)
    progress = drops.open_file("a.jsonl", "1:2:3")
    drops.save(progress, [RefusedLine(7, Reason.INVALID_FIELD, b"line")], finished_at=None)
    database, sealing = opened(core)
    sealing.rotate()
    reseal(database, sealing)
    sealed = values(core, RESIDENT.c.information) | values(core, OUTBOX.c.envelope)
    assert {sealed_under(value) for value in sealed} == {2}
    again = take(core, *BIRTHS, register_event("later", "r1", ChangeReason.DEATH))
    assert [one.code for one in again[:5]] == [one.code for one in first]
    assert all(one.repeated for one in again[:5])
    assert again[5].refusal is None
    assert [one.line for one in drops.export(progress.file_id)] == [b"line"]


def test_a_gateway_started_anew_after_re_keying_knows_its_events_and_codes_again(
    core: GatewayCore,
) -> None:
    first = take(core, *BIRTHS)
    database, sealing = opened(core)
    assert rekey_index(database, sealing.keys) == 2
    blinds = values(core, RESIDENT.c.record_key) | values(core, REGISTER_EVENT.c.content)
    assert {blind[0] for blind in blinds} == {2}
    # The running one, which has its pool of codes in memory under the old key, writes no more.
    core.store.sealing.refresh()
    with pytest.raises(JukiError) as refused:
        take(core, register_event("e9", "r9", ChangeReason.BIRTH))
    assert refused.value.reason is Reason.STORE_UNAVAILABLE

    restarted = GatewayCore(core.engine, core.custody, core.upstream, codes=0)
    try:
        again = take(restarted, *BIRTHS)
        assert all(one.repeated for one in again)
        assert [one.code for one in again] == [one.code for one in first]
        (death,) = take(restarted, register_event("e9", "r1", ChangeReason.DEATH))
        (birth,) = take(restarted, register_event("e10", "r10", ChangeReason.BIRTH))
        assert (death.refusal, birth.refusal) == (None, None)
        assert birth.code not in {one.code for one in first}
        assert restarted.pool.available == 20 - len(BIRTHS) - 1
    finally:
        restarted.close()
