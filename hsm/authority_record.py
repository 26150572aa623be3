"""What an issuing authority never forgets: what it certified, revoked, and how it numbered lists.

One file of JSON lines, only ever appended to, each line durable before it counts. Ceremonies and
custody write it under a lock of the file; what several processes wrote is read anew when the file
has grown.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from cryptography import x509

from juki.domain.errors import JukiError, Reason
from juki.durable import sync_directory


@dataclass(frozen=True, slots=True)
class Revocation:
    """One revoked certificate."""

    serial: int
    reason: str
    """As in RFC 5280 section 5.3.1, for example "keyCompromise"."""
    at: datetime
    """Aware, whole seconds."""


@dataclass(slots=True)
class AuthorityFacts:
    """What is on record of one issuing key."""

    certified: dict[int, tuple[str, datetime]] = field(default_factory=dict)
    """Serial number to the identity and the end of the certificate."""
    revoked: dict[int, Revocation] = field(default_factory=dict)
    last_number: int = 0
    """Of the newest revocation list begun."""


class AuthorityRecord:
    """The record of the issuing authority of one host; not for several threads at once."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read_to = 0
        self._facts: dict[str, AuthorityFacts] = {}

    @contextmanager
    def locked(self) -> Iterator[LockedRecord]:
        """The record for this process alone.

        Raises CONFIGURATION_INVALID where it is damaged, CUSTODY_UNAVAILABLE where it cannot be
        written.
        """
        is_new = not self._file.exists()
        with self._opened() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if is_new:
                self._file.chmod(0o600)
                sync_directory(self._file.parent)
            self._catch_up(file)
            yield LockedRecord(file, self)

    def _opened(self) -> BinaryIO:
        try:
            return self._file.open("a+b")
        except OSError as error:
            raise JukiError(
                Reason.CUSTODY_UNAVAILABLE,
                f"the authority's record cannot be written ({type(error).__name__})",
            ) from None

    def facts(self, issuer_key_id: bytes) -> AuthorityFacts:
        """What is known of an issuing key; only within `locked`."""
        return self._facts.setdefault(issuer_key_id.hex(), AuthorityFacts())

    def appended(self, lines: bytes, entries: Iterable[dict[str, Any]]) -> None:
        """Takes in what has just been written."""
        self._read_to += len(lines)
        for entry in entries:
            self._take_in(entry)

    def _catch_up(self, file: BinaryIO) -> None:
        size = file.seek(0, os.SEEK_END)
        if size < self._read_to:
            raise _damaged()
        if size == self._read_to:
            return
        file.seek(self._read_to)
        fresh = file.read()
        whole = fresh.rfind(b"\n") + 1
        if whole < len(fresh):
            # A line whose writer died in it: nobody was told that it counts.
            file.truncate(self._read_to + whole)
        for line in fresh[:whole].splitlines():
            try:
                self._take_in(json.loads(line))
            except (ValueError, KeyError, TypeError):
                raise _damaged() from None
        self._read_to += whole

    def _take_in(self, entry: dict[str, Any]) -> None:
        facts = self._facts.setdefault(entry["issuer"], AuthorityFacts())
        match entry["kind"]:
            case "certified":
                end = datetime.fromisoformat(entry["not_after"])
                facts.certified[int(entry["serial"], 16)] = (entry["identity"], end)
            case "revoked":
                serial, at = int(entry["serial"], 16), datetime.fromisoformat(entry["at"])
                facts.revoked[serial] = Revocation(serial, entry["reason"], at)
            case "numbered":
                facts.last_number = max(facts.last_number, int(entry["number"]))
            case _:
                raise ValueError


class LockedRecord:
    """Writes the record while its lock is held."""

    def __init__(self, file: BinaryIO, record: AuthorityRecord) -> None:
        self._file = file
        self._record = record

    def facts(self, issuer_key_id: bytes) -> AuthorityFacts:
        """What is on record of an issuing key."""
        return self._record.facts(issuer_key_id)

    def certified(self, issuer_key_id: bytes, made: x509.Certificate, identity: str) -> None:
        """Remembers a certificate, so that its identity can be revoked by name."""
        self._append(
            {
                "kind": "certified",
                "issuer": issuer_key_id.hex(),
                "serial": f"{made.serial_number:x}",
                "identity": identity,
                "not_after": made.not_valid_after_utc.isoformat(),
            }
        )

    def revoked(self, issuer_key_id: bytes, revocations: Iterable[Revocation]) -> None:
        """Remembers revocations; all are durable when this returns."""
        self._append(
            *(
                {
                    "kind": "revoked",
                    "issuer": issuer_key_id.hex(),
                    "serial": f"{one.serial:x}",
                    "reason": one.reason,
                    "at": one.at.isoformat(),
                }
                for one in revocations
            )
        )

    def numbered(self, issuer_key_id: bytes, number: int) -> None:
        """Remembers that a list with this number has begun to exist."""
        self._append({"kind": "numbered", "issuer": issuer_key_id.hex(), "number": number})

    def _append(self, *entries: dict[str, Any]) -> None:
        lines = b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)
        self._file.write(lines)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._record.appended(lines, entries)


def record_certified(
    file: Path, issuer: x509.Certificate, made: x509.Certificate, identity: str
) -> None:
    """Puts one certificate on the record in `file`."""
    with AuthorityRecord(file).locked() as record:
        record.certified(key_id_of(issuer), made, identity)


def key_id_of(issuer: x509.Certificate) -> bytes:
    """The subject key identifier of an authority: what its certificates and lists name it by."""
    return issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def _damaged() -> JukiError:
    return JukiError(Reason.CONFIGURATION_INVALID, "the authority's record is damaged")
