"""The generations of each class of keys: which there are, which is in use, noticed while running.

A generation is put in use by one file beside the certificates: its chain (`signing.2.pem`), or
`wrapping.2.ready` for a key that has no certificate. Whoever makes it writes that file last and
whole, so that there is no moment at which half of it counts. A generation with a file
`signing.1.retired` is used for nothing any more; its chain stays, for those who verify.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog
from cryptography import x509

from hsm.certificates import chain_file, read_chain
from hsm.token import Token
from juki.custody.naming import KeyName, token_label
from juki.custody.port import KeyGenerations
from juki.domain.errors import JukiError, Reason

LOOK_AGAIN_SECONDS = 1.0
"""A new generation is in use about this long after its file was written."""
_FILE = re.compile(r"([a-z0-9-]+)(?:\.([1-9][0-9]{0,5}))?\.(pem|ready|retired)")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class GenerationFiles:
    """What the files say of one class of keys."""

    made: tuple[int, ...]
    """Generations with a chain or a mark that they are ready, ascending; the first always counts,
    since its key was made before its certificate."""
    retired: tuple[int, ...]

    @property
    def current(self) -> int:
        """The generation in use, if the token holds its key."""
        return max(set(self.made) - set(self.retired), default=self.made[-1])


def generation_files(folder: Path, key_class: str) -> GenerationFiles:
    """The generations of a class, by the files of a host's `certificates` folder."""
    found = [match for match in map(_FILE.fullmatch, _names(folder)) if match]
    mine = [(int(match[2] or 1), match[3]) for match in found if match[1] == key_class]
    return GenerationFiles(
        tuple(sorted({1, *(number for number, kind in mine if kind != "retired")})),
        tuple(sorted({number for number, kind in mine if kind == "retired"})),
    )


def current_label(folder: Path, key_class: str) -> str:
    """The label in the token of the generation that the files put in use."""
    return token_label(key_class, generation_files(folder, key_class).current)


def ready_file(folder: Path, label: str) -> Path:
    """What puts a generation without certificates in use."""
    return folder / f"{label}.ready"


def retired_file(folder: Path, key_class: str, generation: int) -> Path:
    """What takes a generation out of use; with its number also for the first."""
    return folder / f"{key_class}.{generation}.retired"


@dataclass(frozen=True)
class _Class:
    current: int
    usable: tuple[int, ...]
    chains: dict[int, tuple[x509.Certificate, ...]]
    settled: bool
    """Whether the token held every key that the files name."""


class Generations:
    """The generations of the keys that callers of a custody may use; looks again each second."""

    def __init__(
        self,
        token: Token,
        folder: Path,
        classes: Iterable[str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises CONFIGURATION_INVALID where a class has no key, one that could leave the token,
        or a chain of another key."""
        self._token = token
        self._folder = folder
        self._monotonic = monotonic
        self._seen = _listing(folder)
        self._classes = {one: self._read(one) for one in sorted(set(classes))}
        self._look_at = monotonic() + LOOK_AGAIN_SECONDS

    def label(self, name: KeyName) -> str:
        """The label in the token of the key that a caller names; raises INVALID_FIELD."""
        self._look_again()
        wanted, known = name.generation, self._class(name)
        if wanted is not None and wanted not in known.usable:
            # It may have been made a moment ago: another worker may have told the caller of it.
            self._look_again(at_once=True)
            known = self._class(name)
            if wanted not in known.usable:
                raise JukiError(
                    Reason.INVALID_FIELD, "the token does not hold this generation of the key"
                )
        return token_label(name.key_class, known.current if wanted is None else wanted)

    def chain(self, name: KeyName) -> tuple[KeyName, tuple[x509.Certificate, ...]]:
        """The generation named, and its certificates, also of a key destroyed since."""
        self._look_again()
        wanted, known = name.generation, self._class(name)
        if wanted is not None and wanted not in known.chains:
            self._look_again(at_once=True)
            known = self._class(name)
        number = known.current if wanted is None else wanted
        chain = known.chains.get(number)
        if chain is None:
            raise JukiError(Reason.CONFIGURATION_INVALID, "this key has no certificate")
        return KeyName(name.key_class, number), chain

    def describe(self, key_class: str) -> KeyGenerations:
        """What a caller is told of a class, and what revoking goes by.

        As the files are now: an authority rotated a moment ago may have certified by its new key
        in another process, and revoking must reach that certificate too.
        """
        self._look_again(at_once=True)
        known = self._class(KeyName.parse(key_class))

        def names(numbers: Iterable[int]) -> tuple[str, ...]:
            return tuple(f"{key_class}.{number}" for number in sorted(numbers))

        (current,) = names([known.current])
        return KeyGenerations(current, names(known.usable), names(known.chains))

    def _class(self, name: KeyName) -> _Class:
        try:
            return self._classes[name.key_class]
        except KeyError:
            raise JukiError(
                Reason.KEY_USE_NOT_PERMITTED, "this caller may not use this key for that"
            ) from None

    def _look_again(self, *, at_once: bool = False) -> None:
        if not at_once and self._monotonic() < self._look_at:
            return
        self._look_at = self._monotonic() + LOOK_AGAIN_SECONDS
        listing = _listing(self._folder)
        settled = all(one.settled for one in self._classes.values())
        if listing == self._seen and settled:
            return
        for key_class, before in self._classes.items():
            try:
                found = self._read(key_class)
            except JukiError as error:
                # What was in use goes on being used: a bad file must not end custody.
                _log.error("generation refused", key=key_class, why=error.message)
                found = before
            if found.current != before.current:
                _log.info("generation in use", key=key_class, generation=found.current)
            self._classes[key_class] = found
        self._seen = listing

    def _read(self, key_class: str) -> _Class:
        files = generation_files(self._folder, key_class)
        usable, chains = [], {}
        for number in files.made:
            label = token_label(key_class, number)
            file = chain_file(self._folder, label)
            chain = read_chain(file) if file.exists() else None
            if chain is not None:
                chains[number] = chain
            if number in files.retired or not self._token.has_key(label):
                continue
            self._token.refuse_extractable(label)
            if chain is not None and chain[0].public_key() != self._token.public_key(label):
                raise JukiError(
                    Reason.CONFIGURATION_INVALID, f"{file} certifies another key than the token's"
                )
            usable.append(number)
        if not usable:
            raise JukiError(
                Reason.CONFIGURATION_INVALID, f"the token holds no key labelled {key_class!r}"
            )
        settled = len(usable) == len(set(files.made) - set(files.retired))
        return _Class(usable[-1], tuple(usable), chains, settled)


def _names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()] if folder.is_dir() else []


def _listing(folder: Path) -> frozenset[tuple[str, int, int]]:
    """Names, times and inodes: files are put in place by renaming, never written in place."""
    if not folder.is_dir():
        return frozenset()
    found = []
    for file in folder.iterdir():
        try:
            state = file.stat()
        except FileNotFoundError:  # renamed in between
            continue
        found.append((file.name, state.st_mtime_ns, state.st_ino))
    return frozenset(found)
