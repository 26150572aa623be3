"""Signs as fast as it can, through custody or with a bare PKCS#11 loop; a worker of the bench."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from pkcs11 import Mechanism, ObjectClass

from bench.ordered import obey
from hsm.token import load_module
from juki.custody.client import CustodyClient
from juki.custody.port import SIGNING

_DIGESTS = [sha256(number.to_bytes(2)).digest() for number in range(4096)]

Sign = Callable[[int], object]
"""Signs so many digests."""


def main() -> None:
    """The first order says with what to sign; the others how long, and how many a call."""
    sign: list[Sign] = []

    def act(order: dict[str, Any]) -> dict[str, Any]:
        if not sign:
            sign.append(_through_custody(order) if "socket" in order else _bare(order))
            sign[0](1)
            return {}
        return _measured(sign[0], order["batch"], order["seconds"])

    obey(act)


def _through_custody(order: dict[str, Any]) -> Sign:
    custody = CustodyClient(Path(order["socket"]), timeout_seconds=60.0)
    return lambda count: custody.sign(SIGNING, _DIGESTS[:count])


def _bare(order: dict[str, Any]) -> Sign:
    """What python-pkcs11 does at best: one process, one session, one loop, nothing between."""
    library = load_module(Path(order["module"]), Path(order["softhsm_configuration"]))
    session = library.get_token(token_label=order["label"]).open(
        user_pin=Path(order["pin_file"]).read_text(encoding="ascii")
    )
    key: Any = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=SIGNING)

    def sign(count: int) -> None:
        for digest in _DIGESTS[:count]:
            key.sign(digest, mechanism=Mechanism.ECDSA)

    return sign


def _measured(sign: Sign, batch: int, seconds: float) -> dict[str, Any]:
    begin = time.perf_counter()
    signatures = 0
    while True:
        sign(batch)
        signatures += batch
        spent = time.perf_counter() - begin
        if spent >= seconds:
            return {"per_second": signatures / spent, "signatures": signatures}


if __name__ == "__main__":
    main()
