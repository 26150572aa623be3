"""The pool of resident record codes (Act Art. 30-2 to 30-4): a random one for each person."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import bindparam, insert, select, update

from cs_gateway import places
from cs_gateway.covered import code_message
from cs_gateway.events import PooledCode
from cs_gateway.ports import Clock, RandomSource
from cs_gateway.progress import Progress
from cs_gateway.store import GatewayStore, unused_codes
from cs_gateway.tables import CODE_POOL, CODE_REQUEST
from juki.domain.codes import ResidentRecordCode

_HELD: Final = select(CODE_POOL.c.code_key).where(
    CODE_POOL.c.code_key.in_(bindparam("keys", expanding=True))
)
_IN_ONE_SELECT: Final = 10_000


class CodePool:
    """Unused codes in memory; a code given to a person is marked in that person's transaction."""

    def __init__(
        self, store: GatewayStore, random: RandomSource, clock: Clock, progress: Progress
    ) -> None:
        self._store = store
        self._random = random
        self._clock = clock
        self._progress = progress
        self._changed = threading.Condition()
        # Held over a database read or write together with the list in memory that follows it.
        self._refill = threading.Lock()
        self._unused: list[PooledCode] = []
        self._reserved: set[bytes] = set()
        self._wanted = 0
        self.reload()

    @property
    def available(self) -> int:
        """Unused codes that no event has reserved."""
        with self._changed:
            return len(self._unused)

    def reserve(self, count: int, timeout: float) -> list[PooledCode]:
        """`count` codes chosen at random, or fewer when the pool is not refilled in `timeout` s.

        Give back those that are not used.
        """
        taken: list[PooledCode] = []
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                while self._unused and len(taken) < count:
                    taken.append(self._pick())
                missing = count - len(taken)
                remaining = deadline - time.monotonic()
                if missing <= 0 or remaining <= 0:
                    break
                self._wanted += missing
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._unused), remaining)
                self._wanted -= missing
        self._tell()
        return taken

    def _pick(self) -> PooledCode:
        index = self._random.randrange(len(self._unused))
        self._unused[index], self._unused[-1] = self._unused[-1], self._unused[index]
        chosen = self._unused.pop()
        self._reserved.add(chosen.key)
        return chosen

    def give_back(self, codes: Iterable[PooledCode]) -> None:
        """Frees reserved codes that were not used."""
        with self._changed:
            for code in codes:
                if code.key in self._reserved:
                    self._reserved.discard(code.key)
                    self._unused.append(code)
            self._changed.notify_all()
        self._tell()

    def forget_used(self, keys: Iterable[bytes]) -> None:
        """Drops codes that a durable transaction gave to persons."""
        with self._changed:
            self._reserved.difference_update(keys)

    def reload(self) -> None:
        """Reads the unused codes anew, after a transaction whose outcome is not known.

        Codes reserved by events that have not been written yet stay reserved.
        """
        with self._refill:
            codes = [PooledCode(key, digits) for key, digits in unused_codes(self._store)]
            with self._changed:
                self._unused = [code for code in codes if code.key not in self._reserved]
                self._changed.notify_all()
        self._tell()

    def wait_until_short(self, low_water: int, timeout: float) -> int:
        """How many codes waiting events lack, once it is any or the pool is below `low_water`.

        Returns after `timeout` seconds at the latest.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._wanted > 0 or len(self._unused) < low_water, timeout
            )
            return self._wanted

    def wake(self) -> None:
        """Wakes whoever waits."""
        with self._changed:
            self._changed.notify_all()

    def open_request(self, request_id: str, count: int) -> tuple[str, int]:
        """The unanswered request for codes, if there is one, else this new one; durable."""
        with self._store.write() as connection:
            row = connection.execute(
                select(CODE_REQUEST.c.request_id, CODE_REQUEST.c.wanted)
                .where(CODE_REQUEST.c.answered_at.is_(None))
                .order_by(CODE_REQUEST.c.asked_at)
                .limit(1)
            ).one_or_none()
            if row is not None:
                return row.request_id, row.wanted
            connection.execute(
                insert(CODE_REQUEST).values(
                    request_id=request_id, wanted=count, asked_at=self._clock()
                )
            )
        return request_id, count

    def add_allotment(self, request_id: str, values: Sequence[int]) -> int:
        """Takes an allotment in and closes its request; gives how many codes were new.

        Raises:
            InvalidValue: A value is not a resident record code; nothing is taken in.
        """
        blind = self._store.sealer.blind
        codes = {}
        for value in values:
            digits = ResidentRecordCode.from_int(value).digits
            codes[blind("code", digits)] = digits
        with self._refill:
            new = self._store_allotment(request_id, codes)
            with self._changed:
                self._unused.extend(new)
                self._changed.notify_all()
        self._tell()
        return len(new)

    def _store_allotment(self, request_id: str, codes: Mapping[bytes, str]) -> list[PooledCode]:
        now = self._clock()
        seal = self._store.sealer.seal
        keys = list(codes)
        with self._store.write() as connection:
            changes = self._store.root.begin(connection)
            held: set[bytes] = set()
            for start in range(0, len(keys), _IN_ONE_SELECT):
                some = {"keys": keys[start : start + _IN_ONE_SELECT]}
                held.update(bytes(key) for key in connection.scalars(_HELD, some))
            rows: list[dict[str, Any]] = [
                {
                    "code_key": key,
                    "code": seal(digits.encode(), places.pooled_code(key, now)),
                    "allotted_at": now,
                }
                for key, digits in codes.items()
                if key not in held
            ]
            if rows:
                for row in rows:
                    changes.add("code_pool", code_message(row["code"], None, None))
                connection.execute(insert(CODE_POOL), rows)
                changes.write(connection)
            connection.execute(
                update(CODE_REQUEST)
                .where(CODE_REQUEST.c.request_id == request_id)
                .values(answered_at=now)
            )
        return [PooledCode(key, digits) for key, digits in codes.items() if key not in held]

    def _tell(self) -> None:
        self._progress.move(codes_available=self.available)
