"""The lookup index in LMDB on memory-backed storage: keys to ordinals to wire bytes.

Derived from the register and rebuilt at every start. A rebuild goes to an environment of its own
(a generation) and is swapped in whole; updates are one transaction per call, so that a lookup sees
all of a commit or nothing of it. Readers hold no lock and are never held up by the writer.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import lmdb

from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.domain.four_items import FourItems
from juki.domain.outcome import Outcome
from juki.domain.residency import ResidencyStatus
from juki.domain.search_keys import four_items_key, four_items_key_under, name_keys
from juki.index.memory_backed import require_memory_backed
from juki.index.port import PersonState
from juki.index.reading import LookedUp
from juki.index.wire import (
    FOUR_ITEMS_KEY_BYTES,
    NUMBER_KEY,
    FieldMask,
    PersonKeys,
    is_disputed,
    keys_of_value,
    pack_value,
)
from juki.v1 import identification_pb2
from juki.wire import four_items_from_proto

DEFAULT_MAP_BYTES: Final = 64 * 1024**3
"""Address space reserved, not memory used: about 400 bytes a person are."""

_GENERATION: Final = "generation-"
_STATES_PER_TRANSACTION: Final = 10_000
_NOBODY: Final = bytes(NUMBER_KEY.size)
_ORDINAL_BYTES: Final = NUMBER_KEY.size


@dataclass(frozen=True, slots=True)
class _Generation:
    """One environment and its databases; closed when the last who reads it lets go."""

    environment: Any
    persons: Any
    codes: Any
    numbers: Any
    four_items: Any


class LmdbIndex:
    """`PersonIndex` and `PersonReader`; one process, any number of threads."""

    def __init__(
        self,
        directory: Path,
        *,
        map_bytes: int = DEFAULT_MAP_BYTES,
        maximum_readers: int = 1024,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """Takes `directory` (created 0700) for itself and wipes what an earlier run left in it.

        Raises JukiError (CONFIGURATION_INVALID) unless it is on memory-backed storage.
        """
        require_memory_backed(directory)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        for left in directory.glob(f"{_GENERATION}*"):
            shutil.rmtree(left)
        self._directory = directory
        self._map_bytes = map_bytes
        self._maximum_readers = maximum_readers
        # Keyed, so that the hashes of known people's four items cannot be looked for in a dump.
        self._four_items_key = random(32)
        self._writing = threading.Lock()
        self._made = 0
        self._current: _Generation | None = None
        self._path: Path | None = None

    def rebuild(self, states: Iterable[PersonState]) -> int:
        """See `PersonIndex.rebuild`. Lookups see the old content until the new one is whole."""
        with self._writing:
            self._made += 1
            path = self._directory / f"{_GENERATION}{self._made}"
            count = 0
            try:
                made = self._open(path)
                remaining = iter(states)
                while batch := list(islice(remaining, _STATES_PER_TRANSACTION)):
                    with made.environment.begin(write=True) as transaction:
                        for state in batch:
                            self._put(transaction, made, state)
                    count += len(batch)
            except BaseException:
                shutil.rmtree(path, ignore_errors=True)
                raise
            old, self._current, self._path = self._path, made, path
            if old is not None:
                shutil.rmtree(old)  # who still reads the old files has them open
            return count

    def apply(self, states: Sequence[PersonState], removed: Sequence[int]) -> None:
        """See `PersonIndex.apply`; one transaction. Raises as `PersonReader` before a rebuild."""
        with self._writing:
            current = self._ready()
            with current.environment.begin(write=True) as transaction:
                for ordinal in removed:
                    self._remove(transaction, current, ordinal)
                for state in states:
                    self._put(transaction, current, state)

    def count(self) -> int:
        """How many persons it holds."""
        current = self._ready()
        with current.environment.begin() as transaction:
            return int(transaction.stat(current.persons)["entries"])

    def close(self) -> None:
        """Forgets everything and wipes the files."""
        with self._writing:
            self._current = None
            if self._path is not None:
                shutil.rmtree(self._path, ignore_errors=True)
                self._path = None

    def by_individual_number(self, numbers: Sequence[int], mask: FieldMask) -> LookedUp:
        """See `PersonReader`."""
        current = self._ready()
        return _look_up(current, current.numbers, _number_keys(numbers), mask, Outcome.DISPUTED)

    def by_resident_record_code(self, codes: Sequence[int], mask: FieldMask) -> LookedUp:
        """See `PersonReader`."""
        current = self._ready()
        return _look_up(current, current.codes, _number_keys(codes), mask, Outcome.DISPUTED)

    def by_four_items(self, items: Sequence[FourItems | None], mask: FieldMask) -> LookedUp:
        """See `PersonReader`."""
        current = self._ready()
        keys = [_NOBODY if one is None else self._hashed(four_items_key(one)) for one in items]
        return _look_up(current, current.four_items, keys, mask, Outcome.AMBIGUOUS)

    def _ready(self) -> _Generation:
        current = self._current
        if current is None:
            raise JukiError(Reason.STORE_UNAVAILABLE, "the lookup index is not built")
        return current

    def _open(self, path: Path) -> _Generation:
        path.mkdir(mode=0o700)
        environment = lmdb.open(
            str(path),
            map_size=self._map_bytes,
            max_dbs=4,
            max_readers=self._maximum_readers,
            mode=0o600,
            # Memory-backed and derived: there is nothing to be made durable.
            sync=False,
            metasync=False,
        )
        names = (b"persons", b"codes", b"numbers", b"four_items")
        return _Generation(environment, *(environment.open_db(name) for name in names))

    def _put(self, transaction: Any, into: _Generation, state: PersonState) -> None:
        ordinal = NUMBER_KEY.pack(state.ordinal)
        disputed = state.status is ResidencyStatus.DISPUTED
        keys = self._keys(state.claimed if disputed else (state.information,))
        old = transaction.get(ordinal, db=into.persons)
        had = keys_of_value(old) if old is not None else PersonKeys((), (), ())
        for database, before, after in _by_database(into, had, keys):
            for key in set(before) - set(after):
                _unlink(transaction, database, key, ordinal)
            for key in set(after) - set(before):
                _link(transaction, database, key, ordinal)
        value = pack_value(state.status, b"" if disputed else state.information, keys)
        transaction.put(ordinal, value, db=into.persons)

    def _remove(self, transaction: Any, into: _Generation, number: int) -> None:
        ordinal = NUMBER_KEY.pack(number)
        old = transaction.pop(ordinal, db=into.persons)
        if old is not None:
            for database, keys, _ in _by_database(into, keys_of_value(old), PersonKeys((), (), ())):
                for key in keys:
                    _unlink(transaction, database, key, ordinal)

    def _keys(self, informations: Iterable[bytes]) -> PersonKeys:
        codes: dict[bytes, None] = {}
        numbers: dict[bytes, None] = {}
        four_items: dict[bytes, None] = {}
        for serialised in informations:
            information = identification_pb2.IdentificationInformation.FromString(serialised)
            for text, keys in (
                (information.resident_record_code, codes),
                (information.individual_number, numbers),
            ):
                if text.isascii() and text.isdigit():
                    keys[NUMBER_KEY.pack(int(text))] = None
            for joint in _four_items_keys(information):
                four_items[self._hashed(joint)] = None
        return PersonKeys(tuple(codes), tuple(numbers), tuple(four_items))

    def _hashed(self, joint_key: str) -> bytes:
        return hashlib.blake2b(
            joint_key.encode(), digest_size=FOUR_ITEMS_KEY_BYTES, key=self._four_items_key
        ).digest()


def _look_up(
    current: _Generation,
    database: Any,
    keys: Sequence[bytes],
    mask: FieldMask,
    when_several: Outcome,
) -> LookedUp:
    """One snapshot for all keys. The hot path: two gets and a slice a person."""
    persons = current.persons
    cut, admits = mask.cut, mask.admits
    found, not_found, disputed = int(Outcome.FOUND), int(Outcome.NOT_FOUND), int(Outcome.DISPUTED)
    ordinals: list[bytes] = []
    outcomes = bytearray()
    information: list[bytes] = []
    with current.environment.begin() as transaction:
        get = transaction.get
        for key in keys:
            ordinal = get(key, None, database)
            given = b""
            if ordinal is None:
                ordinal, outcome = _NOBODY, not_found
            elif len(ordinal) != _ORDINAL_BYTES:
                ordinal, outcome = _NOBODY, int(when_several)
            else:
                value = get(ordinal, None, persons)
                if admits is not None and not admits(ordinal, value):
                    ordinal, outcome = _NOBODY, not_found
                elif is_disputed(value):
                    outcome = disputed
                else:
                    outcome = found
                    given = cut(value)
            ordinals.append(ordinal)
            outcomes.append(outcome)
            information.append(given)
    return LookedUp(b"".join(ordinals), bytes(outcomes), information)


def _number_keys(values: Sequence[int]) -> list[bytes]:
    pack = NUMBER_KEY.pack
    return [pack(value) for value in values]


def _four_items_keys(
    information: identification_pb2.IdentificationInformation,
) -> Iterator[str]:
    """Under every name the person goes by; none where a disputed claim says the impossible."""
    try:
        items = four_items_from_proto(information)
    except InvalidValue:
        return
    for name in name_keys(items.name):
        yield four_items_key_under(name, items)


def _by_database(
    into: _Generation, before: PersonKeys, after: PersonKeys
) -> tuple[tuple[Any, tuple[bytes, ...], tuple[bytes, ...]], ...]:
    return (
        (into.codes, before.codes, after.codes),
        (into.numbers, before.numbers, after.numbers),
        (into.four_items, before.four_items, after.four_items),
    )


def _link(transaction: Any, database: Any, key: bytes, ordinal: bytes) -> None:
    """Adds the person to those the key leads to."""
    linked = transaction.get(key, b"", db=database)
    transaction.put(key, linked + ordinal, db=database)


def _unlink(transaction: Any, database: Any, key: bytes, ordinal: bytes) -> None:
    """Takes the person from those the key leads to; the key goes with its last one."""
    linked = transaction.get(key, b"", db=database)
    remaining = [
        linked[at : at + _ORDINAL_BYTES]
        for at in range(0, len(linked), _ORDINAL_BYTES)
        if linked[at : at + _ORDINAL_BYTES] != ordinal
    ]
    if remaining:
        transaction.put(key, b"".join(remaining), db=database)
    else:
        transaction.delete(key, db=database)
