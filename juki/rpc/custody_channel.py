"""Opens channels whose client key is in custody, and stays with it when it is rotated."""

from __future__ import annotations

import grpc

from juki.custody.port import Custody
from juki.custody.roots import Roots
from juki.custody.tls import ClientIdentity
from juki.rpc.channel import ChannelSettings, open_channel
from juki.rpc.renewing import RenewingChannel


def open_custody_channel(
    address: str,
    server_name: str,
    custody: Custody,
    roots: Roots,
    settings: ChannelSettings | None = None,
) -> grpc.Channel:
    """A channel as of `open_channel`, for as long as the process lives; the caller closes it.

    When the client key, its certificate or the roots change, calls go over to a new connection.
    Raises `JukiError` where custody has no certificate for the client key.
    """
    identity = ClientIdentity(custody, roots)
    settings = settings or ChannelSettings()
    return RenewingChannel(
        lambda: open_channel(address, server_name, identity.credentials(), settings),
        identity.version,
    )
