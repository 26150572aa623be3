"""How the front answers callers while no worker can: at once, with the reason, and nothing else."""

from __future__ import annotations

from contextlib import suppress

from hsm.sockets import Door, refusal_of_caller
from juki.custody.framing import frame
from juki.domain.errors import JukiError
from juki.v1 import custody_pb2 as pb


def refuse_next(door: Door, refusal: JukiError) -> None:
    """Accept one caller, answer the connection as a whole, and close it.

    What the caller has sent is not read: the front parses nothing. A caller finds the answer even
    where it has not asked yet.
    """
    try:
        connection, _ = door.listener.accept()
    except OSError:  # a worker was quicker, the caller has gone, or descriptors are short
        return
    with connection, suppress(OSError):
        connection.setblocking(False)
        answer = refusal_of_caller(connection, door.role) or refusal
        connection.send(frame(error_response(answer).SerializeToString()))


def error_response(error: JukiError) -> pb.CustodyResponse:
    """A refusal as a response, without a request id."""
    return pb.CustodyResponse(error=pb.CustodyError(reason=error.reason, message=error.message))
