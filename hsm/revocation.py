"""Revocation lists of an issuing authority, signed in the token (RFC 5280 section 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from hsm.authority import Issuer
from hsm.authority_record import AuthorityFacts, AuthorityRecord, Revocation, key_id_of
from juki.domain.errors import JukiError, Reason

REASONS = {reason.value: reason for reason in x509.ReasonFlags}
"""Names of RFC 5280 section 5.3.1; two of them are no reasons to revoke for good."""
_NOT_FOR_GOOD = ("certificateHold", "removeFromCRL")
_SERIALS_END = 2**159
"""20 octets of a signed integer (RFC 5280 section 4.1.2.2)."""


@dataclass(frozen=True)
class RevocationSettings:
    """How long lists last."""

    validity: timedelta = timedelta(hours=24)
    """From thisUpdate to nextUpdate: so long a network that hears nothing new goes on."""
    renewal: timedelta = timedelta(hours=1)
    """A list this old is signed anew when it is next asked for."""


@dataclass(frozen=True)
class MadeList:
    """A signed list and what the request newly revoked."""

    list_der: bytes
    newly_revoked: tuple[int, ...] = ()


class RevocationDesk:
    """Revokes and signs lists from the authority's record.

    The newest list lies in a file beside the record, so that whoever asks gets the same one; it is
    a copy only: every verifier checks its signature, and a list that the record has outrun is
    signed anew.
    """

    def __init__(
        self, record_file: Path, settings: RevocationSettings, clock: Callable[[], datetime]
    ) -> None:
        self._record = AuthorityRecord(record_file)
        self._directory = record_file.parent
        self._settings = settings
        self._clock = clock

    def current(self, issuer: Issuer) -> MadeList:
        """The newest list, signed anew where it is due."""
        key_id = key_id_of(issuer.chain[0])
        with self._record.locked() as record:
            facts = record.facts(key_id)
            held = self._held(key_id, facts)
            if held is not None:
                return MadeList(held)
            number = self._next_number(facts)
            record.numbered(key_id, number)
            return MadeList(self._sign(issuer, key_id, facts, number))

    def revoke(
        self, issuer: Issuer, identity: str, serial_numbers: Sequence[bytes], reason: str
    ) -> MadeList:
        """Revoke for good, and sign a new list at once.

        Raises INVALID_FIELD for an unknown reason or a malformed serial number, RECORD_NOT_FOUND
        where the identity has no certificate on record here: name its certificates then.
        """
        if reason not in REASONS or reason in _NOT_FOR_GOOD:
            raise JukiError(Reason.INVALID_FIELD, "no reason to revoke for good has this name")
        numbers = [int.from_bytes(serial) for serial in serial_numbers]
        # Once on record it would be in every list to come, and no list could be signed.
        if any(not 0 < number < _SERIALS_END for number in numbers):
            raise JukiError(Reason.INVALID_FIELD, "a serial number is positive, in 159 bits")
        now = self._clock().replace(microsecond=0)
        key_id = key_id_of(issuer.chain[0])
        with self._record.locked() as record:
            facts = record.facts(key_id)
            serials = dict.fromkeys(numbers)
            if identity:
                named = [
                    serial
                    for serial, (whose, end) in facts.certified.items()
                    if whose == identity and end >= now
                ]
                if not named:
                    raise JukiError(
                        Reason.RECORD_NOT_FOUND, "no certificate of this identity is on record here"
                    )
                serials |= dict.fromkeys(named)
            if not serials:
                raise JukiError(Reason.INVALID_FIELD, "nothing is named to be revoked")
            fresh = tuple(serial for serial in serials if serial not in facts.revoked)
            record.revoked(key_id, (Revocation(serial, reason, now) for serial in fresh))
            number = self._next_number(facts)
            record.numbered(key_id, number)
            return MadeList(self._sign(issuer, key_id, facts, number), fresh)

    def certified(self, issuer: Issuer, made: x509.Certificate, identity: str) -> None:
        """Put a certificate on record, so that it can be revoked by its identity."""
        with self._record.locked() as record:
            record.certified(key_id_of(issuer.chain[0]), made, identity)

    def _next_number(self, facts: AuthorityFacts) -> int:
        """Higher than any before, also where the record was restored from a backup."""
        return max(facts.last_number + 1, int(self._clock().timestamp()))

    def _held(self, key_id: bytes, facts: AuthorityFacts) -> bytes | None:
        """The list in the file, if it is the record's last and not yet due."""
        try:
            der = self._list_file(key_id).read_bytes()
            held = x509.load_der_x509_crl(der)
            number = held.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        except (OSError, ValueError, x509.ExtensionNotFound):
            return None
        if number != facts.last_number or len(held) != len(facts.revoked):
            return None
        now = self._clock()
        age = now - held.last_update_utc
        if not timedelta(0) <= age < self._settings.renewal or held.next_update_utc is None:
            return None
        # Settings that were made shorter count at once.
        return der if held.next_update_utc <= now + self._settings.validity else None

    def _sign(self, issuer: Issuer, key_id: bytes, facts: AuthorityFacts, number: int) -> bytes:
        now = self._clock().replace(microsecond=0)
        certificate = issuer.chain[0]
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(certificate.subject)
            .last_update(now)
            .next_update(now + self._settings.validity)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                    certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
                ),
                critical=False,
            )
        )
        for one in facts.revoked.values():
            entry = x509.RevokedCertificateBuilder().serial_number(one.serial)
            entry = entry.revocation_date(one.at)
            if one.reason != x509.ReasonFlags.unspecified.value:
                # RFC 5280 section 5.3.1: "unspecified" is said by leaving the reason out.
                entry = entry.add_extension(x509.CRLReason(REASONS[one.reason]), critical=False)
            builder = builder.add_revoked_certificate(entry.build())
        der = builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)
        file = self._list_file(key_id)
        unfinished = file.with_name(file.name + ".new")
        unfinished.write_bytes(der)
        unfinished.rename(file)
        return der

    def _list_file(self, key_id: bytes) -> Path:
        return self._directory / f"revocation-list-{key_id.hex()[:16]}.der"
