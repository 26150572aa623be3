"""Certificates of the keys that sign notifications and receipts, verified once and kept."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection, Engine, insert, select

from juki.custody.verify import fingerprint, verify_chain, verify_signature
from juki.domain.errors import JukiError, Reason
from juki.register import tables as t
from juki.revocation.lists import CertificateFacts, facts_of_der
from juki.store.upsert import upsert

LEARNING_TIME: Final = datetime.timedelta(seconds=60)
"""How long after a revocation a receipt of the tier below still counts as given before it.

It had to learn of the revocation first, which takes seconds; what it accepted meanwhile stands in
the middle of a stream and cannot be taken out again.
"""

Clock = Callable[[], datetime.datetime]
"""Gives the current instant, aware, in UTC."""


class SignerRevocation(Protocol):
    """What the directory asks of the server's `juki.revocation.book.RevocationBook`."""

    def refuse_revoked(self, facts: CertificateFacts, identity: str, reason: Reason) -> None:
        """Raises `reason` for a revoked certificate, CRL_UNKNOWN or CRL_STALE."""
        ...

    def revoked_at(self, facts: CertificateFacts) -> datetime.datetime | None:
        """When the certificate was revoked, if it is."""
        ...


@dataclass(frozen=True, slots=True)
class Signer:
    """A signing key whose chain was verified to the root."""

    key_id: bytes
    identity: str
    public_key: ec.EllipticCurvePublicKey
    certificate: bytes
    issuers: bytes
    """The chain above the leaf, DER after DER."""

    not_after: datetime.datetime
    facts: CertificateFacts
    """Of the certificate, for revocation lists."""


class SignerDirectory:
    """Verified signers by key id; those first seen are stored with the evidence they sign.

    Revocation is asked about at each use, when something signed arrives: what was taken in before
    its signer was revoked stays good, and its certificate stays here.
    """

    def __init__(self, roots_der: list[bytes], clock: Clock, revocation: SignerRevocation) -> None:
        self._roots = roots_der
        self._clock = clock
        self._revocation = revocation
        self._signers: dict[bytes, Signer] = {}
        self._stored: set[bytes] = set()
        """Leaf certificates."""

    def load(self, engine: Engine) -> None:
        """Takes in the signers stored before, but for those that are no longer in force.

        An expired certificate stays in the table as evidence; it must not keep a server from
        starting.
        """
        with engine.connect() as connection:
            rows = connection.execute(select(t.signing_certificate)).all()
        now = self._clock()
        for row in rows:
            chain = [bytes(row.certificate), *split_der(bytes(row.issuer_certificates))]
            if any(_ended(certificate, now) for certificate in chain):
                continue
            signer = self._verify(chain, row.identity)
            self._signers[signer.key_id] = signer
            self._stored.add(signer.certificate)

    def find(
        self,
        key_id: bytes,
        identity: str,
        presented: Sequence[bytes],
        arrived_at: datetime.datetime | None = None,
    ) -> Signer:
        """The signer with `key_id`, which must belong to `identity` and may sign now.

        `arrived_at` says when a tier that is trusted with it received what was signed; None: now.
        What arrived before its signer's revocation is good.

        Raises:
            JukiError: UNKNOWN_SIGNING_KEY when no certificate of it is known or presented, or its
                chain does not hold; SIGNER_MISMATCH when it belongs to someone else;
                SIGNER_REVOKED; CRL_UNKNOWN or CRL_STALE when that cannot be told.
        """
        signer = self._signers.get(key_id)
        # Never seen, expired or revoked: the same key may have been certified anew.
        if (
            signer is None
            or signer.not_after < self._clock()
            or self._has_successor(signer, presented)
        ):
            chain = _chain_of(key_id, presented)
            signer = self._verify(chain, identity)
            self._signers[key_id] = signer
        if signer.identity != identity:
            raise JukiError(Reason.SIGNER_MISMATCH, "the signing key belongs to another identity")
        revoked_at = self._revocation.revoked_at(signer.facts)
        if arrived_at is None or revoked_at is None or arrived_at > revoked_at + LEARNING_TIME:
            self._revocation.refuse_revoked(signer.facts, identity, Reason.SIGNER_REVOKED)
        return signer

    def knows_revoked(self, key_ids: Iterable[bytes]) -> bool:
        """Whether one of these keys' certificates is revoked."""
        found = (self._signers.get(key_id) for key_id in key_ids)
        return any(one and self._revocation.revoked_at(one.facts) is not None for one in found)

    def _has_successor(self, signer: Signer, presented: Sequence[bytes]) -> bool:
        """Whether the signer's certificate is revoked and another one of its key is presented."""
        return (
            self._revocation.revoked_at(signer.facts) is not None
            and bool(presented)
            and signer.certificate not in presented
        )

    def store(self, connection: Connection, signers: Iterable[Signer]) -> None:
        """Keeps the signers' certificates beside the evidence they signed; then call `stored`."""
        fresh = [one for one in signers if one.certificate not in self._stored]
        upsert(
            connection,
            t.signing_certificate,
            [
                {
                    "key_id": signer.key_id,
                    "identity": signer.identity,
                    "certificate": signer.certificate,
                    "issuer_certificates": signer.issuers,
                }
                for signer in fresh
            ],
        )
        for signer in fresh:
            archive_certificate(connection, signer.key_id, signer.certificate, signer.issuers)

    def stored(self, signers: Iterable[Signer]) -> None:
        """Says, after the commit, that these need not be stored again."""
        self._stored.update(signer.certificate for signer in signers)

    def _verify(self, chain: list[bytes], identity: str) -> Signer:
        verified = verify_chain(chain, self._roots, self._clock(), identity)
        return Signer(
            verified.key_id,
            verified.identity,
            verified.public_key,
            chain[0],
            b"".join(chain[1:]),
            verified.not_after,
            facts_of_der(chain[0]),
        )


def check_signature(signer: Signer, digest: bytes, signature: bytes) -> None:
    """Raises JukiError SIGNATURE_INVALID unless `signature` over `digest` is the signer's."""
    if not verify_signature(signer.public_key, digest, signature):
        raise JukiError(Reason.SIGNATURE_INVALID, "the signature does not verify")


def archive_certificate(
    connection: Connection, key_id: bytes, certificate: bytes, issuers: bytes
) -> None:
    """Keeps a certificate for good, beside others of the same key; once is enough."""
    print_ = hashlib.sha256(certificate).digest()
    table = t.archived_certificate
    if connection.scalar(select(table.c.key_id).where(table.c.fingerprint == print_)) is None:
        connection.execute(
            insert(table).values(
                fingerprint=print_,
                key_id=key_id,
                certificate=certificate,
                issuer_certificates=issuers,
            )
        )


def stored_certificates(connection: Connection, key_ids: Collection[bytes]) -> list[bytes]:
    """DER certificates of these keys as they are stored, each leaf followed by its issuers."""
    if not key_ids:
        return []
    table = t.signing_certificate
    rows = connection.execute(select(table).where(table.c.key_id.in_(sorted(key_ids))))
    return [
        certificate
        for row in rows
        for certificate in (bytes(row.certificate), *split_der(bytes(row.issuer_certificates)))
    ]


def _ended(certificate: bytes, now: datetime.datetime) -> bool:
    return x509.load_der_x509_certificate(certificate).not_valid_after_utc < now


def split_der(joined: bytes) -> list[bytes]:
    """Certificates written one after the other, taken apart by their DER lengths."""
    parts = []
    while joined:
        length = joined[1]
        size = 2 + length
        if length & 0x80:
            count = length & 0x7F
            size = 2 + count + int.from_bytes(joined[2 : 2 + count], "big")
        parts.append(joined[:size])
        joined = joined[size:]
    return parts


def _chain_of(key_id: bytes, presented: Sequence[bytes]) -> list[bytes]:
    for position, certificate in enumerate(presented):
        try:
            if fingerprint(certificate) == key_id:
                return _issued_in_turn(presented[position:])
        except ValueError:
            break
    raise JukiError(
        Reason.UNKNOWN_SIGNING_KEY, "no certificate of the signing key is known or presented"
    )


def _issued_in_turn(presented: Sequence[bytes]) -> list[bytes]:
    """The first certificate and its issuers; chains of further keys may follow."""
    chain = [presented[0]]
    for certificate in presented[1:]:
        issuer = x509.load_der_x509_certificate(chain[-1]).issuer
        if x509.load_der_x509_certificate(certificate).subject != issuer:
            break
        chain.append(certificate)
    return chain
