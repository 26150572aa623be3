"""Makes Individual Numbers in a process of its own, as a second national server would."""

from __future__ import annotations

import hmac
import os
from collections.abc import Sequence

from juki.domain.codes import ResidentRecordCode
from juki.store.engine import open_engine
from juki.store.sealing import Sealer
from national_server.code_pool import CodePool
from national_server.numbers import NumberMaker

KEY = bytes(range(32))
MUNICIPALITY = "221309"
BODIES = 3_000
"""So few that two processes meet in the same numbers all the time."""


def mac(messages: Sequence[bytes]) -> list[bytes]:
    """Under a key that all processes have."""
    return [hmac.digest(KEY, message, "sha256") for message in messages]


def allot(url: str, count: int) -> list[str]:
    """Codes of the municipality."""
    engine = open_engine(url)
    codes = CodePool(engine, Sealer(KEY), os.urandom).allot(MUNICIPALITY, "request", count)
    engine.dispose()
    return [code.digits for code in codes]


def make(url: str, codes: Sequence[str], at_once: int) -> dict[str, str]:
    """The number of each code."""
    engine = open_engine(url)
    maker = NumberMaker(engine, Sealer(KEY), mac, bodies=BODIES)
    numbers: dict[str, str] = {}
    for start in range(0, len(codes), at_once):
        some = [ResidentRecordCode(code) for code in codes[start : start + at_once]]
        made = maker.make(MUNICIPALITY, some)
        numbers |= {c.digits: n.digits for c, n in zip(some, made, strict=True)}
    engine.dispose()
    return numbers
