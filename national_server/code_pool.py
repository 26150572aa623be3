"""Allots resident record codes: random, never overlapping, each given once (Art. 30-2)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
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


Within = Callable[[Connection], None]
"""Something to do inside the transaction that gives codes or numbers out."""


def nothing_else(_connection: Connection) -> None:
    """Nothing beside the codes or numbers themselves."""


class CodePool:
    """The nation's allotments, kept durably; the same request gives the same codes."""

    def __init__(self, engine: Engine, sealer: Sealer, random: Callable[[int], bytes]) -> None:
        """`random` gives that many bytes (at most 65,536) of the token's generator."""
        self._engine = engine
        self._sealer = sealer
        self._random = random
        self._lock = threading.Lock()

    def allot(
        self, municipality: str, request_id: str, count: int, within: Within = nothing_else
    ) -> list[ResidentRecordCode]:
        """`count` codes for the municipality, none of which was ever allotted before.

        `within` is called inside the transaction, also where the codes were allotted before.

        Raises:
            JukiError: REQUEST_ID_REUSED when the id was used with another count.
        """
        with self._lock, self._engine.begin() as connection:
            within(connection)
            held = self._held(connection, municipality, request_id, count)
            if held is not None:
                return held
            codes = self._draw_unused(connection, count)
            blinds = [_blind(self._sealer, code) for code in codes]
            _keep_allotment(connection, self._sealer, municipality, request_id, codes)
            _keep_codes(connection, municipality, blinds)
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
            blinds = {_blind(self._sealer, code): body for body, code in drawn.items()}
            for taken in select_allotted(connection, blinds):
                del drawn[blinds[taken]]
        return list(drawn.values())


def restore_allotment(
    connection: Connection,
    sealer: Sealer,
    municipality: str,
    request_id: str,
    codes: Sequence[ResidentRecordCode],
) -> int:
    """Takes in an allotment that a restored database may lack.

    Gives how many of its codes were allotted to another municipality since: those stay its own.
    """
    blinds = [_blind(sealer, code) for code in codes]
    owners = municipality_of_codes(connection, blinds)
    table = t.allotment
    held = select(table.c.count).where(
        table.c.municipality == municipality, table.c.request_id == request_id
    )
    if connection.scalar(held) is None:
        _keep_allotment(connection, sealer, municipality, request_id, codes)
    _keep_codes(connection, municipality, [blind for blind in blinds if blind not in owners])
    return sum(owner != municipality for owner in owners.values())


def select_allotted(connection: Connection, code_blinds: Collection[bytes]) -> set[bytes]:
    """Those of the codes that were allotted to some municipality."""
    return set(municipality_of_codes(connection, code_blinds))


def municipality_of_codes(
    connection: Connection, code_blinds: Collection[bytes]
) -> dict[bytes, str]:
    """The municipality that each of the codes was allotted to; unknown codes are left out."""
    table = t.allotted_code
    return select_by_key(connection, table.c.code_blind, table.c.municipality, code_blinds)


def _blind(sealer: Sealer, code: ResidentRecordCode) -> bytes:
    return sealer.blind("code", code.digits)


def _keep_allotment(
    connection: Connection,
    sealer: Sealer,
    municipality: str,
    request_id: str,
    codes: Sequence[ResidentRecordCode],
) -> None:
    packed = np.array([int(code) for code in codes], dtype="<u8").tobytes()
    connection.execute(
        insert(t.allotment).values(
            municipality=municipality,
            request_id=request_id,
            count=len(codes),
            codes_sealed=sealer.seal(packed, _place(municipality, request_id)),
            allotted_at=now_microseconds(),
        )
    )


def _keep_codes(connection: Connection, municipality: str, code_blinds: Sequence[bytes]) -> None:
    if code_blinds:
        rows = [{"code_blind": blind, "municipality": municipality} for blind in code_blinds]
        connection.execute(insert(t.allotted_code), rows)


def _place(municipality: str, request_id: str) -> bytes:
    return f"allotment.codes|{municipality}|{request_id}".encode()
