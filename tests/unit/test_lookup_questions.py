"""The rules checked by hand are the contract's: protovalidate agrees on every request."""

from __future__ import annotations

from typing import TypeVar

import pytest
from google.protobuf.message import Message
from hypothesis import example, given
from hypothesis import strategies as st
from protovalidate import Validator

from juki.domain.errors import JukiError, Reason
from juki.domain.legal_basis import LegalBasis, SearchKey
from juki.lookup.questions import RequestReader
from juki.rpc.errors import InvalidFields
from juki.v1 import identification_pb2 as pb
from juki.v1 import lookup_pb2
from tests.people import code, four_items_of, number, person

MessageT = TypeVar("MessageT", bound=Message)
VALIDATOR = Validator()
READER = RequestReader()

_LENGTHS = st.sampled_from([0, 1, 7, 8, 64, 65])
_TEXTS = _LENGTHS.map(lambda length: "語" * length)
_LONG_TEXTS = st.sampled_from(["", "語", "語" * 200, "語" * 201])
_ITEMS = st.sampled_from(["77", "57-31", "0", "", "1-2-3-4", "1-2-3-4-5", "77\n", "七", "1234"])


def _maybe(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Mostly given, sometimes left out."""
    return st.one_of(strategy, strategy, strategy, st.none())


_PROVISIONS = st.sampled_from(
    ["30-9", "30-10(1)(iv)", "37(2)", "30-9-2(1)", "(1)", "", "30-15(1)(iv)\n", "3" * 40, "30(i)"]
)
_AFFAIRS = st.sampled_from(["", "shizuoka-2003.30", "a" * 64, "a" * 65, "a b", "条例"])

CONTEXTS = st.builds(
    lookup_pb2.LookupContext,
    basis=st.one_of(
        st.none(),
        st.builds(lookup_pb2.LegalBasisReference, provision=_PROVISIONS, affair=_AFFAIRS),
    ),
    affair=_maybe(st.builds(lookup_pb2.AffairReference, table=st.integers(0, 7), item=_ITEMS)),
    request_id=_TEXTS,
    office=_TEXTS,
    operator=_TEXTS,
    fields=st.lists(st.integers(0, 8), max_size=8),
)
SOUND_CONTEXT = lookup_pb2.LookupContext(
    affair=lookup_pb2.AffairReference(table=1, item="77"),
    request_id="request-1",
    office="office",
    operator="operator",
    fields=[lookup_pb2.FIELD_NAME],
)
FOUR_ITEMS = st.builds(
    pb.FourItems,
    name=_maybe(
        st.builds(pb.PersonName, written=_LONG_TEXTS, reading=_LONG_TEXTS, alphabet=_LONG_TEXTS)
    ),
    birth_date=_maybe(
        st.builds(
            pb.BirthDate,
            year=st.sampled_from([0, 1849, 1850, 2200, 2201]),
            month=st.integers(0, 13),
            day=st.integers(0, 32),
        )
    ),
    sex=st.integers(0, 4),
    address=_maybe(
        st.builds(
            pb.Address,
            municipality=st.sampled_from(["221309", "22130", "22130９", "221309\n", ""]),
            town=_LONG_TEXTS,
            remainder=_LONG_TEXTS,
        )
    ),
)
_SOUND_ITEMS = st.just(four_items_of(person(1)))
_ANY_CONTEXT = st.one_of(st.just(SOUND_CONTEXT), CONTEXTS, st.none())


def _single(
    context: lookup_pb2.LookupContext | None, key: tuple[str, object] | None
) -> lookup_pb2.LookupRequest:
    return lookup_pb2.LookupRequest(context=context, **dict([key] if key else []))


_DIGITS = st.sampled_from(["", "0", "1" * 11, "1" * 12, "1" * 13, "1" * 11 + "\n", "１" * 12])
SINGLES = st.builds(
    _single,
    _ANY_CONTEXT,
    st.one_of(
        st.none(),
        st.tuples(st.sampled_from(["individual_number", "resident_record_code"]), _DIGITS),
        st.tuples(st.just("four_items"), st.one_of(_SOUND_ITEMS, FOUR_ITEMS)),
    ),
)
_NUMBERS_OF_KEYS = st.sampled_from([0, 1, 10_000, 10_001])


def _batch(
    context: lookup_pb2.LookupContext | None, kind: str, count: int, items: list[pb.FourItems]
) -> lookup_pb2.BatchLookupRequest:
    request = lookup_pb2.BatchLookupRequest(context=context)
    if kind == "individual_numbers":
        request.individual_numbers.values.extend([1] * count)
        request.individual_numbers.SetInParent()
    elif kind == "resident_record_codes":
        request.resident_record_codes.values.extend([1] * count)
        request.resident_record_codes.SetInParent()
    elif kind == "four_items":
        request.four_items.values.extend(items)
        request.four_items.SetInParent()
    return request


BATCHES = st.builds(
    _batch,
    _ANY_CONTEXT,
    st.sampled_from(["individual_numbers", "resident_record_codes", "four_items", "none"]),
    _NUMBERS_OF_KEYS,
    st.lists(st.one_of(_SOUND_ITEMS, FOUR_ITEMS), max_size=2),
)


def _violations(message: object) -> list[str]:
    return sorted(one.proto.rule_id for one in VALIDATOR.collect_violations(message))


def _refused(read: object, data: bytes) -> list[str]:
    try:
        read(data)
    except InvalidFields as refusal:
        return sorted(one.rule for one in refusal.violations)
    return []


@given(SINGLES)
def test_a_single_request_is_refused_exactly_where_the_contract_refuses_it(
    request: lookup_pb2.LookupRequest,
) -> None:
    assert _refused(READER.single, request.SerializeToString()) == _violations(request)


@given(BATCHES)
@example(_batch(SOUND_CONTEXT, "four_items", 0, [four_items_of(person(1))] * 1000))
@example(_batch(SOUND_CONTEXT, "four_items", 0, [four_items_of(person(1))] * 1001))
def test_a_batch_is_refused_exactly_where_the_contract_refuses_it(
    request: lookup_pb2.BatchLookupRequest,
) -> None:
    assert _refused(READER.batch, request.SerializeToString()) == _violations(request)


@given(_maybe(BATCHES), st.sampled_from([0, 1, 10_000, 10_001]))
def test_a_stream_is_refused_exactly_where_the_contract_refuses_it(
    batch: lookup_pb2.BatchLookupRequest | None, chunk_size: int
) -> None:
    request = lookup_pb2.StreamLookupRequest(batch=batch, chunk_size=chunk_size)
    assert _refused(READER.stream, request.SerializeToString()) == _violations(request)


@given(_maybe(BATCHES))
def test_a_chunk_is_refused_exactly_where_the_contract_refuses_it(
    batch: lookup_pb2.BatchLookupRequest | None,
) -> None:
    request = lookup_pb2.ExchangeLookupRequest(batch=batch, chunk_id=3)
    assert _refused(READER.exchange, request.SerializeToString()) == _violations(request)


CONTEXT_EDGES: dict[str, list[object]] = {
    "affair.table": [0, 1, 6, 7],
    "affair.item": ["77", "57-31", "1-2-3-4", "1-2-3-4-5", "1234", "", "-1", "77\n", "七"],
    "request_id": ["語" * length for length in (0, 7, 8, 64, 65)],
    "office": ["語" * length for length in (0, 1, 64, 65)],
    "operator": ["語" * length for length in (0, 1, 64, 65)],
    "fields": [[], [0], [1], [7], [8], [-1], [1, 1], [1, 2, 3, 4, 5, 6, 7]],
}
ITEMS_EDGES: dict[str, list[object]] = {
    "name.written": ["語" * length for length in (0, 1, 200, 201)],
    "name.reading": ["語" * length for length in (0, 200, 201)],
    "name.alphabet": ["語" * length for length in (0, 200, 201)],
    "name.common_name": ["語" * length for length in (0, 200, 201)],
    "name.former_surname": ["語" * length for length in (0, 200, 201)],
    "birth_date.year": [0, 1849, 1850, 2200, 2201],
    "birth_date.month": [0, 12, 13],
    "birth_date.day": [0, 31, 32],
    "sex": [-1, 0, 1, 3, 4],
    "address.municipality": ["", "22130", "221309", "2213090", "22130９", "221309\n"],
    "address.town": ["語" * length for length in (0, 1, 200, 201)],
    "address.remainder": ["語" * length for length in (0, 200, 201)],
}


def _with(message: MessageT, path: str, value: object) -> MessageT:
    """A copy with the field at `path` set to `value`; None leaves it out."""
    changed = type(message)()
    changed.CopyFrom(message)
    *owners, name = path.split(".")
    owner: Message = changed
    for one in owners:
        owner = getattr(owner, one)
    owner.ClearField(name)
    if isinstance(value, list):
        getattr(owner, name).extend(value)
    elif value is not None:
        setattr(owner, name, value)
    return changed


CONTEXTS_AT_EDGES = [
    *(
        _with(SOUND_CONTEXT, path, value)
        for path, values in CONTEXT_EDGES.items()
        for value in values
    ),
    _with(SOUND_CONTEXT, "affair", None),
]
ITEMS_AT_EDGES = [
    *(
        _with(four_items_of(person(1)), path, value)
        for path, values in ITEMS_EDGES.items()
        for value in values
    ),
    *(_with(four_items_of(person(1)), path, None) for path in ("name", "birth_date", "address")),
]


def test_each_rule_holds_at_its_edges_as_the_contract_says() -> None:
    """One field at a time, just inside and just outside, in single requests and in batches."""
    sound = four_items_of(person(1))
    refused = 0
    for context, items in [
        *((context, sound) for context in CONTEXTS_AT_EDGES),
        *((SOUND_CONTEXT, items) for items in ITEMS_AT_EDGES),
    ]:
        single = _single(context, ("four_items", items))
        assert _refused(READER.single, single.SerializeToString()) == _violations(single)
        batch = _batch(context, "four_items", 0, [sound, items])
        assert _refused(READER.batch, batch.SerializeToString()) == _violations(batch)
        refused += bool(_violations(batch))
    assert refused > 40


@pytest.mark.parametrize("size", [0, 1, 10_000, 10_001])
def test_chunks_have_at_most_ten_thousand_answers(size: int) -> None:
    batch = _batch(SOUND_CONTEXT, "individual_numbers", 1, [])
    request = lookup_pb2.StreamLookupRequest(batch=batch, chunk_size=size)
    assert _refused(READER.stream, request.SerializeToString()) == _violations(request)


@pytest.mark.parametrize("kind", ["individual_numbers", "resident_record_codes"])
@pytest.mark.parametrize("count", [0, 1, 10_000, 10_001])
def test_a_batch_has_one_to_ten_thousand_numbers_or_codes(kind: str, count: int) -> None:
    request = _batch(SOUND_CONTEXT, kind, count, [])
    assert _refused(READER.batch, request.SerializeToString()) == _violations(request)


@pytest.mark.parametrize("field", ["individual_number", "resident_record_code"])
@pytest.mark.parametrize("digits", ["", "1" * 10, "1" * 11, "1" * 12, "1" * 11 + "\n", "１" * 12])
def test_numbers_and_codes_have_their_length_in_ascii_digits(field: str, digits: str) -> None:
    request = _single(SOUND_CONTEXT, (field, digits))
    assert _refused(READER.single, request.SerializeToString()) == _violations(request)


@pytest.mark.parametrize(
    ("key", "kind", "value"),
    [
        ({"individual_number": number(5)}, SearchKey.INDIVIDUAL_NUMBER, int(number(5))),
        ({"resident_record_code": code(5)}, SearchKey.RESIDENT_RECORD_CODE, int(code(5))),
    ],
)
def test_a_number_is_read_as_its_decimal_value(
    key: dict[str, str], kind: SearchKey, value: int
) -> None:
    request = lookup_pb2.LookupRequest(context=SOUND_CONTEXT, **key)
    question = READER.single(request.SerializeToString())
    assert (question.keys.kind, list(question.keys.values)) == (kind, [value])
    assert question.basis == LegalBasis("30-9", "1:77")


def test_a_question_does_not_show_whom_it_is_about() -> None:
    request = lookup_pb2.LookupRequest(context=SOUND_CONTEXT, individual_number=number(5))
    assert number(5).lstrip("0") not in repr(READER.single(request.SerializeToString()))


def test_bytes_that_are_no_message_are_malformed() -> None:
    with pytest.raises(JukiError) as refused:
        READER.batch(b"\x0a\xff")
    assert refused.value.reason is Reason.MALFORMED_MESSAGE
