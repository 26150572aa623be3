"""Revocation for tests: a check that knows of none, and lists of authorities made in memory."""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from juki.custody.port import RevocationSource
from juki.domain.errors import Reason
from juki.revocation.book import RevocationBook
from juki.revocation.lists import CertificateFacts
from juki.revocation.spreading import OwnList
from tests.custody_fixtures import TrustDomain


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
