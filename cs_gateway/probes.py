"""Health means working: the gateway has just signed, written and read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from sqlalchemy import update

from cs_gateway.signing import StreamSigner
from cs_gateway.store import GatewayStore
from cs_gateway.tables import GATEWAY_STATE
from cs_gateway.writer import StreamWriter
from juki.store.space import require_space

_DIGEST = hashlib.sha256(b"juki.health").digest()


def gateway_probes(
    store: GatewayStore, signer: StreamSigner, writer: StreamWriter
) -> Mapping[str, Callable[[], None]]:
    """The probes `sign`, `write`, `read` and `stream`; each raises when it does not work."""

    def sign() -> None:
        signer.sign([_DIGEST])

    def write() -> None:
        require_space(store.engine)
        with store.write() as connection:
            connection.execute(update(GATEWAY_STATE).values(id=1))

    def read() -> None:
        store.head()

    return {"sign": sign, "write": write, "read": read, "stream": writer.check}
