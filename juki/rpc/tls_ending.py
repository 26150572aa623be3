"""Where TLS ends: in the server, with a leaf key in memory, or in nginx, with a key in a token."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import grpc

from juki.config import Configuration
from juki.custody.port import Custody
from juki.custody.roots import Roots
from juki.custody.tls import server_credentials
from juki.rpc.unix_listener import UnixListener

Listening = grpc.ServerCredentials | UnixListener
"""Credentials of a TCP port, or the unix socket that stands in its place."""


class TlsConfiguration(Configuration):
    """The section `tls`: nginx ends TLS. Without it the server does."""

    terminated_by: Literal["nginx"]
    socket: Path
    """The server's unix socket, absolute, in a directory of its own."""

    socket_group: str | None = None
    """The group whose only member is nginx's user; left out where nginx runs as this user."""


def listening(tls: TlsConfiguration | None, custody: Custody, roots: Roots) -> Listening:
    """What the server is to listen with; one that nginx stands before opens no TCP port."""
    if tls is None:
        return server_credentials(custody, roots)
    return UnixListener(tls.socket, tls.socket_group)
