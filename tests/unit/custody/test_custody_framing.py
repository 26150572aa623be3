"""Frames survive any cutting of the stream, and none grows past its limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juki.custody.framing import LENGTH, MAXIMUM_FRAME_BYTES, frame, take_frames
from juki.domain.errors import JukiError, Reason


@given(messages=st.lists(st.binary(max_size=40)), cuts=st.lists(st.integers(1, 50)))
def test_frames_come_out_as_they_went_in_however_the_stream_is_cut(
    messages: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(map(frame, messages))
    received = bytearray()
    found: list[bytes] = []
    for cut in cuts:
        received += stream[:cut]
        stream = stream[cut:]
        found += take_frames(received)
    received += stream
    found += take_frames(received)
    assert found == messages
    assert not received


def test_a_length_past_the_limit_is_refused_before_its_message_arrives() -> None:
    with pytest.raises(JukiError) as refused:
        take_frames(bytearray(LENGTH.pack(MAXIMUM_FRAME_BYTES + 1)))
    assert refused.value.reason is Reason.MESSAGE_TOO_LARGE


def test_a_message_past_the_limit_is_not_framed() -> None:
    assert len(frame(bytes(MAXIMUM_FRAME_BYTES))) == MAXIMUM_FRAME_BYTES + LENGTH.size
    with pytest.raises(JukiError):
        frame(bytes(MAXIMUM_FRAME_BYTES + 1))
