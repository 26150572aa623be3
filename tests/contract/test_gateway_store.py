"""What the gateway asks of its database holds on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, select

from cs_gateway import places
from cs_gateway.drop_store import DropStore, RefusedLine
from cs_gateway.outbox import Outbox
from cs_gateway.store import GroupWrite, open_store
from cs_gateway.tables import CODE_POOL, GATEWAY_STATE, METADATA, OUTBOX, RESIDENT
from juki.domain.change import ChangeReason, RecordState
from juki.domain.envelope import StreamPosition
from juki.domain.errors import JukiError, Reason
from juki.store.engine import open_engine
from juki.v1 import notification_pb2
from tests.gateway_fixtures import OTHER_MUNICIPALITY, GatewayCore, register_event


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
    core = GatewayCore(engine)
    yield core
    core.close()


def test_the_migrated_database_is_what_the_code_describes(core: GatewayCore) -> None:
    with core.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_a_group_is_stored_whole_and_read_back(core: GatewayCore) -> None:
    events = [
        register_event("e1", "r1", ChangeReason.BIRTH),
        register_event("e2", "r2", ChangeReason.EX_OFFICIO_ENTRY),
        register_event("e3", "r1", ChangeReason.CODE_CHANGE_REQUEST),
        register_event("e4", "r2", ChangeReason.DEATH),
    ]
    outcomes = core.intake.hand_in(events, "rpc").wait(20)
    again = core.intake.hand_in(events, "rpc").wait(20)
    assert [(w.epoch, w.sequence) for w in outcomes] == [(1, n) for n in range(1, 5)]
    assert [(w.epoch, w.sequence) for w in again] == [(1, n) for n in range(1, 5)]
    assert again[0].code == again[2].code == outcomes[2].code
    resident = core.store.resident(core.store.sealer.blind("record_id", "r2"))
    assert resident is not None
    assert resident.state is RecordState.DIED
    assert not resident.number_pending
    assert core.store.head().sequence == 4
    with core.store.read() as connection:
        used = connection.scalars(select(CODE_POOL.c.used_at).where(CODE_POOL.c.used_at > 0)).all()
    assert len(used) == 3


def test_a_group_built_upon_another_head_is_not_stored(core: GatewayCore) -> None:
    stale = GroupWrite(StreamPosition(1, 7, bytes(32)), StreamPosition(1, 8, bytes(32)))
    stale.outbox.append(
        {"epoch": 1, "sequence": 8, "digest": bytes(32), "issued_at": 1, "envelope": b"x"}
    )
    with pytest.raises(JukiError) as refused:
        core.store.commit(stale, 1)
    assert refused.value.reason is Reason.STORE_UNAVAILABLE
    with core.store.read() as connection:
        assert connection.execute(select(OUTBOX)).all() == []


def test_a_group_that_uses_a_used_code_is_stored_in_no_part(core: GatewayCore) -> None:
    core.intake.hand_in([register_event("e1", "r1", ChangeReason.BIRTH)], "rpc").wait(20)
    with core.store.read() as connection:
        statement = select(CODE_POOL.c.code_key).where(CODE_POOL.c.used_at.is_not(None))
        used = bytes(connection.scalar(statement) or b"")
    head = core.store.head()
    group = GroupWrite(head, StreamPosition(1, 2, bytes(32)), used_codes=[used])
    with pytest.raises(JukiError):
        core.store.commit(group, 5)
    assert core.store.head() == head


def test_receipts_move_the_standing_forward_only(core: GatewayCore) -> None:
    outbox = Outbox(core.store)
    for epoch, through in ((1, 5), (1, 3), (2, 1), (1, 9)):
        receipt = notification_pb2.Receipt(epoch=epoch, first_sequence=1, last_sequence=through)
        for _ in range(2):
            outbox.store_prefecture_receipts([(receipt, b"signed")], epoch, through, 1)
    with core.store.read() as connection:
        row = connection.execute(select(GATEWAY_STATE)).one()
    assert (row.prefecture_epoch, row.prefecture_through) == (2, 1)


def test_a_run_never_mixes_epochs(core: GatewayCore) -> None:
    seal = core.store.sealer.seal
    for epoch, sequences in ((1, 3), (2, 2)):
        head = core.store.head()
        after = StreamPosition(epoch, sequences, bytes(32))
        group = GroupWrite(head, after)
        for sequence in range(1, sequences + 1):
            place = places.outbox_envelope(epoch, sequence, bytes(32), 1)
            group.outbox.append(
                {
                    "epoch": epoch,
                    "sequence": sequence,
                    "digest": bytes(32),
                    "issued_at": 1,
                    "envelope": seal(b"", place),
                }
            )
        core.store.commit(group, 1)
    outbox = Outbox(core.store)
    first = outbox.run_after(1, 1)
    second = outbox.run_after(1, 3)
    assert first is not None
    assert second is not None
    assert (first.epoch, first.first_sequence, first.last_sequence) == (1, 2, 3)
    assert (second.epoch, second.first_sequence, second.last_sequence) == (2, 1, 2)
    assert outbox.run_after(2, 2) is None


def test_the_store_opens_again_under_the_same_data_key(core: GatewayCore) -> None:
    core.intake.hand_in([register_event("e1", "r1", ChangeReason.BIRTH)], "rpc").wait(20)
    again = open_store(core.engine, core.custody, "221309")
    assert again.resident(again.sealer.blind("record_id", "r1")) is not None
    with pytest.raises(JukiError) as refused:
        open_store(core.engine, core.custody, OTHER_MUNICIPALITY)
    assert refused.value.reason is Reason.CONFIGURATION_INVALID


def test_a_resident_moved_to_another_row_does_not_open(core: GatewayCore) -> None:
    core.tampered_with = True
    events = [register_event(f"e{n}", f"r{n}", ChangeReason.BIRTH) for n in range(2)]
    core.intake.hand_in(events, "rpc").wait(20)
    keys = [core.store.sealer.blind("record_id", f"r{n}") for n in range(2)]
    with core.store.write() as connection:
        stolen = connection.scalar(
            select(RESIDENT.c.information).where(RESIDENT.c.record_key == keys[0])
        )
        connection.execute(
            RESIDENT.update().where(RESIDENT.c.record_key == keys[1]).values(information=stolen)
        )
    with pytest.raises(JukiError) as refused:
        core.store.resident(keys[1])
    assert refused.value.reason is Reason.TAMPERING_DETECTED


def test_progress_of_a_drop_file_and_its_refused_lines_are_kept(core: GatewayCore) -> None:
    drops = DropStore(core.store)
    progress = drops.open_file("a.jsonl", "1:2:3").with_notification(1, 9).with_notification(1, 4)
    drops.save(progress, [RefusedLine(7, Reason.INVALID_FIELD, b"line")], finished_at=None)
    again = drops.open_file("a.jsonl", "1:2:3")
    assert (again.file_id, again.accepted, again.first, again.last) == (
        progress.file_id,
        2,
        (1, 4),
        (1, 9),
    )
    assert drops.open_file("a.jsonl", "other").file_id != again.file_id
    assert drops.reasons(again.file_id) == [(7, "INVALID_FIELD")]
    assert [r.line for r in drops.export(again.file_id)] == [b"line"]
