"""Every authority's newest revocation list, and the one question: is this certificate revoked?

A list takes effect in memory first and is then made durable. It never goes back: a lower number,
another list of the same number, or a list that forgets a revocation is refused, also after a
restart.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import structlog
from sqlalchemy import Engine, select

from juki.domain.errors import JukiError, Reason
from juki.revocation.lists import CertificateFacts, RevocationList, facts_of_pem, read_list
from juki.revocation.tables import revocation_list
from juki.store.upsert import upsert
from juki.v1 import revocation_pb2 as pb

_LOG: Final = structlog.get_logger(__name__)

Clock = Callable[[], datetime]
"""Gives the current instant, aware, in UTC."""


class RevocationBook:
    """The lists of one server; safe for many threads, and asking takes no lock."""

    def __init__(self, engine: Engine | None, roots_der: Iterable[bytes], clock: Clock) -> None:
        """`engine` is a database whose schema has `juki.revocation.tables`; None keeps nothing."""
        self._engine = engine
        self._roots = tuple(roots_der)
        self._clock = clock
        self._lists: Mapping[bytes, RevocationList] = {}
        self._unstored: dict[bytes, RevocationList] = {}
        self._lock = threading.Lock()
        self._listeners: list[Callable[[RevocationList], None]] = []

    def load(self) -> None:
        """Takes in the lists stored before; one whose authority has ended since is left."""
        if self._engine is None:
            return
        with self._engine.connect().execution_options(read_only=True) as connection:
            rows = connection.execute(select(revocation_list.c.signed)).all()
        for row in rows:
            signed = pb.SignedRevocationList.FromString(bytes(row.signed))
            try:
                one = read_list(signed, self._roots, self._clock())
            except JukiError as error:
                _LOG.warning("stored_revocation_list_left", reason=error.reason.value)
                continue
            with self._lock:
                self._lists = {**self._lists, one.issuer_key_id: one}

    def on_change(self, listener: Callable[[RevocationList], None]) -> None:
        """Calls `listener` after each list taken in; it must not raise."""
        self._listeners.append(listener)

    def accept(self, signed: pb.SignedRevocationList) -> bool:
        """Takes a list in; whether it is new here.

        Raises CRL_REFUSED where it does not verify or would go back behind what is held.
        """
        one = read_list(signed, self._roots, self._clock())
        with self._lock:
            held = self._lists.get(one.issuer_key_id)
            if held is not None:
                if held.number == one.number and held.signed.list == signed.list:
                    return False
                _refuse_going_back(held, one)
            self._lists = {**self._lists, one.issuer_key_id: one}
            self._unstored[one.issuer_key_id] = one
        # First what is refused from now on, then what is durable.
        for listener in self._listeners:
            listener(one)
        self.store_pending()
        return True

    def store_pending(self) -> None:
        """Makes durable what could not be before. Raises STORE_UNAVAILABLE."""
        with self._lock:
            pending = list(self._unstored.values())
        for one in pending:
            self._store(one)
            with self._lock:
                if self._unstored.get(one.issuer_key_id) is one:
                    del self._unstored[one.issuer_key_id]

    def lists(self) -> Iterable[RevocationList]:
        """The newest list of each authority."""
        return self._lists.values()

    def numbers(self) -> dict[bytes, int]:
        """The number of each authority's newest list, by its key id."""
        return {key_id: one.number for key_id, one in self._lists.items()}

    def newer_than(self, numbers: Mapping[bytes, int]) -> list[RevocationList]:
        """The lists that whoever holds these numbers has not seen."""
        return [one for key_id, one in self._lists.items() if one.number > numbers.get(key_id, 0)]

    def refuse_revoked(
        self,
        facts: CertificateFacts,
        identity: str,
        reason: Reason = Reason.IDENTITY_REVOKED,
        *,
        must_be_fresh: bool = True,
    ) -> None:
        """Returns for a certificate of `identity` that is known not to be revoked.

        Raises `reason` where it is revoked; with `must_be_fresh` also CRL_UNKNOWN where no list
        speaks of it and CRL_STALE where the list is past its next update.
        """
        one = self._lists.get(facts.issuer_key_id)
        if one is None or urlsplit(identity).hostname not in one.hosts:
            if must_be_fresh:
                raise JukiError(
                    Reason.CRL_UNKNOWN, "no revocation list of the certificate's authority is here"
                )
            return
        if facts.serial in one.revoked:
            raise JukiError(reason, "the certificate has been revoked")
        if must_be_fresh and self._clock() > one.next_update:
            raise JukiError(
                Reason.CRL_STALE,
                "the revocation list of the certificate's authority is past its next update",
                {"authority": one.authority},
            )

    def refuse_caller(self, certificate: bytes, identity: str, *, must_be_fresh: bool) -> None:
        """See `juki.rpc.revocation_check.RevocationCheck`."""
        self.refuse_revoked(facts_of_pem(certificate), identity, must_be_fresh=must_be_fresh)

    def revoked_at(self, facts: CertificateFacts) -> datetime | None:
        """When the certificate was revoked, if it is."""
        one = self._lists.get(facts.issuer_key_id)
        return None if one is None else one.revoked.get(facts.serial)

    def refuse_stale(self, host: str) -> None:
        """Raises CRL_UNKNOWN or CRL_STALE unless a fresh list covers identities of this host."""
        ends = [one.next_update for one in self._lists.values() if host in one.hosts]
        if not ends:
            raise JukiError(Reason.CRL_UNKNOWN, "no revocation list of the own authority is here")
        if max(ends) < self._clock():
            raise JukiError(Reason.CRL_STALE, "the own authority's revocation list is stale")

    def _store(self, one: RevocationList) -> None:
        if self._engine is None:
            return
        row = {
            "issuer_key_id": one.issuer_key_id,
            "number": one.number,
            "signed": one.signed.SerializeToString(),
        }
        with self._engine.begin() as connection:
            stored = connection.scalar(
                select(revocation_list.c.number).where(
                    revocation_list.c.issuer_key_id == one.issuer_key_id
                )
            )
            # Two lists may be on their way to the database at once.
            if stored is None or stored < one.number:
                upsert(connection, revocation_list, [row])


def _refuse_going_back(held: RevocationList, one: RevocationList) -> None:
    if one.number <= held.number:
        raise JukiError(
            Reason.CRL_REFUSED,
            "a revocation list is older than the one held, or differs from it",
            {"authority": held.authority},
        )
    if not held.revoked.keys() <= one.revoked.keys():
        raise JukiError(
            Reason.CRL_REFUSED,
            "a revocation list forgets a revocation",
            {"authority": held.authority},
        )
