"""Revocation for tests: a check that knows of none, and lists of authorities made in memory."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hsm.authority_record import key_id_of
from hsm.revocation import MadeList, RevocationDesk, RevocationSettings
from juki.custody.port import RevocationSource
from juki.domain.errors import Reason
from juki.revocation.book import RevocationBook
from juki.revocation.lists import CertificateFacts
from juki.revocation.spreading import OwnList
from juki.v1 import revocation_pb2
from tests.custody_fixtures import TrustDomain
from tests.memory_custody import MemoryNetwork


class NothingRevoked:
    """Stands where a test is about something else and its authority has no lists."""

    def refuse_caller(self, certificate: bytes, identity: str, *, must_be_fresh: bool) -> None:
        """Nobody is refused."""

    def refuse_revoked(self, facts: CertificateFacts, identity: str, reason: Reason) -> None:
        """Nobody is refused."""

    def revoked_at(self, facts: CertificateFacts) -> datetime.datetime | None:
        """Never."""
        return None


def roots_der(domain: TrustDomain) -> list[bytes]:
    """The trust domain's root in DER."""
    return [
        one.public_bytes(Encoding.DER) for one in x509.load_pem_x509_certificates(domain.roots_pem)
    ]


def own_lists(custody: RevocationSource, domain: TrustDomain) -> RevocationBook:
    """A book in memory with the newest list of the host's own authority."""
    book = RevocationBook(None, roots_der(domain), lambda: datetime.datetime.now(datetime.UTC))
    OwnList(custody, book).take()
    return book


@dataclass
class SetClock:
    """Stands still but when it is moved."""

    now: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))

    def __call__(self) -> datetime.datetime:
        return self.now

    def advance(self, **by: float) -> None:
        """Moves on, for example by `hours=1`."""
        self.now += datetime.timedelta(**by)


class MemoryDesk:
    """The revocation desk of an issuing authority whose key is in memory."""

    def __init__(self, network: MemoryNetwork, host: str, directory: Path, clock: SetClock) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.record_file = directory / "authority.jsonl"
        self.issuer = network.issuers[host]
        self.key_id = key_id_of(self.issuer.chain[0])
        self._clock = clock
        self.start_again()

    def start_again(self) -> None:
        """As custody does when it is started."""
        self.desk = RevocationDesk(self.record_file, RevocationSettings(), self._clock)

    def current(self) -> revocation_pb2.SignedRevocationList:
        """The newest list, as servers pass it on."""
        return self.signed(self.desk.current(self.issuer))

    def revoke(
        self, *serials: int, identity: str = "", reason: str = "keyCompromise"
    ) -> revocation_pb2.SignedRevocationList:
        """The list after a revocation."""
        numbers = [serial.to_bytes((serial.bit_length() + 7) // 8) for serial in serials]
        return self.signed(self.desk.revoke(self.issuer, identity, numbers, reason))

    def signed(self, made: MadeList) -> revocation_pb2.SignedRevocationList:
        """A list with its authority's chain."""
        return revocation_pb2.SignedRevocationList(
            list=made.list_der,
            certificates=[one.public_bytes(Encoding.DER) for one in self.issuer.chain],
        )
