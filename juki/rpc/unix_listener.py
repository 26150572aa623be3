"""A server's unix socket for the nginx that ends TLS before it: nothing else can open it.

grpcio does not tell a server who is at the other end of a unix socket (SO_PEERCRED), so that the
file system decides: a socket in a directory that only the server's user may change and, of others,
only nginx's group may enter.
"""

from __future__ import annotations

import grp
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import grpc

from juki.domain.errors import JukiError, Reason

_LONGEST_PATH_BYTES = 107


@dataclass(frozen=True, slots=True)
class UnixListener:
    """Where a server listens for nginx."""

    path: Path
    group: str | None = None
    """The group whose only member is nginx's user; None where nginx runs as the server's user."""


def bind_unix(server: grpc.Server, listener: UnixListener) -> None:
    """Make the socket, open to its owner and to `group` alone from its first moment.

    Raises CONFIGURATION_INVALID where its directory is open to others, or where another server
    answers there.
    """
    group = _group_id(listener.group)
    _refuse_open_directory(listener.path, group)
    _refuse_taken(listener.path)
    before = os.umask(0o177)
    try:
        bound = server.add_insecure_port(f"unix:{listener.path}")
    except RuntimeError:
        bound = 0
    finally:
        os.umask(before)
    if not bound:
        raise _invalid("the server's unix socket cannot be made")
    if group is not None:
        os.chown(listener.path, -1, group)
        listener.path.chmod(0o660)


def _group_id(name: str | None) -> int | None:
    if name is None:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise _invalid("the group of the server's unix socket does not exist") from None


def _refuse_open_directory(path: Path, group: int | None) -> None:
    if not path.is_absolute() or len(os.fsencode(path)) > _LONGEST_PATH_BYTES:
        raise _invalid("the server's unix socket needs an absolute path of at most 107 bytes")
    try:
        found = path.parent.stat()
    except OSError:
        raise _invalid("the directory of the server's unix socket does not exist") from None
    if found.st_uid != os.geteuid():
        raise _invalid("the directory of the server's unix socket belongs to another user")
    allowed = stat.S_IRWXU | (stat.S_IXGRP | stat.S_IRGRP if group is not None else 0)
    if stat.S_IMODE(found.st_mode) & 0o777 & ~allowed:
        raise _invalid("the directory of the server's unix socket is open to others")
    if group is not None and found.st_gid != group:
        raise _invalid("the directory of the server's unix socket belongs to another group")


def _refuse_taken(path: Path) -> None:
    """grpcio would take a living server's socket away without a word."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, suppress(OSError):
        probe.connect(str(path))
        raise _invalid("another server answers at this unix socket")


def _invalid(message: str) -> JukiError:
    return JukiError(Reason.CONFIGURATION_INVALID, message)
