"""Certificates of the keys that sign notifications and receipts, verified once and kept."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection, Engine, insert, select

from juki.custody.verify import fingerprint, verify_chain, verify_signature
from juki.domain.errors import JukiError, Reason
from juki.register import tables as t
from juki.store.upsert import upsert

Clock = Callable[[], datetime.datetime]
"""Gives the current instant, aware, in UTC."""


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


class SignerDirectory:
    """Verified signers by key id; those first seen are stored with the evidence they sign."""

    def __init__(self, roots_der: list[bytes], clock: Clock) -> None:
        self._roots = roots_der
        self._clock = clock
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

    def find(self, key_id: bytes, identity: str, presented: Sequence[bytes]) -> Signer:
        """The signer with `key_id`, which must belong to `identity`.

        Raises:
            JukiError: UNKNOWN_SIGNING_KEY when no certificate of it is known or presented, or its
                chain does not hold; SIGNER_MISMATCH when it belongs to someone else.
        """
        signer = self._signers.get(key_id)
        if signer is None or signer.not_after < self._clock():
            # Never seen, or expired: a certificate may have been renewed for the same key.
            chain = _chain_of(key_id, presented)
            signer = self._verify(chain, identity)
            self._signers[key_id] = signer
        if signer.identity != identity:
            raise JukiError(Reason.SIGNER_MISMATCH, "the signing key belongs to another identity")
        return signer

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
                return list(presented[position:])
        except ValueError:
            break
    raise JukiError(
        Reason.UNKNOWN_SIGNING_KEY, "no certificate of the signing key is known or presented"
    )
