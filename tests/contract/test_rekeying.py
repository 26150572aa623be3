"""Data keys and index keys are rotated row by row, stopped and begun again at any point; the
register's root is brought under a new key whole or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, select

from juki.domain.change import ChangeReason as R
from juki.domain.codes import ResidentRecordCode
from juki.domain.errors import JukiError, Reason
from juki.register import tables as t
from juki.register.archive import read_run
from juki.register.data_key import open_sealing_keys
from juki.register.states import all_states
from juki.store.data_keys import KeyPurpose, KeyStore, SealingKeys
from juki.store.rekeying import count_blind, count_sealed, rekey_index, rekey_root, reseal
from juki.store.sealing import sealed_under
from juki.store.verification import RootedDatabase, verify
from national_server.code_pool import CodePool
from national_server.covered import SECTIONS
from national_server.numbers import NumberMaker
from tests.register_fixtures import Hosts, Nation
from tests.stream import Stream, information

HERE = "221309"
PEOPLE = 700
"""More than one batch of rows."""


class KilledError(Exception):
    """Stands for the end of the process: what was committed is what there is."""


class Operator:
    """The command's process beside the server's: keys and database of its own."""

    def __init__(self, nation: Nation) -> None:
        self.sealing: SealingKeys = open_sealing_keys(nation.engine, nation.custody)
        self.database = RootedDatabase(
            nation.engine, self.sealing.sealer, t.register_root, SECTIONS
        )

    @property
    def keys(self) -> KeyStore:
        return self.sealing.keys


class Living:
    """A nation with people, codes and numbers."""

    def __init__(self, nation: Nation) -> None:
        self.nation = nation
        self.stream: Stream = nation.stream(HERE)
        self.codes = nation.codes(HERE, PEOPLE + 2)
        self.numbers = nation.numbers.make(
            HERE, [ResidentRecordCode(code) for code in self.codes[:3]]
        )
        births = [self.stream.add(information(code, R.BIRTH)) for code in self.codes[:PEOPLE]]
        nation.submit(self.stream, *births[:400])
        nation.submit(self.stream, *births[400:])

    def add(self, code: str, reason: R) -> None:
        self.nation.submit(self.stream, self.stream.add(information(code, reason)))

    def check(self, nation: Nation, people: int = PEOPLE) -> None:
        """Everything is there, opens, and is found by its codes and numbers."""
        assert len(list(all_states(nation.engine, nation.sealer))) == people
        assert len(read_run(nation.engine, nation.sealer, HERE, 1, 1, 1000)) >= people
        codes = [ResidentRecordCode(code) for code in self.codes[:3]]
        assert nation.numbers.make(HERE, codes) == self.numbers
        database = RootedDatabase(nation.engine, nation.sealer, t.register_root, SECTIONS)
        assert verify(database, None).findings == []


@pytest.fixture
def living(nation: Nation) -> Living:
    return Living(nation)


def versions(engine: Engine) -> set[int]:
    """Data key versions of every sealed row."""
    found: set[int] = set()
    with engine.connect() as connection:
        for section in SECTIONS:
            for covered in section.tables:
                if covered.sealed:
                    column = covered.table.c[covered.sealed]
                    found |= {sealed_under(bytes(v)) for v in connection.scalars(select(column))}
    return found


def blind_versions(engine: Engine) -> set[int]:
    """Index key versions of every blind index."""
    found: set[int] = set()
    with engine.connect() as connection:
        for section in SECTIONS:
            for covered in section.tables:
                for name in covered.blinds:
                    column = covered.table.c[name]
                    found |= {bytes(value)[0] for value in connection.scalars(select(column))}
    return found


def test_everything_is_sealed_anew_beside_a_server_that_goes_on(living: Living) -> None:
    nation, operator = living.nation, Operator(living.nation)
    assert operator.sealing.rotate() == 2
    told: list[int] = []

    def tell(rows: int) -> None:
        told.append(rows)
        # The server, which has not heard of the new key yet, goes on between any two batches.
        if len(told) == 2:
            living.add(living.codes[PEOPLE], R.BIRTH)
            living.add(living.codes[0], R.ADDRESS_CHANGE)

    expected = count_sealed(operator.database)
    changed = reseal(operator.database, operator.sealing, tell)
    assert changed >= 2 * PEOPLE
    assert sum(told) >= expected
    living.check(nation, PEOPLE + 1)
    nation.sealing.refresh()
    living.add(living.codes[1], R.ADDRESS_CHANGE)
    # What the server had written under the old key meanwhile is found by going on.
    reseal(operator.database, operator.sealing)
    assert versions(nation.engine) == {2}
    living.check(nation, PEOPLE + 1)


def test_sealing_anew_goes_on_where_it_was_killed(living: Living, hosts: Hosts) -> None:
    operator = Operator(living.nation)
    operator.sealing.rotate()
    batches = 0

    def die(rows: int) -> None:
        nonlocal batches
        batches += 1
        if batches == 2:
            raise KilledError

    with pytest.raises(KilledError):
        reseal(operator.database, operator.sealing, die)
    assert versions(living.nation.engine) == {1, 2}
    living.check(living.nation)
    again = Operator(living.nation)
    assert again.sealing.sealer.key_version == 2
    changed = reseal(again.database, again.sealing)
    assert 0 < changed < count_sealed(again.database)
    assert versions(living.nation.engine) == {2}
    restarted = Nation(living.nation.engine, hosts, custody=living.nation.custody)
    living.check(restarted)


def test_a_batch_that_is_killed_half_way_leaves_no_trace(
    living: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = Operator(living.nation)
    operator.sealing.rotate()
    genuine, made = operator.sealing.sealer.seal, 0

    def die(plaintext: bytes, place: bytes) -> bytes:
        nonlocal made
        made += 1
        if made == 100:
            raise KilledError
        return genuine(plaintext, place)

    with monkeypatch.context() as patched:
        patched.setattr(operator.sealing.sealer, "seal", die)
        with pytest.raises(KilledError):
            reseal(operator.database, operator.sealing)
    assert versions(living.nation.engine) == {1}
    living.check(living.nation)


def test_a_row_that_does_not_open_stops_the_sealing_and_stays_as_it_is(living: Living) -> None:
    operator = Operator(living.nation)
    living.nation.tampered_with = True
    with living.nation.engine.begin() as connection:
        connection.execute(
            t.claim.update().where(t.claim.c.ordinal == 5).values(moved_from="131016")
        )
        before = connection.execute(select(t.claim).where(t.claim.c.ordinal == 5)).one()
    operator.sealing.rotate()
    with pytest.raises(JukiError) as found:
        reseal(operator.database, operator.sealing)
    assert found.value.reason is Reason.TAMPERING_DETECTED
    with living.nation.engine.connect() as connection:
        assert connection.execute(select(t.claim).where(t.claim.c.ordinal == 5)).one() == before


def test_every_blind_index_comes_under_the_next_key_and_the_server_goes_on_by_itself(
    living: Living,
) -> None:
    nation, operator = living.nation, Operator(living.nation)
    told: list[int] = []
    assert rekey_index(operator.database, operator.keys, told.append) == 2
    assert sum(told) == count_blind(operator.database)
    assert blind_versions(nation.engine) == {2}
    with pytest.raises(JukiError) as refused:
        living.add(living.codes[PEOPLE], R.BIRTH)
    assert refused.value.reason is Reason.STORE_UNAVAILABLE
    nation.sealing.refresh()
    living.check(nation)
    # The people are found, not entered a second time.
    nation.submit(living.stream, *living.stream.sent[PEOPLE:])
    living.add(living.codes[0], R.ADDRESS_CHANGE)
    living.check(nation, PEOPLE + 1)
    assert rekey_index(operator.database, operator.keys) == 3
    assert blind_versions(nation.engine) == {3}
    nation.sealing.refresh()
    living.check(nation, PEOPLE + 1)


def test_while_it_is_half_done_nothing_is_written_and_looking_up_by_state_goes_on(
    living: Living, hosts: Hosts
) -> None:
    nation, operator = living.nation, Operator(living.nation)

    def die(rows: int) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        rekey_index(operator.database, operator.keys, die)
    assert blind_versions(nation.engine) == {1, 2}
    restarted = Nation(nation.engine, hosts, custody=nation.custody)
    for one in (nation, restarted):
        one.sealing.refresh()
        assert len(list(all_states(one.engine, one.sealer))) == PEOPLE
        signed = living.stream.sent[0]
        for write in (
            lambda one=one, signed=signed: one.submit(living.stream, signed),
            lambda one=one: one.pool.allot(HERE, "another", 1),
            lambda one=one: one.numbers.make(HERE, [ResidentRecordCode(living.codes[0])]),
        ):
            with pytest.raises(JukiError) as refused:
                write()
            assert refused.value.reason is Reason.STORE_UNAVAILABLE
    again = Operator(nation)
    assert verify(again.database, None).findings == []
    assert rekey_index(again.database, again.keys) == 2
    assert again.keys.newest_version(KeyPurpose.INDEX_NEXT) == 0
    assert blind_versions(nation.engine) == {2}
    restarted.sealing.refresh()
    living.check(restarted)
    living.check(Nation(nation.engine, hosts, custody=nation.custody))


def test_a_code_allotted_before_is_not_allotted_again_after_re_keying(living: Living) -> None:
    nation, operator = living.nation, Operator(living.nation)
    rekey_index(operator.database, operator.keys)
    nation.sealing.refresh()
    first = ResidentRecordCode(living.codes[0])
    drawn = [int(first) // 10, 4711]
    pool = CodePool(nation.engine, nation.sealer, lambda _: drawn.pop(0).to_bytes(8, "little"))
    (code,) = pool.allot(HERE, "later", 1)
    assert code != first


def test_a_number_made_before_is_not_made_again_after_re_keying(living: Living) -> None:
    nation, operator = living.nation, Operator(living.nation)
    rekey_index(operator.database, operator.keys)
    nation.sealing.refresh()
    taken = int(living.numbers[0]) // 10

    def mac(messages: Any) -> list[bytes]:
        return [
            (taken if message.endswith(bytes(4)) else 42).to_bytes(8, "big") * 4
            for message in messages
        ]

    maker = NumberMaker(nation.engine, nation.sealer, mac)
    (number,) = maker.make(HERE, [ResidentRecordCode(living.codes[5])])
    assert number not in living.numbers


def test_the_root_comes_under_another_key_and_the_server_goes_on_by_itself(living: Living) -> None:
    nation, operator = living.nation, Operator(living.nation)
    before = stored_sums(operator)
    told: list[int] = []
    assert rekey_root(operator.database, operator.keys, told.append) == 2
    assert sum(told) == 2 * operator.database.count_rows()
    for work in (
        lambda: living.add(living.codes[PEOPLE], R.BIRTH),
        lambda: nation.pool.allot(HERE, "another", 1),
        # Not mistaken for tampering by a walk that has not heard of the new key.
        lambda: verify(
            RootedDatabase(nation.engine, nation.sealer, t.register_root, SECTIONS), None
        ),
    ):
        with pytest.raises(JukiError) as refused:
            work()
        assert refused.value.reason is Reason.STORE_UNAVAILABLE
    nation.sealing.refresh()
    nation.submit(living.stream, *living.stream.sent[PEOPLE:])
    living.add(living.codes[0], R.ADDRESS_CHANGE)
    living.check(nation, PEOPLE + 1)
    operator.sealing.refresh()
    after = stored_sums(operator)
    assert before.keys() == after.keys()
    assert all(before[name] != after[name] for name in before)
    assert rekey_root(operator.database, operator.keys) == 3
    nation.sealing.refresh()
    living.check(nation, PEOPLE + 1)


def test_a_root_that_is_killed_on_its_way_to_another_key_stays_under_the_old_one(
    living: Living,
) -> None:
    operator = Operator(living.nation)
    before, read = stored_sums(operator), 0

    def die(rows: int) -> None:
        nonlocal read
        read += rows
        if read > operator.database.count_rows():
            raise KilledError

    with pytest.raises(KilledError):
        rekey_root(operator.database, operator.keys, die)
    assert operator.keys.newest_version(KeyPurpose.ROOT) == 1
    assert stored_sums(operator) == before
    living.add(living.codes[PEOPLE], R.BIRTH)
    living.check(living.nation, PEOPLE + 1)


def test_a_new_root_key_hides_no_row_that_was_put_back(living: Living) -> None:
    nation, operator = living.nation, Operator(living.nation)
    old = select(t.claim).where(t.claim.c.ordinal == 5)
    with nation.engine.connect() as connection:
        row = connection.execute(old).one()._mapping
    living.add(living.codes[4], R.ADDRESS_CHANGE)
    with nation.engine.begin() as connection:
        changed = connection.execute(old).one()._mapping
        assert changed != row
        connection.execute(t.claim.update().where(t.claim.c.ordinal == 5).values(**row))
    nation.tampered_with = True
    with pytest.raises(JukiError) as found:
        rekey_root(operator.database, operator.keys)
    assert found.value.reason is Reason.TAMPERING_DETECTED
    assert operator.keys.newest_version(KeyPurpose.ROOT) == 1


def stored_sums(operator: Operator) -> dict[str, int]:
    """The sums of those tables that have rows."""
    with operator.database.engine.connect() as connection:
        states = operator.database.states(connection)
    return {
        table: total
        for state in states.values()
        if state is not None
        for table, (total, count) in state.tables.items()
        if count
    }
