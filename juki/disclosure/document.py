"""Puts together what is disclosed: records, change history and provisions, in the law's words."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

from juki.audit.persons.port import MAX_PAGE_ENTRIES, EntryPosition, History, HistoryEntry
from juki.disclosure import words
from juki.disclosure.held import HeldNotification, HeldPerson
from juki.domain.change import ChangeReason
from juki.domain.errors import InvalidValue
from juki.domain.person_request import japanese_day
from juki.policy.registry import Registry
from juki.register.held import HeldClaim
from juki.v1 import disclosure_pb2, identification_pb2, lookup_pb2

FORM_VERSION: Final = 1
DOCUMENT_PROVISIONS: Final = 300
"""Provisions in a document: with their proofs well below the 4 MiB of a message."""

CATCH_UP_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.05

Prove = Callable[[Sequence[HistoryEntry]], list[str]]
"""The inclusion proofs of entries as JSON; empty where the log has none yet."""


def no_proof(entries: Sequence[HistoryEntry]) -> list[str]:
    """A log that gives no proofs."""
    return [""] * len(entries)


@dataclass(frozen=True, slots=True)
class Discloser:
    """Who discloses: J-LIS or a governor."""

    name: str
    identity: str
    trust_domain: str
    registry: Callable[[], Registry]
    """Bodies and affairs as registered now."""


@dataclass(frozen=True, slots=True)
class ProvisionPage:
    """Entries, the newest first, and where the next page begins."""

    entries: Sequence[HistoryEntry]
    next_page_token: str
    complete_to: int


class DocumentMaker:
    """Makes the document of a person."""

    def __init__(
        self,
        discloser: Discloser,
        history: History,
        durable_to: Callable[[], int],
        prove: Prove = no_proof,
    ) -> None:
        """`durable_to` gives the sequence of the log's last durable record."""
        self._discloser = discloser
        self._history = history
        self._durable_to = durable_to
        self._prove = prove

    def document(
        self, request_id: str, person: HeldPerson | None, at: datetime.datetime
    ) -> disclosure_pb2.Disclosure:
        """What is disclosed; of nobody, that nothing is held (Art. 30-32(1))."""
        document = disclosure_pb2.Disclosure(
            form_version=FORM_VERSION,
            request_id=request_id,
            discloser=self._discloser.name,
            discloser_identity=self._discloser.identity,
            held=person is not None,
            changes_complete=True,
        )
        document.disclosed_at.FromDatetime(at)
        if person is None:
            return document
        document.residency_words = words.RESIDENCIES[person.status]
        claims = sorted(
            person.claims, key=lambda held: held.claim.municipality != person.municipality
        )
        document.records.extend(_record(held, person.municipality) for held in claims)
        document.changes.extend(_change(one) for one in person.notifications)
        document.changes_complete = person.complete
        page = self.provisions(person, DOCUMENT_PROVISIONS, "")
        document.provisions.extend(self.shown(page))
        document.next_page_token = page.next_page_token
        document.complete_to = page.complete_to
        return document

    def provisions(self, person: HeldPerson, limit: int, page_token: str) -> ProvisionPage:
        """A page of provisions; raises as `History` does.

        The first page is given once the index has caught up with the log as it is now. Should the
        index be longer about it than `CATCH_UP_SECONDS`, what it has is given, and `complete_to`
        says how far that is.
        """
        durable_to = 0 if page_token else self._durable_to()
        until = time.monotonic() + CATCH_UP_SECONDS
        while True:
            page = self._page(person, limit, page_token)
            if page.complete_to >= durable_to or time.monotonic() > until:
                return page
            time.sleep(_LOOK_SECONDS)

    def _page(self, person: HeldPerson, limit: int, page_token: str) -> ProvisionPage:
        """A page over all ordinals that are the person's.

        Where a person has several (they were taken for two once), their pages are merged by time:
        the token is the position before which the next page begins.
        """
        if len(person.ordinals) == 1:
            page = self._history.history(person.ordinal, limit=limit, page_token=page_token)
            return ProvisionPage(page.entries, page.next_page_token, page.complete_to)
        before = _position(page_token)
        found: dict[EntryPosition, HistoryEntry] = {}
        complete_to: list[int] = []
        more = False
        for ordinal in person.ordinals:
            token, own = "", 0
            while own <= limit:
                page = self._history.history(ordinal, limit=MAX_PAGE_ENTRIES, page_token=token)
                complete_to.append(page.complete_to)
                for entry in page.entries:
                    if before is None or entry.position < before:
                        found[entry.position] = entry
                        own += 1
                token = page.next_page_token
                if not token:
                    break
            more |= bool(token)
        newest = sorted(found.values(), key=lambda entry: entry.position, reverse=True)
        kept = newest[:limit]
        next_token = ""
        if kept and (more or len(newest) > limit):
            next_token = f"{kept[-1].position.sequence}.{kept[-1].position.index}"
        return ProvisionPage(kept, next_token, min(complete_to))

    def shown(self, page: ProvisionPage) -> list[disclosure_pb2.DisclosedProvision]:
        """The entries of a page in words, each with its proof; raises what proving does."""
        proofs = self._prove(page.entries)
        return [self._provision(e, p) for e, p in zip(page.entries, proofs, strict=True)]

    def _provision(self, entry: HistoryEntry, proof: str) -> disclosure_pb2.DisclosedProvision:
        discloser = self._discloser
        registry = discloser.registry()
        recipient, affair = words.affair(entry.article, entry.affair, registry)
        provision = disclosure_pb2.DisclosedProvision(
            body_identity=entry.body_identity,
            body_name=words.body(entry.body_identity, registry, discloser.trust_domain),
            office=entry.office,
            operator=entry.operator,
            article=entry.article,
            article_words=words.article(entry.article),
            affair=entry.affair,
            recipient_words=recipient,
            affair_words=affair,
            fields=cast("Sequence[lookup_pb2.Field.ValueType]", entry.given_fields),
            field_words=[words.FIELDS[field] for field in entry.given_fields],
            outcome=cast("lookup_pb2.LookupOutcome.ValueType", int(entry.outcome)),
            request_id=entry.request_id,
            log_sequence=entry.position.sequence,
            log_index=entry.position.index,
        )
        provision.time.FromNanoseconds(entry.time_unix_nanos)
        if proof:
            provision.proof.json = proof
        return provision


def calendar_date(day: datetime.date) -> identification_pb2.CalendarDate:
    """A date as a message."""
    return identification_pb2.CalendarDate(year=day.year, month=day.month, day=day.day)


def received_day(at: datetime.datetime) -> identification_pb2.CalendarDate:
    """The day in Japan of an instant, as a message."""
    return calendar_date(japanese_day(at))


def _record(held: HeldClaim, current: str) -> disclosure_pb2.HeldRecord:
    municipality = held.claim.municipality
    information = identification_pb2.IdentificationInformation.FromString(held.information)
    return disclosure_pb2.HeldRecord(
        municipality=municipality,
        municipality_name=words.municipality(municipality),
        is_current=municipality == current,
        state_words=words.STATES[held.claim.state],
        information=information,
        address_municipality_name=words.municipality(information.address.municipality),
    )


def _change(held: HeldNotification) -> disclosure_pb2.DisclosedChange:
    information = held.change.information
    change = disclosure_pb2.DisclosedChange(
        municipality=held.municipality,
        municipality_name=words.municipality(held.municipality),
        epoch=held.epoch,
        sequence=held.sequence,
        reason_words=_reason(information.change.reason),
        information=information,
        moved_between=_moved(held),
        disputed=held.disputed,
        address_municipality_name=words.municipality(information.address.municipality),
    )
    change.issued_at.FromDatetime(held.issued_at)
    change.received_at.FromMicroseconds(held.received_at)
    return change


def _reason(number: int) -> str:
    try:
        return words.REASONS[ChangeReason(number)]
    except ValueError:  # of a notification that is held as disputed
        return f"不明な異動事由（{number}）"


def _moved(held: HeldNotification) -> str:
    if held.change.moved_from:
        return f"{words.municipality(held.change.moved_from)}から"
    if held.change.moved_to:
        return f"{words.municipality(held.change.moved_to)}へ"
    return ""


def _position(token: str) -> EntryPosition | None:
    if not token:
        return None
    sequence, dot, index = token.partition(".")
    if not dot or not all(p.isascii() and p.isdigit() and len(p) < 20 for p in (sequence, index)):
        raise InvalidValue("the page token is none of ours")
    return EntryPosition(int(sequence), int(index))
