"""Stream positions against a simple model, and digests that cannot be taken for one another."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from juki.domain.envelope import (
    GENESIS_DIGEST,
    StreamLink,
    StreamPosition,
    follow,
    notification_digest,
    receipt_digest,
)
from juki.domain.errors import JukiError, Reason


def digest(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


@dataclass
class Model:
    """The stream as a plain list of links, each epoch beginning with the start of it."""

    links: list[StreamLink] = field(default_factory=list)

    @property
    def position(self) -> StreamPosition:
        if not self.links:
            return StreamPosition()
        last = self.links[-1]
        return StreamPosition(last.epoch, last.sequence, last.digest)

    def verdict(self, link: StreamLink) -> Reason | None:
        """What is to become of `link`, said without the rules' own arithmetic."""
        if not self.links:
            first = StreamLink(1, 1, GENESIS_DIGEST, link.digest, starts_epoch=False)
            if replace(link, last_known_sequence=0) == first:
                return None
            if link.epoch > 1:
                return Reason.EPOCH_UNKNOWN
            if link.epoch < 1:
                return Reason.EPOCH_SUPERSEDED
            return Reason.SEQUENCE_GAP if link.sequence != 1 else Reason.PREDECESSOR_MISMATCH
        last = self.links[-1]
        if link.epoch == last.epoch:
            if link.sequence != last.sequence + 1:
                return Reason.SEQUENCE_GAP
            chained = link.predecessor_digest == last.digest and not link.starts_epoch
            return None if chained else Reason.PREDECESSOR_MISMATCH
        if link.epoch < last.epoch:
            return Reason.EPOCH_SUPERSEDED
        if (link.epoch, link.sequence, link.starts_epoch) != (last.epoch + 1, 1, True):
            return Reason.EPOCH_UNKNOWN
        return Reason.SEQUENCE_GAP if link.last_known_sequence > last.sequence else None


links = st.builds(
    StreamLink,
    epoch=st.integers(0, 4),
    sequence=st.integers(1, 5),
    predecessor_digest=st.sampled_from([GENESIS_DIGEST, digest("a"), digest("b")]),
    digest=st.sampled_from([digest("a"), digest("b")]),
    starts_epoch=st.booleans(),
    last_known_sequence=st.integers(0, 5),
)


@st.composite
def likely_links(draw: st.DrawFn) -> tuple[str, StreamLink]:
    """A link and how it is to be fitted to the stream's head."""
    return draw(st.sampled_from(["as is", "next", "next", "start"])), draw(links)


def fitted(how: str, link: StreamLink, position: StreamPosition) -> StreamLink:
    if how == "next":
        return replace(
            link,
            epoch=max(position.epoch, 1),
            sequence=position.sequence + 1,
            predecessor_digest=position.digest,
            starts_epoch=False,
        )
    if how == "start":
        return replace(link, epoch=position.epoch + 1, sequence=1, starts_epoch=True)
    return link


@settings(deadline=None, max_examples=300)
@given(st.lists(likely_links(), max_size=25))
def test_a_stream_takes_what_follows_and_says_why_it_refuses_the_rest(
    arriving: list[tuple[str, StreamLink]],
) -> None:
    model, position = Model(), StreamPosition()
    for how, drawn in arriving:
        link = fitted(how, drawn, position)
        expected = model.verdict(link)
        if expected is None:
            position = follow(position, link)
            model.links.append(link)
        else:
            with pytest.raises(JukiError) as refused:
                follow(position, link)
            assert refused.value.reason is expected
            if expected is Reason.SEQUENCE_GAP:
                metadata = refused.value.metadata
                assert metadata["expected_epoch"] == str(max(position.epoch, 1))
                assert metadata["expected_sequence"] == str(position.sequence + 1)
        assert position == model.position


def test_the_first_notification_of_all_begins_epoch_one_after_the_genesis_digest() -> None:
    link = StreamLink(1, 1, GENESIS_DIGEST, digest("a"), starts_epoch=False)
    assert follow(StreamPosition(), link) == StreamPosition(1, 1, digest("a"))


def test_a_restored_gateway_that_knows_less_begins_the_next_epoch() -> None:
    start = StreamLink(2, 1, digest("x"), digest("s"), starts_epoch=True, last_known_sequence=3)
    assert follow(StreamPosition(1, 7, digest("a")), start) == StreamPosition(2, 1, digest("s"))


def test_a_restored_gateway_that_knows_more_sends_the_rest_of_its_old_epoch_first() -> None:
    start = StreamLink(2, 1, digest("x"), digest("s"), starts_epoch=True, last_known_sequence=8)
    with pytest.raises(JukiError) as refused:
        follow(StreamPosition(1, 7, digest("a")), start)
    assert refused.value.reason is Reason.SEQUENCE_GAP
    assert refused.value.metadata["expected_sequence"] == "8"


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_a_notification_and_a_receipt_of_the_same_bytes_have_different_digests(
    content: bytes,
) -> None:
    assert notification_digest(content) != receipt_digest(content)
    assert notification_digest(content) != hashlib.sha256(content).digest()


def test_the_digests_are_those_the_contract_describes() -> None:
    """SHA-256 over the message's name, a zero byte and the bytes."""
    assert (
        notification_digest(b"x") == hashlib.sha256(b"juki.v1.Notification" + b"\0" + b"x").digest()
    )
    assert receipt_digest(b"x") == hashlib.sha256(b"juki.v1.Receipt" + b"\0" + b"x").digest()


@settings(deadline=None)
@given(st.binary(max_size=50), st.binary(max_size=50))
def test_equal_digests_mean_equal_notifications(one: bytes, other: bytes) -> None:
    assert (notification_digest(one) == notification_digest(other)) == (one == other)
