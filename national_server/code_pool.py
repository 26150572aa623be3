"""Allots resident record codes: random, never overlapping, each given once (Art. 30-2)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Final

import numpy as np
from sqlalchemy import Connection, Engine, insert, select

from juki.domain.codes import ResidentRecordCode
from juki.domain.errors import JukiError, Reason
from juki.store.chunks import select_by_key
from juki.store.engine import now_microseconds
from juki.store.sealing import Sealer
from national_server import tables as t

_CODES: Final = 10**10
"""Codes there are: ten random digits."""

_FAIR: Final = 2**64 // _CODES * _CODES
"""64-bit values from here on would favour some codes and are drawn again."""

_DRAW_BYTES: Final = 65536


class CodePool:
    """The nation's allotments, kept durably; the same request gives the same codes."""

    def __init__(self, engine: Engine, sealer: Sealer, random: Callable[[int], bytes]) -> None:
        """`random` gives that many bytes (at most 65,536) of the token's generator."""
        self._engine = engine
        self._sealer = sealer
        self._random = random
        self._lock = threading.Lock()

    def allot(self, municipality: str, request_id: str, count: int) -> list[ResidentRecordCode]:
        """`count` codes for the municipality, none of which was ever allotted before.

        Raises:
            JukiError: REQUEST_ID_REUSED when the id was used with another count.
        """
        with self._lock, self._engine.begin() as connection:
            held = self._held(connection, municipality, request_id, count)
            if held is not None:
                return held
            codes = self._draw_unused(connection, count)
            values = [int(code) for code in codes]
            connection.execute(
                insert(t.allotment).values(
                    municipality=municipality,
                    request_id=request_id,
                    count=count,
                    codes_sealed=self._sealer.seal(
                        np.array(values, dtype="<u8").tobytes(), _place(municipality, request_id)
                    ),
                    allotted_at=now_microseconds(),
                )
            )
            connection.execute(
                insert(t.allotted_code),
                [{"code_blind": self._blind(code), "municipality": municipality} for code in codes],
            )
            return codes

    def _held(
        self, connection: Connection, municipality: str, request_id: str, count: int
    ) -> list[ResidentRecordCode] | None:
        row = connection.execute(
            select(t.allotment.c.count, t.allotment.c.codes_sealed).where(
                t.allotment.c.municipality == municipality,
                t.allotment.c.request_id == request_id,
            )
        ).first()
        if row is None:
            return None
        held_count, sealed = row
        if held_count != count:
            raise JukiError(
                Reason.REQUEST_ID_REUSED, "the request id was used for another allotment"
            )
        packed = self._sealer.open(bytes(sealed), _place(municipality, request_id))
        return [ResidentRecordCode.from_int(int(v)) for v in np.frombuffer(packed, dtype="<u8")]

    def _draw_unused(self, connection: Connection, count: int) -> list[ResidentRecordCode]:
        drawn: dict[int, ResidentRecordCode] = {}
        while len(drawn) < count:
            size = min(_DRAW_BYTES, 8 * (count - len(drawn)))
            for value in np.frombuffer(self._random(size), dtype="<u8"):
                if value < _FAIR:
                    body = int(value) % _CODES
                    drawn[body] = ResidentRecordCode.from_body(body)
            blinds = {self._blind(code): body for body, code in drawn.items()}
            for taken in select_allotted(connection, blinds):
                del drawn[blinds[taken]]
        return list(drawn.values())

    def _blind(self, code: ResidentRecordCode) -> bytes:
        return self._sealer.blind("code", code.digits)


def select_allotted(connection: Connection, code_blinds: Collection[bytes]) -> set[bytes]:
    """Those of the codes that were allotted to some municipality."""
    return set(municipality_of_codes(connection, code_blinds))


def municipality_of_codes(
    connection: Connection, code_blinds: Collection[bytes]
) -> dict[bytes, str]:
    """The municipality that each of the codes was allotted to; unknown codes are left out."""
    table = t.allotted_code
    return select_by_key(connection, table.c.code_blind, table.c.municipality, code_blinds)


def _place(municipality: str, request_id: str) -> bytes:
    return f"allotment.codes|{municipality}|{request_id}".encode()
