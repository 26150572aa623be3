"""The gateway's intake: events become one chained, signed stream, or are refused one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from cs_gateway.covered import open_outbox
from cs_gateway.group import Written
from cs_gateway.tables import OUTBOX
from juki.domain.change import ChangeReason, RecordState, next_state
from juki.domain.codes import IndividualNumber, ResidentRecordCode
from juki.domain.envelope import GENESIS_DIGEST, notification_digest
from juki.domain.errors import JukiError, Reason
from juki.store.engine import open_engine
from juki.v1 import identification_pb2, notification_pb2, register_pb2
from tests.gateway_fixtures import (
    MUNICIPALITY,
    OTHER_MUNICIPALITY,
    GatewayCore,
    MemoryUpstream,
    four_items,
    number_for,
    register_event,
)

CODE = ResidentRecordCode.from_body(9_876_543_210).digits
NUMBER = IndividualNumber.from_body(12_345_678_901).digits


@pytest.fixture
def core(tmp_path: Path) -> Iterator[GatewayCore]:
    engine = open_engine(f"sqlite:///{tmp_path / 'gateway.db'}")
    core = GatewayCore(engine)
    yield core
    core.close()
    engine.dispose()


def take(core: GatewayCore, *events: register_pb2.RegisterEvent) -> list[Written]:
    return core.intake.hand_in(events, "rpc").wait(20)


def stream(core: GatewayCore) -> list[notification_pb2.SignedNotification]:
    with core.store.read() as connection:
        rows = connection.execute(select(OUTBOX).order_by(OUTBOX.c.epoch, OUTBOX.c.sequence)).all()
    return [
        notification_pb2.SignedNotification.FromString(open_outbox(row, core.store.sealer))
        for row in rows
    ]


def notifications(core: GatewayCore) -> list[notification_pb2.Notification]:
    return [notification_pb2.Notification.FromString(s.notification) for s in stream(core)]


def assert_stream_is_whole(core: GatewayCore) -> None:
    certificate = x509.load_der_x509_certificate(core.custody.certificate_chain("signing")[0])
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key_id = hashlib.sha256(
        key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).digest()
    predecessor = GENESIS_DIGEST
    for place, signed in enumerate(stream(core), start=1):
        message = notification_pb2.Notification.FromString(signed.notification)
        assert (message.municipality, message.epoch, message.sequence) == (MUNICIPALITY, 1, place)
        assert message.predecessor_digest == predecessor
        predecessor = notification_digest(signed.notification)
        r, s = (
            int.from_bytes(part, "big") for part in (signed.signature[:32], signed.signature[32:])
        )
        key.verify(encode_dss_signature(r, s), predecessor, ec.ECDSA(Prehashed(SHA256())))
        assert signed.key_id == key_id


def test_a_birth_becomes_a_signed_notification_with_a_code_of_the_pool(core: GatewayCore) -> None:
    before = core.pool.available
    [outcome] = take(core, register_event("e1", "r1", ChangeReason.BIRTH))
    assert outcome.refusal is None
    assert (outcome.epoch, outcome.sequence) == (1, 1)
    assert ResidentRecordCode(outcome.code)
    assert core.pool.available == before - 1
    [message] = notifications(core)
    information = message.record_change.information
    assert information.resident_record_code == outcome.code
    assert information.change.kind == identification_pb2.CHANGE_KIND_ENTRY
    assert information.name.written == "浜松　太郎"
    assert message.record_change.person_predecessor_digest == b""
    assert core.progress.standing.numbers_pending == 1
    assert_stream_is_whole(core)


def test_the_same_event_again_gets_the_same_answer_and_no_second_notification(
    core: GatewayCore,
) -> None:
    event = register_event("e1", "r1", ChangeReason.BIRTH)
    [first] = take(core, event)
    again = take(core, event, event)
    assert [(w.epoch, w.sequence, w.code) for w in again] == [(1, 1, first.code)] * 2
    assert all(w.repeated for w in again)
    assert len(stream(core)) == 1
    assert core.pool.available == 1999


def test_the_same_event_id_with_other_content_is_a_conflict(core: GatewayCore) -> None:
    take(core, register_event("e1", "r1", ChangeReason.BIRTH))
    other = register_event("e1", "r1", ChangeReason.BIRTH, items=four_items("浜松　次郎"))
    assert [w.refusal for w in take(core, other)] == [Reason.EVENT_CONFLICT]
    assert len(stream(core)) == 1


def test_a_refused_event_takes_no_sequence_and_harms_no_other(core: GatewayCore) -> None:
    outside = register_event(
        "e3", "r3", ChangeReason.BIRTH, items=four_items(ward=OTHER_MUNICIPALITY)
    )
    outside.four_items.address.municipality = "131016"
    outcomes = take(
        core,
        register_event("e1", "r1", ChangeReason.BIRTH),
        register_event("e2", "r2", ChangeReason.DEATH),
        outside,
        register_event("e4", "r1", ChangeReason.BIRTH),
        register_event("e5", "r5", ChangeReason.EX_OFFICIO_ENTRY),
    )
    assert [w.refusal for w in outcomes] == [
        None,
        Reason.RECORD_NOT_FOUND,
        Reason.INVALID_FIELD,
        Reason.IMPOSSIBLE_EVENT,
        None,
    ]
    assert [w.sequence for w in outcomes] == [1, 0, 0, 0, 2]
    assert core.pool.available == 1998
    assert_stream_is_whole(core)


def test_a_person_who_moves_in_keeps_the_code_and_number_carried(core: GatewayCore) -> None:
    [outcome] = take(
        core,
        register_event(
            "e1",
            "r1",
            ChangeReason.MOVING_IN,
            code=CODE,
            number=NUMBER,
            moved_from=OTHER_MUNICIPALITY,
        ),
    )
    assert (outcome.code, outcome.number) == (CODE, NUMBER)
    [message] = notifications(core)
    assert message.record_change.moved_from == OTHER_MUNICIPALITY
    assert core.progress.standing.numbers_pending == 0
    assert core.pool.available == 2000


def test_two_current_records_never_have_one_code(core: GatewayCore) -> None:
    def move(event_id: str, record_id: str) -> register_pb2.RegisterEvent:
        return register_event(event_id, record_id, ChangeReason.MOVING_IN, code=CODE, number=NUMBER)

    outcomes = take(core, move("e1", "r1"), move("e2", "r2"))
    assert [w.refusal for w in outcomes] == [None, Reason.IMPOSSIBLE_EVENT]
    assert [w.refusal for w in take(core, move("e3", "r3"))] == [Reason.IMPOSSIBLE_EVENT]


def test_a_person_who_comes_back_under_another_record_id_continues_the_persons_chain(
    core: GatewayCore,
) -> None:
    take(
        core,
        register_event("e1", "r1", ChangeReason.MOVING_IN, code=CODE, number=NUMBER),
        register_event("e2", "r1", ChangeReason.MOVING_OUT, moved_to=OTHER_MUNICIPALITY),
    )
    take(core, register_event("e3", "r9", ChangeReason.MOVING_IN, code=CODE, number=NUMBER))
    [_, out, back] = stream(core)
    message = notification_pb2.Notification.FromString(back.notification)
    assert message.record_change.person_predecessor_digest == notification_digest(out.notification)


def test_a_person_back_from_abroad_has_the_old_code_again(core: GatewayCore) -> None:
    [born] = take(core, register_event("e1", "r1", ChangeReason.BIRTH))
    take(core, register_event("e2", "r1", ChangeReason.MOVING_OUT))
    [back] = take(core, register_event("e3", "r1", ChangeReason.MOVING_IN))
    assert back.code == born.code
    assert core.pool.available == 1999


def test_a_code_change_names_the_former_code(core: GatewayCore) -> None:
    [born] = take(core, register_event("e1", "r1", ChangeReason.BIRTH))
    [changed] = take(core, register_event("e2", "r1", ChangeReason.CODE_CHANGE_REQUEST))
    assert changed.code != born.code
    information = notifications(core)[1].record_change.information
    assert information.change.former_resident_record_code == born.code
    assert information.resident_record_code == changed.code
    assert information.name.written == "浜松　太郎"


def test_each_change_of_a_person_names_the_persons_change_before(core: GatewayCore) -> None:
    take(
        core,
        register_event("e1", "r1", ChangeReason.BIRTH),
        register_event("e2", "r2", ChangeReason.BIRTH),
        register_event("e3", "r1", ChangeReason.ADDRESS_CHANGE, items=four_items(town="天竜区")),
    )
    [take_again] = take(core, register_event("e4", "r1", ChangeReason.DEATH))
    assert take_again.sequence == 4
    digests = [notification_digest(s.notification) for s in stream(core)]
    predecessors = [n.record_change.person_predecessor_digest for n in notifications(core)]
    assert predecessors == [b"", b"", digests[0], digests[2]]


def test_when_custody_fails_nothing_is_stored_and_the_stream_goes_on_later(
    core: GatewayCore,
) -> None:
    core.custody.fail = True
    with pytest.raises(JukiError) as refused:
        take(core, register_event("e1", "r1", ChangeReason.BIRTH))
    assert refused.value.reason is Reason.CUSTODY_UNAVAILABLE
    assert stream(core) == []
    assert core.pool.available == 2000
    core.custody.fail = False
    [outcome] = take(core, register_event("e1", "r1", ChangeReason.BIRTH))
    assert (outcome.epoch, outcome.sequence) == (1, 1)
    assert_stream_is_whole(core)


def test_a_rotated_signing_key_signs_under_its_own_id(core: GatewayCore) -> None:
    take(core, register_event("e1", "r1", ChangeReason.BIRTH))
    core.custody.rotate()
    take(core, register_event("e2", "r2", ChangeReason.BIRTH))
    first, second = stream(core)
    assert first.key_id != second.key_id


def test_a_commit_that_fails_leaves_stream_and_pool_as_the_database_has_them(
    core: GatewayCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = core.store.commit

    def fail_after_commit(*arguments: object) -> None:
        commit(*arguments)  # type: ignore[arg-type]
        raise JukiError(Reason.STORE_UNAVAILABLE, "the connection broke after the commit")

    monkeypatch.setattr(core.store, "commit", fail_after_commit)
    with pytest.raises(JukiError):
        take(core, register_event("e1", "r1", ChangeReason.BIRTH))
    monkeypatch.undo()
    repeated, new = take(
        core,
        register_event("e1", "r1", ChangeReason.BIRTH),
        register_event("e2", "r2", ChangeReason.BIRTH),
    )
    assert repeated.repeated
    assert (repeated.sequence, new.sequence) == (1, 2)
    assert core.pool.available == 1998
    assert_stream_is_whole(core)


def test_a_second_process_on_the_same_database_is_fenced_off(
    core: GatewayCore, tmp_path: Path
) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'gateway.db'}")
    other = GatewayCore(engine, core.custody, core.upstream, codes=0)
    take(other, register_event("e0", "r0", ChangeReason.BIRTH))
    with pytest.raises(JukiError) as refused:
        take(core, register_event("e1", "r1", ChangeReason.BIRTH))
    assert refused.value.reason is Reason.STORE_UNAVAILABLE
    [outcome] = take(core, register_event("e1", "r1", ChangeReason.BIRTH))
    assert outcome.sequence == 2
    other.close()
    engine.dispose()
    assert_stream_is_whole(core)


def test_an_empty_pool_refuses_only_those_who_need_a_code(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'gateway.db'}")
    core = GatewayCore(engine, codes=1)
    outcomes = take(
        core,
        register_event("e1", "r1", ChangeReason.BIRTH),
        register_event("e2", "r2", ChangeReason.BIRTH),
        register_event("e3", "r3", ChangeReason.MOVING_IN, code=CODE, number=NUMBER),
    )
    assert [w.refusal for w in outcomes] == [None, Reason.CODE_POOL_EMPTY, None]
    core.close()
    engine.dispose()


def test_numbers_of_a_file_are_asked_for_before_the_entries_are_written(core: GatewayCore) -> None:
    events = [register_event(f"e{n}", f"r{n}", ChangeReason.BIRTH) for n in range(20)]
    outcomes = core.intake.hand_in(events, "file").wait(20)
    assert core.upstream.number_calls == 1
    assert all(int(w.number) == number_for(int(w.code)) for w in outcomes)
    assert core.progress.standing.numbers_pending == 0


def test_entries_go_without_numbers_when_the_nation_is_away(core: GatewayCore) -> None:
    core.upstream.available = False
    events = [register_event(f"e{n}", f"r{n}", ChangeReason.BIRTH) for n in range(60)]
    outcomes = take(core, *events)
    assert all(w.refusal is None and w.number == "" for w in outcomes)
    assert core.progress.standing.numbers_pending == 60


def test_an_allotment_asked_for_again_after_a_crash_adds_no_code_twice(core: GatewayCore) -> None:
    request_id, count = core.pool.open_request("a" * 16, 100)
    values = core.upstream.allot_codes(MUNICIPALITY, request_id, count)
    # The crash: the answer never arrived. The next start finds the same request open.
    assert core.pool.open_request("b" * 16, 700) == ("a" * 16, 100)
    assert core.pool.add_allotment(request_id, values) == 100
    assert core.pool.add_allotment(request_id, values) == 0
    assert core.pool.available == 2100


def test_nothing_personal_lies_in_the_clear_in_the_database_files(
    core: GatewayCore, tmp_path: Path
) -> None:
    [outcome] = take(core, register_event("event-0001", "record-0001", ChangeReason.BIRTH))
    everything = b"".join(p.read_bytes() for p in tmp_path.iterdir() if p.is_file())
    assert len(everything) > 10_000
    for personal in ("浜松", "ハママツ", "元城町", "event-0001", "record-0001", outcome.code):
        assert personal.encode() not in everything


def test_a_database_error_tells_nothing_personal(
    core: GatewayCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError("INSERT", {"name": "浜松"}, Exception("浜松"))

    monkeypatch.setattr(core.engine, "begin", fail)
    with pytest.raises(JukiError) as refused:
        take(core, register_event("e1", "r1", ChangeReason.BIRTH))
    assert "浜松" not in str(refused.value) + repr(refused.value.metadata)


REASONS = st.sampled_from([r for r in ChangeReason if r // 10 != 5])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    runs=st.lists(
        st.lists(st.tuples(st.integers(0, 5), REASONS, st.booleans()), min_size=1, max_size=12),
        max_size=6,
    )
)
def test_whatever_the_register_sends_the_chain_stays_whole_and_codes_stay_unique(
    tmp_path_factory: pytest.TempPathFactory, runs: list[list[tuple[int, ChangeReason, bool]]]
) -> None:
    engine = open_engine(f"sqlite:///{tmp_path_factory.mktemp('p') / 'gateway.db'}")
    core = GatewayCore(engine, upstream=MemoryUpstream(), codes=200)
    states = dict.fromkeys(range(6), RecordState.ABSENT)
    codes: dict[int, str] = {}
    ever: list[str] = []
    count = 0
    for run in runs:
        events = []
        for person, reason, repeat in run:
            count += 1
            event = register_event(f"e{count}", f"r{person}", reason)
            events += [event, event] if repeat else [event]
        outcomes = iter(take(core, *events))
        for person, reason, repeat in run:
            outcome = next(outcomes)
            try:
                states[person] = next_state(states[person], reason)
                assert outcome.refusal is None
                if codes.get(person) != outcome.code:
                    ever.append(outcome.code)
                codes[person] = outcome.code
            except JukiError:
                assert outcome.refusal in (Reason.IMPOSSIBLE_EVENT, Reason.RECORD_NOT_FOUND)
            if repeat:
                again = next(outcomes)
                assert (again.refusal, again.sequence) == (outcome.refusal, outcome.sequence)
    assert len(set(ever)) == len(ever)
    assert core.pool.available == 200 - len(ever)
    assert_stream_is_whole(core)
    core.close()
    engine.dispose()
