"""What custody's worker tells its front: one packet a message, a kind and a sentence."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum

_LONGEST_BYTES = 4096
_MOST_AT_ONCE = 64


class Kind(IntEnum):
    """What a message says."""

    STARTED = 1
    """The worker runs and opens the module now."""
    ALIVE = 2
    """A sign of life: the token has just signed, or a long batch has got a slice further."""
    READY = 3
    """The token is open, its keys are checked, it has signed; callers are served."""
    NOT_OPENED = 4
    """The token cannot be opened now, and why; the worker goes on trying."""
    MISCONFIGURED = 5
    """The token can never serve this configuration, and why; the worker ends."""
    LOST = 6
    """The token failed while in use, and how; the worker ends."""


@dataclass(frozen=True)
class Message:
    """One message."""

    kind: Kind
    text: str = ""


def link_pair() -> tuple[socket.socket, socket.socket]:
    """The front's end (non-blocking) and the worker's: packets keep their bounds (unix(7))."""
    front, worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    front.setblocking(False)
    return front, worker


def send(link: socket.socket, kind: Kind, text: str = "") -> None:
    """Tell the front. Never blocks: a front that does not read has no use for more."""
    packet = bytes([kind]) + text.encode()[: _LONGEST_BYTES - 1]
    # A front that has gone takes the worker with it (PR_SET_PDEATHSIG).
    with suppress(OSError):
        link.send(packet, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def receive(link: socket.socket) -> tuple[list[Message], bool]:
    """What has come, and whether the worker's end is still open."""
    messages: list[Message] = []
    for _ in range(_MOST_AT_ONCE):
        try:
            packet = link.recv(_LONGEST_BYTES)
        except BlockingIOError:
            break
        except OSError:
            return messages, False
        if not packet:
            return messages, False
        messages.append(Message(Kind(packet[0]), packet[1:].decode(errors="replace")))
    return messages, True
