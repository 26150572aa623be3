"""Custody's unix sockets: made with their file mode, and the caller's uid from the kernel."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from pathlib import Path

import structlog

from hsm.permissions import Permissions
from juki.domain.errors import JukiError, Reason

_LONGEST_PATH_BYTES = 107
_CREDENTIALS = struct.Struct("3i")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class SocketRole:
    """One socket and what its callers may do."""

    path: Path
    mode: int
    """File mode of the socket."""
    allowed_uids: frozenset[int]
    permissions: Permissions


@dataclass(frozen=True)
class Door:
    """A role's listening socket; the front makes it, the worker answers at it."""

    listener: socket.socket
    role: SocketRole


def refusal_of_caller(connection: socket.socket, role: SocketRole) -> JukiError | None:
    """Why this caller may not use this socket, whatever it asks; None where it may."""
    uid = peer_uid(connection)
    if uid in role.allowed_uids:
        return None
    _log.warning("caller refused", uid=uid, socket=role.path.name)
    return JukiError(Reason.IDENTITY_NOT_PERMITTED, "this user may not use this socket of custody")


def listen(role: SocketRole) -> socket.socket:
    """A listening socket at the role's path; replaces a dead one, never a live one."""
    if len(str(role.path).encode()) > _LONGEST_PATH_BYTES:
        raise JukiError(
            Reason.CONFIGURATION_INVALID,
            f"the socket path {role.path} is longer than {_LONGEST_PATH_BYTES} bytes",
        )
    if role.path.is_socket():
        if _answers(role.path):
            raise JukiError(Reason.CONFIGURATION_INVALID, f"another custody listens on {role.path}")
        role.path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Bound under another name and opened up before it can be found under its own.
        hidden = role.path.with_name(role.path.name + ".new")
        hidden.unlink(missing_ok=True)
        listener.bind(str(hidden))
        hidden.chmod(role.mode)
        listener.listen(128)
        hidden.rename(role.path)
    except OSError as error:
        listener.close()
        raise JukiError(
            Reason.CONFIGURATION_INVALID, f"custody cannot listen on {role.path}"
        ) from error
    listener.setblocking(False)
    return listener


def peer_uid(connection: socket.socket) -> int:
    """The caller's user id as the kernel saw it at connect (`SO_PEERCRED`, unix(7))."""
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(packed)
    return int(uid)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
