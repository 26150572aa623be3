"""Who may sign administrative acts: the officers that a server's operator has listed.

    [[officer]]
    identity = "spiffe://national.juki.example/officer/sato"
    certificates = ["sato.pem"]   # PEM, relative to this file; older certificates stay listed
    first_day = "2026-12-01"      # may be left out
    last_day = "2027-03-31"       # of the appointment; acts of later days are refused

Deny by default: who is not listed, or signs with a key that is not listed, has signed nothing. A
listing that is taken out takes the acts under it along: the server does not start any more. So an
officer who leaves gets a last day.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import Field

from juki.config import Configuration, load_config
from juki.custody.verify import fingerprint
from juki.domain.errors import JukiError, Reason
from juki.policy.acts.dates import Period, end_of, midnight

_ALWAYS = datetime.datetime.min.replace(tzinfo=datetime.UTC)
_IDENTITY = r"^spiffe://[a-z0-9.-]+/[A-Za-z0-9._/-]+$"


@dataclass(frozen=True, slots=True)
class Officer:
    """One officer."""

    identity: str
    key_ids: frozenset[bytes]
    """SHA-256 of the SubjectPublicKeyInfo of each key that is the officer's."""

    appointed: Period


class _OfficerEntry(Configuration):
    identity: str = Field(pattern=_IDENTITY)
    certificates: tuple[Path, ...] = Field(min_length=1)
    first_day: datetime.date | None = None
    last_day: datetime.date | None = None


class _OfficersFile(Configuration):
    officer: tuple[_OfficerEntry, ...] = Field(min_length=1)


def load_officers(path: Path) -> Mapping[str, Officer]:
    """Officers by identity.

    Raises JukiError (CONFIGURATION_INVALID) naming the file and what is wrong; a list without any
    officer is refused.
    """
    found: dict[str, Officer] = {}
    for entry in load_config(path, _OfficersFile).officer:
        if entry.identity in found:
            raise _invalid(path, f"{entry.identity} is listed twice")
        begins = _ALWAYS if entry.first_day is None else midnight(entry.first_day.isoformat())
        ends = None if entry.last_day is None else end_of(entry.last_day.isoformat())
        key_ids = frozenset(_key_id(path, one) for one in entry.certificates)
        for other in found.values():
            if other.key_ids & key_ids:
                # Two identities over one key would be one pair of eyes.
                raise _invalid(path, f"{entry.identity} has a key of {other.identity}")
        found[entry.identity] = Officer(entry.identity, key_ids, Period(begins, ends))
    return MappingProxyType(found)


def _key_id(path: Path, certificate: Path) -> bytes:
    try:
        chain = x509.load_pem_x509_certificates((path.parent / certificate).read_bytes())
        return fingerprint(chain[0].public_bytes(Encoding.DER))
    except (OSError, ValueError):
        raise _invalid(path, f"{certificate} holds no certificate that can be read") from None


def _invalid(path: Path, what: str) -> JukiError:
    return JukiError(Reason.CONFIGURATION_INVALID, f"{path.name}: {what}")
