"""Codes given to a body: which have changed since is told until it is acknowledged."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, select

from juki.domain.change import ChangeReason as R
from juki.domain.codes import ResidentRecordCode
from juki.index.reading import LookedUp
from juki.register import tables as t
from juki.register.states import present_information
from juki.v1 import identification_pb2
from national_server.given_codes import GivenCodes
from tests.register_fixtures import Nation
from tests.stream import Stream, information

HERE = "221309"
AGENCY = "spiffe://agency.juki.example/digital"


class Office:
    """A nation with people whose codes a body was given."""

    def __init__(self, nation: Nation, people: int = 3) -> None:
        self.nation = nation
        self.stream: Stream = nation.stream(HERE)
        self.codes = nation.codes(HERE, people)
        for code in self.codes:
            self.stream.add(information(code, R.BIRTH))
        nation.submit(self.stream)
        self.given = self.started()
        nation.intake.on_commit(self.given.follow)

    def started(self) -> GivenCodes:
        """As a process that has just begun, on the same database."""
        sealer = self.nation.sealer

        def code_of(connection: Connection, ordinal: int) -> ResidentRecordCode | None:
            data = present_information(connection, sealer, ordinal)
            if data is None:
                return None
            read = identification_pb2.IdentificationInformation.FromString(data)
            return ResidentRecordCode(read.resident_record_code)

        given = GivenCodes(self.nation.engine, sealer, code_of)
        given.wake()
        return given

    def give(self, *codes: str) -> None:
        """An answer that gives these codes."""
        with self.nation.engine.connect() as connection:
            ordinals = [
                connection.scalar(
                    select(t.person_code.c.ordinal).where(
                        t.person_code.c.code_blind == self.nation.sealer.blind("code", code)
                    )
                )
                for code in codes
            ]
        self.given.note(
            AGENCY,
            LookedUp(
                b"".join(int(one or 0).to_bytes(8) for one in ordinals),
                bytes([1]) * len(codes),
                [
                    identification_pb2.IdentificationInformation(
                        resident_record_code=code
                    ).SerializeToString()
                    for code in codes
                ],
            ),
        )

    def change(self, former: str) -> str:
        """The person asks for another code."""
        code = self.nation.code(HERE)
        self.nation.submit(
            self.stream,
            self.stream.add(information(code, R.CODE_CHANGE_REQUEST, former_code=former)),
        )
        return code

    def told(self, body: str = AGENCY) -> set[tuple[str, str]]:
        """Former and present codes that the body is to be told."""
        return {(one.former.digits, one.code.digits) for one in self.given.changed(body, set())}


@pytest.fixture
def office(nation: Nation) -> Office:
    return Office(nation)


def test_only_who_was_given_a_code_is_told_that_it_changed(office: Office) -> None:
    given, other, _ = office.codes
    office.give(given)
    code, _ = office.change(given), office.change(other)
    office.given.work()
    assert office.told() == {(given, code)}
    assert office.told("spiffe://agency.juki.example/another") == set()


def test_a_change_comes_again_under_the_same_key_until_it_is_acknowledged(office: Office) -> None:
    office.give(*office.codes)
    code = office.change(office.codes[0])
    office.given.work()
    (first,) = office.given.changed(AGENCY, set())
    office.given = office.started()
    office.given.work()
    assert office.given.changed(AGENCY, set()) == [first]
    assert office.given.changed(AGENCY, {first.key}) == []
    office.given.acknowledge("spiffe://agency.juki.example/another", [first.key])
    assert office.given.changed(AGENCY, set()) == [first]
    office.given.acknowledge(AGENCY, [first.key, first.key, "00" * 17])
    assert office.told() == set()
    later = office.change(code)
    office.given.refresh_all()
    assert office.told() == {(code, later)}


def test_a_change_just_before_an_end_is_told_by_the_process_that_follows(office: Office) -> None:
    office.give(office.codes[1])
    code = office.change(office.codes[1])
    # The first process ends before its round.
    office.given = office.started()
    assert office.told() == set()
    office.given.work()
    assert office.told() == {(office.codes[1], code)}


def test_several_changes_before_an_acknowledgement_are_told_as_the_last(office: Office) -> None:
    office.give(office.codes[2])
    between = office.change(office.codes[2])
    office.given.work()
    last = office.change(between)
    office.given.wake()
    office.given.work()
    assert office.told() == {(office.codes[2], last)}


def test_what_changes_otherwise_is_not_told(office: Office) -> None:
    office.give(office.codes[0])
    office.nation.submit(
        office.stream, office.stream.add(information(office.codes[0], R.ADDRESS_CHANGE))
    )
    office.given.work()
    assert office.told() == set()
