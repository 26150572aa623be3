"""Intake over a real database: exactly once in effect, and nothing of what failed (invariant 3)."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, Engine, delete, func, select, update

from juki.custody.verify import verify_chain, verify_signature
from juki.domain.change import ChangeReason
from juki.domain.envelope import receipt_digest
from juki.domain.errors import JukiError, Reason
from juki.domain.residency import ResidencyStatus
from juki.register import tables as t
from juki.register.archive import read_run
from juki.register.disputes import open_disputes
from juki.register.intake import Committed
from juki.register.states import all_states, state_of
from juki.register.streams import read_position
from juki.v1 import intake_pb2, notification_pb2
from tests.register_fixtures import Hosts, Nation
from tests.stream import Stream, information

HERE, THERE = "221309", "221007"
R = ChangeReason


def births(nation: Nation, stream: Stream, count: int) -> list[notification_pb2.SignedNotification]:
    """Signed births under fresh codes."""
    codes = nation.codes(stream.municipality, count)
    return [
        stream.add(information(code, R.BIRTH, municipality=stream.municipality)) for code in codes
    ]


def refusal(
    nation: Nation, stream: Stream, *signed: notification_pb2.SignedNotification
) -> JukiError:
    """Why a run is refused; nothing of it may be stored."""
    before = contents(nation.engine)
    with pytest.raises(JukiError) as refused:
        nation.submit(stream, *signed)
    assert contents(nation.engine) == before
    return refused.value


def contents(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the register's tables."""
    with engine.connect().execution_options(read_only=True) as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
            for table in t.metadata.sorted_tables
        }


def receipt_of(signed: notification_pb2.SignedReceipt) -> notification_pb2.Receipt:
    return notification_pb2.Receipt.FromString(signed.receipt)


def test_a_run_is_stored_applied_and_receipted(nation: Nation) -> None:
    stream = nation.stream(HERE)
    run = births(nation, stream, 3)
    submission = nation.submit(stream, *run)
    assert (submission.accepted, submission.duplicates, submission.disputed) == (3, 0, 0)
    (signed,) = submission.response.receipts
    receipt = receipt_of(signed)
    assert (receipt.first_sequence, receipt.last_sequence) == (1, 3)
    assert receipt.last_digest == stream.digest
    signer = verify_chain(
        list(submission.response.certificates),
        nation.hosts.roots_der,
        receipt.received_at.ToDatetime().astimezone(),
        receipt.issuer,
    )
    assert verify_signature(signer.public_key, receipt_digest(signed.receipt), signed.signature)
    assert read_run(nation.engine, nation.sealer, HERE, 1, 1, 10) == run
    assert [state.status for state in all_states(nation.engine, nation.sealer)] == [
        ResidencyStatus.RESIDENT
    ] * 3


def test_a_duplicate_gets_the_first_receipt_and_changes_nothing(nation: Nation) -> None:
    stream = nation.stream(HERE)
    first = nation.submit(stream, *births(nation, stream, 2))
    second = nation.submit(stream, *births(nation, stream, 2))
    before = contents(nation.engine)
    again = nation.submit(stream)
    assert (again.accepted, again.duplicates) == (0, 4)
    assert list(again.response.receipts) == [*first.response.receipts, *second.response.receipts]
    assert contents(nation.engine) == before


def test_a_run_that_overlaps_what_is_held_gets_old_and_new_receipts(nation: Nation) -> None:
    stream = nation.stream(HERE)
    first = nation.submit(stream, *births(nation, stream, 2))
    births(nation, stream, 2)
    overlapping = nation.submit(stream, *stream.sent[1:])
    assert (overlapping.accepted, overlapping.duplicates) == (2, 1)
    old, new = overlapping.response.receipts
    assert [old] == list(first.response.receipts)
    assert (receipt_of(new).first_sequence, receipt_of(new).last_sequence) == (3, 4)


def test_receipts_outlive_the_process(nation: Nation, engine: Engine) -> None:
    stream = nation.stream(HERE)
    first = nation.submit(stream, *births(nation, stream, 2))
    reborn = Nation(engine, nation.hosts, custody=nation.custody)
    reborn.signers.load(engine)
    request = intake_pb2.SubmitNotificationsRequest(notifications=stream.sent)
    again = reborn.intake.submit(request, HERE)
    assert list(again.response.receipts) == list(first.response.receipts)


def test_a_gap_is_not_stored_and_says_what_is_expected(nation: Nation) -> None:
    stream = nation.stream(HERE)
    nation.submit(stream, *births(nation, stream, 2))
    births(nation, stream, 1)
    refused = refusal(nation, stream, *births(nation, stream, 1))
    assert refused.reason is Reason.SEQUENCE_GAP
    assert refused.metadata == {"expected_epoch": "1", "expected_sequence": "3"}


def test_a_reused_sequence_with_another_digest_is_a_conflict(nation: Nation) -> None:
    stream = nation.stream(HERE)
    other = Stream(HERE, stream.custody)
    nation.submit(stream, *births(nation, stream, 2))
    assert refusal(nation, other, *births(nation, other, 1)).reason is Reason.SEQUENCE_CONFLICT


def test_a_notification_that_follows_another_predecessor_is_refused(nation: Nation) -> None:
    stream = nation.stream(HERE)
    nation.submit(stream, *births(nation, stream, 2))
    stream.digest = bytes(32)
    assert refusal(nation, stream, *births(nation, stream, 1)).reason is (
        Reason.PREDECESSOR_MISMATCH
    )


def test_what_stands_before_a_refused_notification_is_kept(nation: Nation) -> None:
    stream = nation.stream(HERE)
    run = births(nation, stream, 3)
    run[2].signature = bytes(64)
    submission = nation.submit(stream, *run)
    assert submission.accepted == 2
    assert submission.response.refusal.index == 2
    with nation.engine.connect() as connection:
        assert read_position(connection, HERE).sequence == 2


def test_a_new_epoch_begins_with_its_start_and_closes_the_old_one(nation: Nation) -> None:
    stream = nation.stream(HERE)
    nation.submit(stream, *births(nation, stream, 3))
    known = Stream(HERE, stream.custody, 1, stream.sequence, stream.digest)
    start = stream.start_epoch(known_sequence=2, known_digest=bytes(32))
    later = births(nation, stream, 1)
    assert refusal(nation, stream, *later).reason is Reason.EPOCH_UNKNOWN
    nation.submit(stream, start, *later)
    with nation.engine.connect() as connection:
        position = read_position(connection, HERE)
    assert (position.epoch, position.sequence) == (2, 2)
    assert refusal(nation, known, *births(nation, known, 1)).reason is Reason.EPOCH_SUPERSEDED
    # What was receipted in the old epoch stays receipted.
    assert nation.submit(stream, stream.sent[0]).duplicates == 1


def test_well_signed_impossible_content_takes_its_sequence_and_is_disputed(
    nation: Nation,
) -> None:
    stream = nation.stream(HERE)
    code = nation.code(HERE)
    stream.add(information(code, R.DEATH))
    stream.add(information("24727059608", R.BIRTH))
    submission = nation.submit(stream, *stream.sent, *births(nation, stream, 1))
    (signed,) = submission.response.receipts
    assert [(one.sequence, one.reason) for one in receipt_of(signed).disputed] == [
        (1, notification_pb2.DISPUTE_REASON_NO_ENTRY),
        (2, notification_pb2.DISPUTE_REASON_CODE_NOT_ALLOTTED),
    ]
    assert submission.disputed == 2
    with nation.engine.connect() as connection:
        assert read_position(connection, HERE).sequence == 3
        assert open_disputes(connection) == 2


def test_a_dispute_ends_when_one_of_the_claims_is_deleted(nation: Nation) -> None:
    here, there = nation.stream(HERE), nation.stream(THERE)
    code = nation.code(HERE)
    reports: list[notification_pb2.DisputeReport] = []
    nation.intake.on_commit(lambda committed: reports.extend(committed.reports))
    nation.submit(here, here.add(information(code, R.BIRTH)))
    nation.submit(there, there.add(information(code, R.EX_OFFICIO_ENTRY, municipality=THERE)))
    with nation.engine.connect() as connection:
        assert open_disputes(connection) == 1
    nation.submit(there, there.add(information(code, R.EX_OFFICIO_DELETION, municipality=THERE)))
    with nation.engine.connect() as connection:
        assert open_disputes(connection) == 0
    found, ended = reports
    assert found.dispute_id == ended.dispute_id
    assert not found.HasField("resolved_at")
    assert ended.HasField("resolved_at")


def test_a_code_change_that_comes_after_the_entry_elsewhere_joins_the_two(
    nation: Nation,
) -> None:
    here, there = nation.stream(HERE), nation.stream(THERE)
    code, changed = nation.codes(HERE, 2)
    there.add(information(changed, R.MOVING_IN, municipality=THERE), moved_from=HERE)
    nation.submit(there)
    here.add(information(code, R.BIRTH))
    here.add(information(changed, R.CODE_CHANGE_REQUEST, former_code=code))
    here.add(information(changed, R.MOVING_OUT), moved_to=THERE)
    committed: list[Committed] = []
    nation.intake.on_commit(committed.append)
    nation.submit(here)
    (outcome,) = [one.outcome for one in committed]
    assert len(outcome.merged) == 1
    (state,) = all_states(nation.engine, nation.sealer)
    assert state == state_of(outcome.persons[0])
    assert state.status is ResidencyStatus.RESIDENT
    with nation.engine.connect() as connection:
        assert set(connection.scalars(select(t.person_code.c.ordinal))) == {state.ordinal}
        assert connection.scalar(select(t.person_merge.c.into)) == state.ordinal


class CrashError(Exception):
    """Something broke between two statements."""


@pytest.mark.parametrize("failing", ["register", "disputes", "deliver", "receipt", "commit"])
def test_a_crash_between_statements_leaves_nothing_and_wastes_no_ordinal(
    nation: Nation, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    here, there = nation.stream(HERE), nation.stream(THERE)
    shared = nation.code(HERE)
    nation.submit(here, here.add(information(shared, R.BIRTH)))
    run = [
        there.add(information(shared, R.EX_OFFICIO_ENTRY, municipality=THERE)),
        *births(nation, there, 2),
    ]
    before = contents(nation.engine)
    targets = {
        "register": (nation.register, "apply"),
        "disputes": (nation.disputes, "record"),
        "deliver": (nation.intake, "_deliver"),
        "receipt": (nation.intake, "sign_receipt"),
        "commit": (nation.intake, "_append"),
    }
    target, name = targets[failing]
    genuine = getattr(target, name)

    def crash_after(*arguments: object) -> object:
        genuine(*arguments)
        raise CrashError

    with monkeypatch.context() as patched:
        patched.setattr(target, name, crash_after)
        with pytest.raises(CrashError):
            nation.submit(there, *run)
    assert contents(nation.engine) == before
    submission = nation.submit(there, *run)
    assert submission.accepted == 3
    ordinals = [state.ordinal for state in all_states(nation.engine, nation.sealer)]
    assert ordinals == [1, 2, 3]


def test_an_ordinal_that_was_merged_away_is_never_given_again(
    nation: Nation, engine: Engine
) -> None:
    here, there = nation.stream(HERE), nation.stream(THERE)
    code, changed = nation.codes(HERE, 2)
    nation.submit(here, here.add(information(code, R.BIRTH)))
    there.add(information(changed, R.MOVING_IN, municipality=THERE), moved_from=HERE)
    nation.submit(there)
    nation.submit(here, here.add(information(changed, R.CODE_CHANGE_REQUEST, former_code=code)))
    nation.register.forget_ordinals()
    nation.submit(here, *births(nation, here, 1))
    assert [state.ordinal for state in all_states(engine, nation.sealer)] == [1, 3]


def test_sealed_columns_exchanged_between_rows_are_tampering(nation: Nation) -> None:
    nation.tampered_with = True
    stream = nation.stream(HERE)
    nation.submit(stream, *births(nation, stream, 2))

    def exchange(table: object, key: str, column: str) -> None:
        with nation.engine.begin() as connection:
            first, second = connection.execute(
                select(table.c[key], table.c[column]).order_by(table.c[key])  # type: ignore[attr-defined]
            ).all()
            for one, other in ((first, second), (second, first)):
                connection.execute(
                    update(table)  # type: ignore[arg-type]
                    .where(table.c[key] == one[0])  # type: ignore[attr-defined]
                    .values({column: other[1]})
                )

    exchange(t.claim, "ordinal", "information_sealed")
    with pytest.raises(JukiError) as found:
        list(all_states(nation.engine, nation.sealer))
    assert found.value.reason is Reason.TAMPERING_DETECTED
    exchange(t.notification, "sequence", "envelope_sealed")
    with pytest.raises(JukiError) as found:
        read_run(nation.engine, nation.sealer, HERE, 1, 1, 10)
    assert found.value.reason is Reason.TAMPERING_DETECTED


def test_nothing_personal_is_stored_in_the_clear(nation: Nation) -> None:
    stream = nation.stream(HERE)
    code = nation.code(HERE)
    nation.submit(stream, stream.add(information(code, R.BIRTH, name="山田　花子")))
    stored = repr(contents(nation.engine)).encode() + b"".join(
        value
        for rows in contents(nation.engine).values()
        for row in rows
        for value in row
        if isinstance(value, bytes)
    )
    for personal in (code, "山田", "花子", "ハナコ", "元城町", "103番地"):
        assert personal.encode() not in stored


def test_runs_of_many_municipalities_at_once_are_all_taken_in(nation: Nation) -> None:
    streams = [nation.stream(municipality) for municipality in (HERE, THERE, "131016", "011002")]
    runs = {stream.municipality: births(nation, stream, 12) for stream in streams}

    def send(stream: Stream) -> None:
        run = runs[stream.municipality]
        for start in range(0, len(run), 3):
            nation.submit(stream, *run[start : start + 3])

    with ThreadPoolExecutor(len(streams)) as pool:
        list(pool.map(send, streams))
    ordinals = [state.ordinal for state in all_states(nation.engine, nation.sealer)]
    assert ordinals == list(range(1, 49))


def returned(name: str) -> intake_pb2.FollowReturnsResponse:
    return intake_pb2.FollowReturnsResponse(dispute=notification_pb2.DisputeReport(dispute_id=name))


def follow_until(nation: Nation, recipient: str, last: str) -> list[int]:
    """The cursors of the items that a follower sees from the beginning, up to a last one."""
    items = nation.returns.follow(recipient, 0, lambda: True)
    before = itertools.takewhile(lambda item: item.dispute.dispute_id != last, items)
    return [item.cursor for item in before]


def test_returns_reach_a_follower_in_cursor_order_with_concurrent_writers(
    nation: Nation,
) -> None:
    """A cursor drawn early and committed late must not be passed over."""
    box, writers, each = nation.returns, 4, 25
    begun = threading.Barrier(writers + 1)

    def write(number: int) -> None:
        begun.wait()
        for position in range(each):
            with nation.engine.begin() as connection:
                item = returned(f"{number}-{position}")
                box.put(connection, [("22", item), ("13", item)])
            box.wake()

    with ThreadPoolExecutor(writers + 1) as pool:
        written = [pool.submit(write, number) for number in range(writers)]
        seen = pool.submit(follow_until, nation, "22", "last")
        begun.wait()
        for one in written:
            one.result()
        with nation.engine.begin() as connection:
            box.put(connection, [("22", returned("last"))])
        box.wake()
    cursors = seen.result()
    assert cursors == sorted(set(cursors))
    assert len(cursors) == writers * each


def test_a_follower_begins_after_its_cursor_and_sees_its_own_items_only(nation: Nation) -> None:
    def put(connection: Connection, *items: tuple[str, str]) -> None:
        queued: Sequence[tuple[str, intake_pb2.FollowReturnsResponse]]
        queued = [(recipient, returned(name)) for recipient, name in items]
        nation.returns.put(connection, queued)

    with nation.engine.begin() as connection:
        put(connection, ("22", "a"), ("13", "b"), ("22", "c"), ("22", "d"))
    first, *_ = itertools.islice(nation.returns.follow("22", 0, lambda: True), 1)
    rest = itertools.islice(nation.returns.follow("22", first.cursor, lambda: True), 2)
    assert [first.dispute.dispute_id, *(one.dispute.dispute_id for one in rest)] == ["a", "c", "d"]


def test_a_follower_of_a_restored_queue_misses_nothing_that_is_new(nation: Nation) -> None:
    """Its cursor speaks of items which the backup does not hold."""
    with nation.engine.begin() as connection:
        nation.returns.put(connection, [("22", returned("known")), ("22", returned("lost"))])
    *_, last = itertools.islice(nation.returns.follow("22", 0, lambda: True), 2)
    with nation.engine.begin() as connection:
        connection.execute(delete(t.return_item))
    with nation.engine.begin() as connection:
        nation.returns.put(connection, [("22", returned("new"))])
    (new,) = itertools.islice(nation.returns.follow("22", last.cursor, lambda: True), 1)
    assert new.dispute.dispute_id == "new"


def test_a_signer_of_another_root_is_refused(nation: Nation) -> None:
    foreign = Hosts().custody("spiffe://pref22.juki.example/cs/221309")
    stream = Stream(HERE, foreign)
    assert refusal(nation, stream, *births(nation, stream, 1)).reason is (
        Reason.UNKNOWN_SIGNING_KEY
    )


def test_the_signers_certificate_is_kept_with_what_it_signed(nation: Nation) -> None:
    stream = nation.stream(HERE)
    nation.submit(stream, *births(nation, stream, 1))
    with nation.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(t.signing_certificate)) == 1
        kept = connection.scalar(select(t.signing_certificate.c.certificate))
    assert kept == stream.certificates[0]
