"""Frames on custody's sockets: a 4-byte big-endian length, then one protobuf message."""

from __future__ import annotations

import struct

from juki.domain.errors import JukiError, Reason

MAXIMUM_FRAME_BYTES = 1 << 20
"""Longest message in a frame: 4,096 digests take 140 kB, 4,096 messages of 250 bytes fit."""
LENGTH = struct.Struct(">I")


def frame(message: bytes) -> bytes:
    """The message with its length in front; raises MESSAGE_TOO_LARGE."""
    if len(message) > MAXIMUM_FRAME_BYTES:
        raise JukiError(Reason.MESSAGE_TOO_LARGE, "a frame for custody is too long")
    return LENGTH.pack(len(message)) + message


def take_frames(received: bytearray) -> list[bytes]:
    """Cut the complete frames off the front of `received`; raises MESSAGE_TOO_LARGE.

    The length is judged as soon as it is there, so that no peer makes the buffer grow past it.
    """
    frames: list[bytes] = []
    position = 0
    while len(received) - position >= LENGTH.size:
        (length,) = LENGTH.unpack_from(received, position)
        if length > MAXIMUM_FRAME_BYTES:
            raise JukiError(Reason.MESSAGE_TOO_LARGE, "a frame for custody is too long")
        end = position + LENGTH.size + length
        if len(received) < end:
            break
        frames.append(bytes(received[position + LENGTH.size : end]))
        position = end
    del received[:position]
    return frames
