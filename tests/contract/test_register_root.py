"""Whoever writes into the database past the server is found out, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine, MetaData, Table, delete, insert, select, update

from juki.custody.port import SIGNING
from juki.domain.change import ChangeReason as R
from juki.domain.errors import JukiError, Reason
from juki.register import tables as t
from juki.register.archive import read_run
from juki.register.data_key import open_sealing_keys
from juki.register.keeping import checkpoint_signing
from juki.register.states import all_states
from juki.rpc.names import national_identity
from juki.store.checkpoint import CheckpointFile, Standing, verify_checkpoints
from juki.store.keeping import RegisterKeeper, RegisterRootConfiguration, RegisterRootMetrics
from juki.store.verification import RootedDatabase, Verification, verify
from national_server import tables as national
from national_server.covered import SECTIONS
from tests.register_fixtures import DOMAIN, Hosts, Nation
from tests.stream import Stream, information

HERE = "221309"
Contents = dict[str, list[dict[str, Any]]]


def rows_of(engine: Engine, metadata: MetaData = national.metadata) -> Contents:
    """Everything in the database, as whoever steals a copy has it."""
    with engine.connect() as connection:
        return {
            table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
            for table in metadata.sorted_tables
        }


def put_back(engine: Engine, contents: Contents, *tables: str) -> None:
    """Everything, or these tables, as they were: a restore of a backup, or a thief's work."""
    with engine.begin() as connection:
        for table in reversed(national.metadata.sorted_tables):
            if not tables or table.name in tables:
                connection.execute(delete(table))
        for table in national.metadata.sorted_tables:
            if (not tables or table.name in tables) and contents[table.name]:
                connection.execute(insert(table), contents[table.name])


class LivingRegister:
    """A nation with people who were born, moved, changed their codes, and died."""

    def __init__(self, nation: Nation) -> None:
        self.nation, self.engine, self.sealer = nation, nation.engine, nation.sealer
        self.stream: Stream = nation.stream(HERE)
        self.codes = nation.codes(HERE, 6)
        nation.submit(
            self.stream,
            *(self.stream.add(information(code, R.BIRTH)) for code in self.codes[:4]),
        )
        self.born = rows_of(self.engine)
        nation.submit(
            self.stream,
            self.stream.add(information(self.codes[0], R.ADDRESS_CHANGE)),
            self.stream.add(information(self.codes[1], R.DEATH)),
        )
        nation.submit(
            self.stream,
            self.stream.add(
                information(self.codes[4], R.CODE_CHANGE_REQUEST, former_code=self.codes[2])
            ),
        )
        self.database = RootedDatabase(self.engine, self.sealer, t.register_root, SECTIONS)

    def verified(self) -> Verification:
        return verify(self.database, None)


@pytest.fixture
def register(nation: Nation) -> LivingRegister:
    living = LivingRegister(nation)
    nation.tampered_with = True
    assert living.verified().findings == []
    return living


def write(engine: Engine, statement: Any) -> None:
    with engine.begin() as connection:
        # Drivers do not count inserts.
        assert abs(connection.execute(statement).rowcount) == 1


def first_two(engine: Engine, table: Table) -> tuple[Any, Any]:
    with engine.connect() as connection:
        first, second = connection.execute(
            select(table).order_by(*table.primary_key).limit(2)
        ).all()
    return first, second


def is_row(table: Table, row: Any) -> Any:
    condition: Any = True
    for column in table.primary_key:
        condition = (column == getattr(row, column.name)) & condition
    return condition


def exchange_rows(register: LivingRegister) -> None:
    """A row-swap: the sealed information of two persons."""
    first, second = first_two(register.engine, t.claim)
    for one, other in ((first, second), (second, first)):
        write(
            register.engine,
            update(t.claim)
            .where(is_row(t.claim, one))
            .values(information_sealed=other.information_sealed),
        )


def exchange_columns(register: LivingRegister) -> None:
    """A column-swap: an envelope where a person's information belongs, and the other way round."""
    claim, _ = first_two(register.engine, t.claim)
    notification, _ = first_two(register.engine, t.notification)
    write(
        register.engine,
        update(t.claim)
        .where(is_row(t.claim, claim))
        .values(information_sealed=notification.envelope_sealed),
    )
    write(
        register.engine,
        update(t.notification)
        .where(is_row(t.notification, notification))
        .values(envelope_sealed=claim.information_sealed),
    )


def cut_off(register: LivingRegister) -> None:
    """A truncated ciphertext."""
    claim, _ = first_two(register.engine, t.claim)
    cut = claim.information_sealed[:-1]
    write(
        register.engine,
        update(t.claim).where(is_row(t.claim, claim)).values(information_sealed=cut),
    )
    notification, _ = first_two(register.engine, t.notification)
    write(
        register.engine,
        update(t.notification)
        .where(is_row(t.notification, notification))
        .values(envelope_sealed=notification.envelope_sealed[:20]),
    )


def alter_beside(register: LivingRegister) -> None:
    """What stands in the clear beside what is sealed."""
    write(
        register.engine,
        update(t.claim)
        .where(is_row(t.claim, first_two(register.engine, t.claim)[0]))
        .values(moved_from="131016"),
    )
    notification, _ = first_two(register.engine, t.notification)
    write(
        register.engine,
        update(t.notification)
        .where(is_row(t.notification, notification))
        .values(received_at=notification.received_at + 1),
    )


@pytest.mark.parametrize("tamper", [exchange_rows, exchange_columns, cut_off, alter_beside])
def test_a_row_that_does_not_open_is_detected_on_read_and_by_the_walk(
    register: LivingRegister, tamper: Callable[[LivingRegister], None]
) -> None:
    told: list[None] = []
    register.sealer.on_tampering = lambda: told.append(None)
    tamper(register)
    with pytest.raises(JukiError) as found:
        list(all_states(register.engine, register.sealer))
    assert found.value.reason is Reason.TAMPERING_DETECTED
    assert len(told) == 1
    if tamper is not exchange_rows:
        with pytest.raises(JukiError) as found:
            read_run(register.engine, register.sealer, HERE, 1, 1, 10)
        assert found.value.reason is Reason.TAMPERING_DETECTED
    verified = register.verified()
    assert any(finding.startswith("claim, row 1") for finding in verified.findings)
    assert len(told) >= 3


def test_the_next_change_of_a_tampered_person_is_refused_without_a_word_of_them(
    register: LivingRegister,
) -> None:
    alter_beside(register)
    code = register.codes[0]
    signed = register.stream.add(information(code, R.MINOR_CORRECTION, name="山田　花子"))
    before = rows_of(register.engine)
    with pytest.raises(JukiError) as refused:
        register.nation.submit(register.stream, signed)
    assert refused.value.reason is Reason.TAMPERING_DETECTED
    assert code not in str(refused.value)
    assert "山田" not in str(refused.value)
    assert rows_of(register.engine) == before


def roll_back_a_claim(register: LivingRegister) -> str:
    """The address before the move, with everything that stands beside it."""
    old = next(row for row in register.born["claim"] if row["ordinal"] == 1)
    write(register.engine, update(t.claim).where(t.claim.c.ordinal == 1).values(old))
    list(all_states(register.engine, register.sealer))
    return "claim: a row was altered, put back to an older state or exchanged"


def raise_from_the_dead(register: LivingRegister) -> str:
    """Claim and residency of one who has died, as they were before."""
    for table in (t.claim, t.residency):
        old = next(row for row in register.born[table.name] if row["ordinal"] == 2)
        write(register.engine, update(table).where(table.c.ordinal == 2).values(old))
    list(all_states(register.engine, register.sealer))
    return "residency: a row was altered, put back to an older state or exchanged"


def delete_a_notification(register: LivingRegister) -> str:
    write(register.engine, delete(t.notification).where(t.notification.c.sequence == 7))
    return "notification: rows were deleted: 6 are there, the root knows 7"


def double_a_notification(register: LivingRegister) -> str:
    row = rows_of(register.engine)["notification"][0]
    write(register.engine, insert(t.notification).values({**row, "sequence": 99}))
    return "notification, row 8"


def double_a_code(register: LivingRegister) -> str:
    row = rows_of(register.engine)["person_code"][0]
    write(register.engine, insert(t.person_code).values({**row, "code_blind": bytes(16)}))
    return "person_code: rows were added or doubled: 6 are there, the root knows 5"


def exchange_persons(register: LivingRegister) -> str:
    """One person's code leads to another."""
    first, second = first_two(register.engine, t.person_code)
    for one, other in ((first, second), (second, first)):
        write(
            register.engine,
            update(t.person_code).where(is_row(t.person_code, one)).values(ordinal=other.ordinal),
        )
    return "person_code: a row was altered, put back to an older state or exchanged"


def free_a_number(register: LivingRegister) -> str:
    """A number that was made, so that it could be made again."""
    code = register.nation.pool.allot(HERE, "another", 1)
    register.nation.numbers.make(HERE, code)
    assert register.verified().findings == []
    write(register.engine, delete(national.individual_number))
    return "individual_number: rows were deleted: 0 are there, the root knows 1"


def give_a_code_to_another_municipality(register: LivingRegister) -> str:
    code = first_two(register.engine, national.allotted_code)[0]
    write(
        register.engine,
        update(national.allotted_code)
        .where(is_row(national.allotted_code, code))
        .values(municipality="131016"),
    )
    return "allotted_code: a row was altered, put back to an older state or exchanged"


def set_a_stream_back(register: LivingRegister) -> str:
    write(register.engine, update(t.stream).values(register.born["stream"][0]))
    return "stream: a row was altered, put back to an older state or exchanged"


def delete_the_root(register: LivingRegister) -> str:
    write(register.engine, delete(t.register_root).where(t.register_root.c.section == "register"))
    return "claim: rows were added or doubled: 4 are there, the root knows 0"


def put_the_root_back(register: LivingRegister) -> str:
    old = next(r for r in register.born["register_root"] if r["section"] == "register")
    write(
        register.engine,
        update(t.register_root).where(t.register_root.c.section == "register").values(old),
    )
    return "notification: rows were added or doubled: 7 are there, the root knows 4"


def alter_the_root(register: LivingRegister) -> str:
    table = t.register_root
    write(
        register.engine,
        update(table).where(table.c.section == "register").values(generation=1_000),
    )
    return "a stored root does not open"


@pytest.mark.parametrize(
    "tamper",
    [
        roll_back_a_claim,
        raise_from_the_dead,
        delete_a_notification,
        double_a_notification,
        double_a_code,
        exchange_persons,
        free_a_number,
        give_a_code_to_another_municipality,
        set_a_stream_back,
        delete_the_root,
        put_the_root_back,
        alter_the_root,
    ],
)
def test_rows_that_open_but_are_not_those_that_were_written_are_found(
    register: LivingRegister, tamper: Callable[[LivingRegister], str]
) -> None:
    expected = tamper(register)
    assert expected in register.verified().findings


def test_what_was_rolled_back_stays_found_when_the_register_goes_on(
    register: LivingRegister,
) -> None:
    roll_back_a_claim(register)
    later = information(register.codes[0], R.ADDRESS_CHANGE)
    register.nation.submit(register.stream, register.stream.add(later))
    assert register.verified().findings == [
        "claim: a row was altered, put back to an older state or exchanged"
    ]


def test_a_database_put_back_under_a_running_server_is_refused(register: LivingRegister) -> None:
    put_back(register.engine, register.born)
    signed = register.stream.add(information(register.codes[5], R.BIRTH))
    with pytest.raises(JukiError) as refused:
        register.nation.submit(register.stream, signed)
    assert refused.value.reason is Reason.TAMPERING_DETECTED


class Kept:
    """A keeper over a register, with its file of checkpoints, as a server has it."""

    def __init__(self, register: LivingRegister, hosts: Hosts, path: Path) -> None:
        self.register, self.hosts, self.path = register, hosts, path
        self.registry = CollectorRegistry()

    def start(self) -> RegisterKeeper:
        """As a server that is started anew."""
        self.registry = CollectorRegistry()
        custody = self.register.nation.custody
        sealing = open_sealing_keys(self.register.engine, custody)
        keeper = RegisterKeeper(
            RootedDatabase(self.register.engine, sealing.sealer, t.register_root, SECTIONS),
            sealing,
            RegisterRootConfiguration(checkpoint_file=self.path),
            signing=checkpoint_signing(custody),
            metrics=RegisterRootMetrics(self.registry),
        )
        keeper.start()
        return keeper

    def standing(self) -> Standing:
        return verify(self.register.database, CheckpointFile(self.path).read()[-1]).standing

    def sample(self, name: str) -> float | None:
        return self.registry.get_sample_value(name)


@pytest.fixture
def kept(register: LivingRegister, hosts: Hosts, tmp_path: Path) -> Kept:
    return Kept(register, hosts, tmp_path / "checkpoints")


def test_checkpoints_are_signed_by_the_token_and_follow_each_other(kept: Kept) -> None:
    kept.start().finish()
    kept.start()
    checkpoints = CheckpointFile(kept.path).read()
    assert [one.number for one in checkpoints] == [1, 2, 3]
    assert len(checkpoints[0].certificates) == len(
        kept.register.nation.custody.certificate_chain(SIGNING)
    )
    assert checkpoints[1].certificates == ()
    verify_checkpoints(checkpoints, kept.hosts.roots_der, national_identity(DOMAIN))
    assert kept.standing() is Standing.CURRENT
    register = kept.register
    register.nation.submit(
        register.stream, register.stream.add(information(register.codes[5], R.BIRTH))
    )
    assert kept.standing() is Standing.LATER


@pytest.mark.parametrize("what", ["altered", "line out", "end", "signature"])
def test_a_checkpoint_that_was_altered_is_found(kept: Kept, what: str) -> None:
    for _ in range(3):
        kept.start()
    lines = kept.path.read_bytes().splitlines(keepends=True)
    if what == "altered":
        lines[0] = lines[0].replace(b'"restored":false', b'"restored":true')
    elif what == "line out":
        del lines[1]
    elif what == "end":
        # The last line is bound by its signature alone.
        lines[2] = (
            lines[2]
            .replace(b'"number":3', b'"number":3,"x":1')
            .replace(b'"restored":false', b'"restored":true')
        )
    else:
        lines[2] = lines[2][:-10] + b"00000" + lines[2][-5:]
    kept.path.write_bytes(b"".join(lines))
    with pytest.raises(JukiError) as found:
        verify_checkpoints(
            CheckpointFile(kept.path).read(), kept.hosts.roots_der, national_identity(DOMAIN)
        )
    assert found.value.reason is Reason.TAMPERING_DETECTED


def test_a_line_that_a_crash_cut_off_is_written_anew(kept: Kept) -> None:
    kept.start()
    whole = kept.path.read_bytes()
    kept.path.write_bytes(whole + whole[: len(whole) // 2])
    kept.start()
    checkpoints = CheckpointFile(kept.path).read()
    assert [one.number for one in checkpoints] == [1, 2]
    verify_checkpoints(checkpoints, kept.hosts.roots_der, national_identity(DOMAIN))


def test_a_restored_database_is_told_apart_said_and_goes_on(kept: Kept) -> None:
    kept.start()
    put_back(kept.register.engine, kept.register.born)
    assert kept.standing() is Standing.RESTORED
    assert kept.register.verified().findings == []
    kept.start()
    assert kept.sample("juki_register_restored") == 1
    last = CheckpointFile(kept.path).read()[-1]
    assert last.restored
    assert kept.standing() is Standing.CURRENT
    kept.start()
    assert kept.sample("juki_register_restored") == 0
    assert kept.sample("juki_register_tampering_total") == 0


def test_one_section_put_back_whole_is_no_restore(kept: Kept) -> None:
    """The register as it was, root and all, but codes and numbers as they are now."""
    kept.start()
    kept.register.nation.pool.allot(HERE, "later", 1)
    old = {**rows_of(kept.register.engine)}
    roots = {row["section"]: row for row in old["register_root"]}
    roots["register"] = next(
        row for row in kept.register.born["register_root"] if row["section"] == "register"
    )
    register_tables = [table.table.name for table in SECTIONS[0].tables]
    contents = {
        **old,
        **{name: kept.register.born[name] for name in register_tables},
        "register_root": list(roots.values()),
    }
    put_back(kept.register.engine, contents, "register_root", *register_tables)
    assert kept.standing() is Standing.FORKED
    with pytest.raises(JukiError) as refused:
        kept.start()
    assert refused.value.reason is Reason.TAMPERING_DETECTED
    assert kept.sample("juki_register_tampering_total") == 1


def test_a_walk_in_the_background_counts_what_it_finds_and_turns_health_red(kept: Kept) -> None:
    keeper = kept.start()
    keeper.work()
    keeper.check()
    assert kept.sample("juki_register_tampering_total") == 0
    roll_back_a_claim(kept.register)
    again = kept.start()
    again.work()
    assert kept.sample("juki_register_tampering_total") == 1
    with pytest.raises(JukiError) as red:
        again.check()
    assert red.value.reason is Reason.TAMPERING_DETECTED
