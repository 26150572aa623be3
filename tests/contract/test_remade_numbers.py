"""A number that has leaked is re-made: another one, once, and the old one never again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from juki.domain.change import ChangeReason
from juki.domain.codes import IndividualNumber, ResidentRecordCode
from juki.domain.errors import JukiError, Reason
from juki.domain.residency import DisputeReason
from juki.register import tables as register
from juki.register.states import all_states
from juki.v1 import identification_pb2, notification_pb2
from national_server import tables as t
from tests.register_fixtures import Nation
from tests.stream import Stream, information

HERE, THERE = "221309", "221007"


def person(nation: Nation) -> tuple[ResidentRecordCode, IndividualNumber, Stream]:
    """A newborn on the register of the first municipality, with a number."""
    code = ResidentRecordCode(nation.code(HERE))
    (number,) = nation.numbers.make(HERE, [code])
    stream = nation.stream(HERE)
    stream.add(information(code.digits, ChangeReason.BIRTH, number=number.digits))
    nation.submit(stream)
    return code, number, stream


def change(
    code: ResidentRecordCode, number: IndividualNumber, former: IndividualNumber
) -> identification_pb2.IdentificationInformation:
    """What a municipality notifies of a re-made number."""
    message = information(code.digits, ChangeReason.NUMBER_CHANGE_REQUEST, number=number.digits)
    message.change.former_individual_number = former.digits
    return message


def dispute(
    nation: Nation, stream: Stream, signed: notification_pb2.SignedNotification
) -> DisputeReason | None:
    """Why the nation holds the notification as disputed."""
    nation.submit(stream, signed)
    table = register.notification
    with nation.engine.connect() as connection:
        reason = connection.scalar(
            select(table.c.dispute_reason).where(
                table.c.municipality == stream.municipality, table.c.sequence == stream.sequence
            )
        )
    return None if reason is None else DisputeReason(reason)


def refusal(nation: Nation, *request: object) -> Reason:
    """The reason that a request to re-make a number is refused for."""
    with pytest.raises(JukiError) as refused:
        nation.numbers.remake(*request)  # type: ignore[arg-type]
    return refused.value.reason


def test_a_number_is_replaced_once_whoever_asks_and_however_often(nation: Nation) -> None:
    code, former, _ = person(nation)
    number = nation.numbers.remake(HERE, "request-1", code, former)
    assert number != former
    assert nation.numbers.remake(HERE, "request-1", code, former) == number
    assert nation.numbers.remake(HERE, "request-2", code, former) == number
    assert nation.numbers.make(HERE, [code]) == [number]
    again = nation.numbers.remake(HERE, "request-3", code, number)
    assert len({former, number, again}) == 3
    assert nation.numbers.remake(HERE, "request-1", code, former) == number
    table = t.individual_number
    with nation.engine.connect() as connection:
        statement = select(table.c.generation).order_by(table.c.generation)
        assert list(connection.scalars(statement)) == [0, 1, 2]


def test_the_same_number_asked_for_by_four_threads_is_replaced_once(nation: Nation) -> None:
    code, former, _ = person(nation)
    with ThreadPoolExecutor(4) as pool:
        numbers = list(
            pool.map(lambda n: nation.numbers.remake(HERE, f"request-{n}", code, former), range(4))
        )
    assert set(numbers) == {numbers[0]} != {former}


def test_only_the_municipality_of_the_code_or_of_the_register_may_ask(nation: Nation) -> None:
    code, former, here = person(nation)
    request = ("request", code, former)
    assert refusal(nation, THERE, *request) is Reason.CODE_NOT_ALLOTTED
    nation.submit(
        here,
        here.add(
            information(code.digits, ChangeReason.MOVING_OUT, number=former.digits), moved_to=THERE
        ),
    )
    there = nation.stream(THERE)
    there.add(
        information(code.digits, ChangeReason.MOVING_IN, number=former.digits, municipality=THERE),
        moved_from=HERE,
    )
    nation.submit(there)
    assert nation.numbers.remake(THERE, *request) != former


def test_a_number_of_somebody_else_or_of_nobody_is_not_replaced(nation: Nation) -> None:
    code, former, _ = person(nation)
    other = ResidentRecordCode(nation.code(HERE))
    (others,) = nation.numbers.make(HERE, [other])
    nobody = IndividualNumber.from_body(1)
    assert refusal(nation, HERE, "one", code, others) is Reason.RECORD_NOT_FOUND
    assert refusal(nation, HERE, "two", code, nobody) is Reason.RECORD_NOT_FOUND
    # What was refused has left no trace: the id may still be used.
    nation.numbers.remake(HERE, "one", code, former)
    assert refusal(nation, HERE, "one", other, others) is Reason.REQUEST_ID_REUSED


def test_a_number_made_from_a_code_since_changed_is_replaced_from_the_new_code(
    nation: Nation,
) -> None:
    code, former, stream = person(nation)
    changed = ResidentRecordCode(nation.code(HERE))
    assert refusal(nation, HERE, "request", changed, former) is Reason.RECORD_NOT_FOUND
    nation.submit(
        stream,
        stream.add(
            information(
                changed.digits,
                ChangeReason.CODE_CHANGE_REQUEST,
                number=former.digits,
                former_code=code.digits,
            )
        ),
    )
    number = nation.numbers.remake(HERE, "request", changed, former)
    assert dispute(nation, stream, stream.add(change(changed, number, former))) is None


def test_the_register_takes_the_number_that_the_nation_re_made_and_no_other(
    nation: Nation,
) -> None:
    code, former, stream = person(nation)
    other = ResidentRecordCode(nation.code(HERE))
    (others,) = nation.numbers.make(HERE, [other])
    early = dispute(nation, stream, stream.add(change(code, others, former)))
    assert early is DisputeReason.NUMBER_NOT_GENERATED
    number = nation.numbers.remake(HERE, "request", code, former)
    assert dispute(nation, stream, stream.add(change(code, number, former))) is None
    # Back to the leaked number is no way.
    back = dispute(nation, stream, stream.add(change(code, former, number)))
    assert back is DisputeReason.NUMBER_NOT_GENERATED
    (state,) = all_states(nation.engine, nation.sealer)
    held = identification_pb2.IdentificationInformation.FromString(state.information)
    assert held.individual_number == number.digits
    assert held.change.former_individual_number == former.digits


@pytest.mark.parametrize("named", [True, False], ids=["a designation", "a change"])
def test_the_change_of_a_number_and_nothing_else_names_the_former_one(
    nation: Nation, *, named: bool
) -> None:
    code, former, stream = person(nation)
    number = nation.numbers.remake(HERE, "request", code, former)
    message = change(code, number, former)
    if named:
        message.change.reason = identification_pb2.CHANGE_REASON_NUMBER_DESIGNATION
    else:
        message.change.former_individual_number = ""
    assert dispute(nation, stream, stream.add(message)) is DisputeReason.IMPOSSIBLE_VALUE
