"""Joined bytes are the messages of the contract."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from juki.domain.legal_basis import Field, Withheld, WithheldReason
from juki.domain.outcome import Outcome
from juki.index.reading import LookedUp
from juki.lookup import answers
from juki.v1 import identification_pb2 as pb
from juki.v1 import lookup_pb2
from tests.people import informations, person

ANSWERS = st.lists(
    st.one_of(
        st.tuples(st.just(Outcome.FOUND), informations),
        st.tuples(
            st.sampled_from([Outcome.NOT_FOUND, Outcome.DISPUTED, Outcome.AMBIGUOUS]), st.none()
        ),
    ),
    max_size=5,
)
WITHHELD = st.lists(
    st.builds(
        Withheld,
        st.sampled_from(list(Field)),
        st.sampled_from(list(WithheldReason)),
        st.sampled_from(["30-9", "30-10(1)"]),
    ),
    max_size=3,
)


def looked_up(found: list[tuple[Outcome, pb.IdentificationInformation | None]]) -> LookedUp:
    return LookedUp(
        bytes(8 * len(found)),
        bytes(outcome for outcome, _ in found),
        [one.SerializeToString() if one is not None else b"" for _, one in found],
    )


def message(
    found: list[tuple[Outcome, pb.IdentificationInformation | None]], withheld: list[Withheld]
) -> lookup_pb2.BatchLookupResponse:
    """The same, built as a message."""
    return lookup_pb2.BatchLookupResponse(
        results=[
            lookup_pb2.LookupResult(outcome=int(outcome), information=one) for outcome, one in found
        ],
        withheld=[
            lookup_pb2.WithheldField(field=int(one.field), article=one.article) for one in withheld
        ],
    )


@given(ANSWERS, WITHHELD)
def test_a_joined_batch_parses_as_the_message_built_person_by_person(
    found: list[tuple[Outcome, pb.IdentificationInformation | None]], withheld: list[Withheld]
) -> None:
    joined = answers.results(looked_up(found)) + answers.withheld_fields(withheld)
    assert lookup_pb2.BatchLookupResponse.FromString(joined) == message(found, withheld)


@given(ANSWERS, st.integers(0, 2**64 - 1))
def test_a_chunk_parses_as_either_streams_message(
    found: list[tuple[Outcome, pb.IdentificationInformation | None]], number: int
) -> None:
    wire = answers.chunk(number, answers.results(looked_up(found)))
    expected = message(found, [])
    assert lookup_pb2.StreamLookupResponse.FromString(wire) == lookup_pb2.StreamLookupResponse(
        offset=number, chunk=expected
    )
    assert lookup_pb2.ExchangeLookupResponse.FromString(wire) == lookup_pb2.ExchangeLookupResponse(
        chunk_id=number, chunk=expected
    )


def test_information_longer_than_the_prepared_lengths_is_framed_too() -> None:
    large = person(1, remainder="番" * 3_000)
    joined = answers.results(looked_up([(Outcome.FOUND, large)]))
    assert lookup_pb2.LookupResponse.FromString(joined).result.information == large
