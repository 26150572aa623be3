"""Allots resident record codes: random, never overlapping, each given once (Art. 30-2)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, Engine, insert, select

from juki.domain.codes import ResidentRecordCode
from juki.domain.errors import JukiError, Reason
from juki.store.chunks import select_by_key
from juki.store.engine import now_microseconds
from juki.store.root import RegisterRoot, RowChanges, row_bytes
from juki.store.sealing import Sealer, seal_id
from national_server import tables as t

_CODES: Final = 10**10
"""Codes there are: ten random digits."""

_FAIR: Final = 2**64 // _CODES * _CODES
"""64-bit values from here on would favour some codes and are drawn again."""

_DRAW_BYTES: Final = 65536

GRANTED_SECTION: Final = "granted"
"""Name of the register root's section of the codes and numbers that were given out."""


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
        self._root = RegisterRoot(sealer, t.register_root, GRANTED_SECTION)
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
            changes = self._root.begin(connection)
            within(connection)
            held = self._held(connection, municipality, request_id, count)
            if held is not None:
                return held
            codes = self._draw_unused(connection, count)
            blinds = [_blind(self._sealer, code) for code in codes]
            keep = _Keeping(connection, self._sealer, changes)
            keep.allotment(municipality, request_id, codes)
            keep.codes(municipality, blinds)
            changes.write(connection)
            return codes

    def _held(
        self, connection: Connection, municipality: str, request_id: str, count: int
    ) -> list[ResidentRecordCode] | None:
        row = connection.execute(
            select(t.allotment).where(
                t.allotment.c.municipality == municipality,
                t.allotment.c.request_id == request_id,
            )
        ).first()
        if row is None:
            return None
        packed = open_allotment(row, self._sealer)
        # Not `row.count`: a row has a method of that name.
        if row._mapping["count"] != count:
            raise JukiError(
                Reason.REQUEST_ID_REUSED, "the request id was used for another allotment"
            )
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
    changes: RowChanges,
    *,
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
    keep = _Keeping(connection, sealer, changes)
    if connection.scalar(held) is None:
        keep.allotment(municipality, request_id, codes)
    keep.codes(municipality, [blind for blind in blinds if blind not in owners])
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


@dataclass(frozen=True, slots=True)
class _Keeping:
    """Writes rows inside a transaction whose root hears of them."""

    connection: Connection
    sealer: Sealer
    changes: RowChanges

    def allotment(
        self, municipality: str, request_id: str, codes: Sequence[ResidentRecordCode]
    ) -> None:
        packed = np.array([int(code) for code in codes], dtype="<u8").tobytes()
        now = now_microseconds()
        place = allotment_place(municipality, request_id, len(codes), now)
        sealed = self.sealer.seal(packed, place)
        self.changes.add("allotment", seal_id(sealed))
        self.connection.execute(
            insert(t.allotment).values(
                municipality=municipality,
                request_id=request_id,
                count=len(codes),
                codes_sealed=sealed,
                allotted_at=now,
            )
        )

    def codes(self, municipality: str, code_blinds: Sequence[bytes]) -> None:
        for blind in code_blinds:
            self.changes.add("allotted_code", row_bytes(blind, municipality))
        if code_blinds:
            rows = [{"code_blind": blind, "municipality": municipality} for blind in code_blinds]
            self.connection.execute(insert(t.allotted_code), rows)


def allotment_place(municipality: str, request_id: str, count: int, allotted_at: int) -> bytes:
    """The place that an allotment's sealed codes are bound to: all the rest of its row."""
    return f"allotment.codes|{municipality}|{request_id}|{count}|{allotted_at}".encode()


def open_allotment(row: Any, sealer: Sealer) -> bytes:
    """The codes of a row of the table `allotment`, 8 bytes each.

    Raises:
        JukiError: TAMPERING_DETECTED when the row is not as it was sealed.
    """
    place = allotment_place(
        row.municipality, row.request_id, row._mapping["count"], row.allotted_at
    )
    return sealer.open(bytes(row.codes_sealed), place)
