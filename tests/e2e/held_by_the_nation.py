"""What must hold at the nation once streams have come to rest, read from the databases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import lmdb
from sqlalchemy import Connection, create_engine, func, select

from cs_gateway.tables import GATEWAY_STATE, OUTBOX, RECEIPT, REGISTER_EVENT, RESIDENT
from juki.domain.change import ChangeKind, ChangeReason, RecordState
from juki.domain.envelope import GENESIS_DIGEST, notification_digest
from juki.index.wire import NUMBER_KEY
from juki.v1 import intake_pb2, intake_pb2_grpc, notification_pb2
from national_server.tables import metadata as national_tables
from pref_server.tables import metadata as prefectural_tables
from tests.e2e.feeder import Feeder, wait_for
from tests.e2e.kill_campaign import MUNICIPALITIES, World

_EPOCH = 1
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Told:
    """What one notification told of a person."""

    code: str
    number: str
    reason: ChangeReason
    remainder: str
    day: int


def wait_at_rest(world: World) -> None:
    """Returns when the nation's receipts cover all that was issued and no number is wanting."""
    feeders = [feeder for found in world.finished.values() for feeder in found]
    wait_for(
        feeders,
        lambda: all(_is_at_rest(world, m) for m in MUNICIPALITIES),
        "the nation's receipts for all that was issued",
    )


def _is_at_rest(world: World, municipality: str) -> bool:
    with _gateway(world, municipality) as connection:
        state = connection.execute(select(GATEWAY_STATE)).one()
        pending = connection.scalar(
            select(func.count()).select_from(RESIDENT).where(RESIDENT.c.number_pending)
        )
    return pending == 0 and (
        state.sequence == state.nation_through == world.registers[municipality].progress.nation
    )


def check_all(world: World) -> None:
    """Every acknowledged notification once, in order, undisputed; every person once."""
    told = {m: _check_stream(world, m, world.finished[m]) for m in MUNICIPALITIES}
    _check_tier(world, "pref22")
    _check_tier(world, "national")
    everything = [one for found in told.values() for one in found]
    _check_persons(world, everything)
    _check_index(world, everything)


def _check_stream(world: World, municipality: str, feeders: Sequence[Feeder]) -> list[Told]:
    events = {event_id: event for f in feeders for event_id, event in f.events.items()}
    acknowledged = {event_id: one for f in feeders for event_id, one in f.acknowledged.items()}
    assert acknowledged.keys() == events.keys()
    sequences = {one.sequence: event_id for event_id, one in acknowledged.items()}
    assert {one.epoch for one in acknowledged.values()} == {_EPOCH}
    assert len(sequences) == len(events)
    with _gateway(world, municipality) as connection:
        issued = _digests(connection, OUTBOX)
        assert connection.scalar(select(func.count()).select_from(REGISTER_EVENT)) == len(events)
        for signed in connection.scalars(select(RECEIPT.c.signed_receipt)):
            outer = notification_pb2.SignedReceipt.FromString(bytes(signed))
            assert not notification_pb2.Receipt.FromString(outer.receipt).disputed
    assert [position for position, _ in issued] == [
        (_EPOCH, sequence) for sequence in range(1, len(issued) + 1)
    ]
    for database, tables in (("national", national_tables), ("pref22", prefectural_tables)):
        table = tables.tables["notification"]
        with world.postgres.engine(database).connect() as connection:
            assert _digests(connection, table, table.c.municipality == municipality) == issued
    told = _fetch_chain(world, municipality, [digest for _, digest in issued])
    _check_content(events, acknowledged, sequences, told)
    return told


def _fetch_chain(world: World, municipality: str, digests: Sequence[bytes]) -> list[Told]:
    """Every notification as the prefecture gives it back, each following the one before."""
    channel = world.network.channel(f"cs-{municipality}", "pref22")
    stub = intake_pb2_grpc.NotificationIntakeServiceStub(channel)
    told: list[Told] = []
    before = GENESIS_DIGEST
    while len(told) < len(digests):
        page = stub.FetchNotifications(
            intake_pb2.FetchNotificationsRequest(
                municipality=municipality,
                epoch=_EPOCH,
                first_sequence=len(told) + 1,
                limit=_PAGE,
            ),
            timeout=60,
        ).notifications
        assert page
        for signed in page:
            notification = notification_pb2.Notification.FromString(signed.notification)
            assert notification.sequence == len(told) + 1
            assert notification.predecessor_digest == before
            before = notification_digest(signed.notification)
            assert before == digests[len(told)]
            told.append(_told(notification))
    channel.close()
    return told


def _told(notification: notification_pb2.Notification) -> Told:
    information = notification.record_change.information
    return Told(
        information.resident_record_code,
        information.individual_number,
        ChangeReason(information.change.reason),
        information.address.remainder,
        information.change.event_date.day,
    )


def _check_content(events, acknowledged, sequences, told) -> None:  # type: ignore[no-untyped-def]
    """Each event's notification stands at its sequence; all others designate a number, once."""
    codes: dict[str, set[str]] = {}
    last_of_record: dict[str, tuple[int, int]] = {}
    designated: list[str] = []
    for sequence, one in enumerate(told, start=1):
        event_id = sequences.get(sequence)
        if event_id is None:
            assert one.reason is ChangeReason.NUMBER_DESIGNATION
            designated.append(one.code)
            continue
        event = events[event_id]
        assert one.reason == event.reason
        assert one.day == event.event_date.day
        assert one.code == acknowledged[event_id].code
        if event.HasField("four_items"):
            assert one.remainder == event.four_items.address.remainder
        codes.setdefault(event.record_id, set()).add(one.code)
        # The days of a life follow each other: what the nation holds later happened later.
        at = last_of_record.get(event.record_id, (0, 0))
        assert (sequence, event.event_date.day) > at
        assert event.event_date.day > at[1]
        last_of_record[event.record_id] = (sequence, event.event_date.day)
    assert all(len(found) == 1 for found in codes.values())
    assert len({code for found in codes.values() for code in found}) == len(codes)
    assert len(set(designated)) == len(designated)


def _check_tier(world: World, database: str) -> None:
    tables = (national_tables if database == "national" else prefectural_tables).tables
    with world.postgres.engine(database).connect() as connection:
        disputed = tables["notification"].c.dispute_reason
        assert connection.execute(select(disputed).where(disputed.is_not(None))).all() == []
        assert connection.execute(select(tables["dispute"])).all() == []
        for signed in connection.scalars(select(tables["receipt"].c.signed)):
            outer = notification_pb2.SignedReceipt.FromString(bytes(signed))
            assert not notification_pb2.Receipt.FromString(outer.receipt).disputed


def _check_persons(world: World, told: Sequence[Told]) -> None:
    codes = {one.code for one in told}
    numbers: dict[str, set[str]] = {}
    for one in told:
        if one.number:
            numbers.setdefault(one.code, set()).add(one.number)
    assert all(len(found) == 1 for found in numbers.values())
    assert len({number for found in numbers.values() for number in found}) == len(numbers)
    died = sum(one.reason is ChangeReason.DEATH for one in told)
    entered = sum(one.reason.kind is ChangeKind.ENTRY for one in told)
    assert entered == len(codes)
    tables = national_tables.tables
    with world.postgres.engine("national").connect() as connection:

        def ordinals(table: str) -> list[int]:
            return sorted(connection.scalars(select(tables[table].c.ordinal)))

        persons = ordinals("person_code")
        assert len(persons) == len(set(persons)) == len(codes)
        assert ordinals("claim") == ordinals("residency") == persons
        numbered = ordinals("person_number")
        assert len(numbered) == len(set(numbered)) == len(numbers)
        made = tables["individual_number"].c
        assert connection.scalar(select(func.count(made.code_blind.distinct()))) == (
            connection.scalar(select(func.count(made.number_blind)))
        )
        state = tables["claim"].c.state
        dead = connection.scalar(select(func.count()).where(state == int(RecordState.DIED)))
        assert dead == died


def _check_index(world: World, told: Sequence[Told]) -> None:
    """Lookups see what the register holds, a commit whose answer was lost included."""
    (generation,) = world.network.plan.index_directory.glob("generation-*")
    last = {one.code: one for one in told}
    numbers = {one.number for one in last.values() if one.number}
    with lmdb.open(str(generation), readonly=True, max_dbs=4) as environment:
        databases = {
            name: environment.open_db(name.encode(), create=False)
            for name in ("persons", "codes", "numbers")
        }
        with environment.begin() as transaction:
            by_code = dict(transaction.cursor(databases["codes"]))
            assert by_code.keys() == {NUMBER_KEY.pack(int(code)) for code in last}
            by_number = dict(transaction.cursor(databases["numbers"]))
            assert by_number.keys() == {NUMBER_KEY.pack(int(number)) for number in numbers}
            for code, one in last.items():
                ordinal = by_code[NUMBER_KEY.pack(int(code))]
                person = bytes(transaction.get(ordinal, db=databases["persons"]))
                assert one.remainder.encode() in person
                assert not one.number or by_number[NUMBER_KEY.pack(int(one.number))] == ordinal


def _digests(  # type: ignore[no-untyped-def]
    connection: Connection, table, *conditions
) -> list[tuple[tuple[int, int], bytes]]:
    statement = (
        select(table.c.epoch, table.c.sequence, table.c.digest)
        .where(*conditions)
        .order_by(table.c.epoch, table.c.sequence)
    )
    return [((row.epoch, row.sequence), bytes(row.digest)) for row in connection.execute(statement)]


@contextmanager
def _gateway(world: World, municipality: str) -> Iterator[Connection]:
    engine = create_engine(world.network.plan.database(f"cs-{municipality}"))
    with engine.connect() as connection:
        yield connection
    engine.dispose()
