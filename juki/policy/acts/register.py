"""What acts have registered: applied one after another, and read at an instant.

Pure: applying gives a new register, so that a replay and step after step cannot differ.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NoReturn

from google.protobuf.message import Message

from juki.domain.errors import JukiError, Reason
from juki.policy.acts.dates import Period, end_of, midnight
from juki.policy.acts.terms import basis_text, lies_within
from juki.v1 import acts_pb2 as pb

Key = tuple[str, ...]
"""("body", identity), ("office", body, name), ("operator", body, id), ("ordinance", id), or
("grant", body, basis)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing registered: the disposition that did it, and when it is in force."""

    what: Message
    period: Period


@dataclass(frozen=True, slots=True)
class Register:
    """Everything registered so far, ended entries among it."""

    entries: Mapping[Key, tuple[Entry, ...]] = field(default_factory=dict)
    """Entries of a key never overlap, and stand in the order of time."""

    def apply(self, act: pb.AdministrativeAct, accepted_at: datetime.datetime) -> Register:
        """The register after an act; raises JukiError INVALID_FIELD saying what cannot be done."""
        begins = accepted_at
        if act.in_force_from:
            begins = max(begins, midnight(act.in_force_from))
        period = Period(begins, end_of(act.last_day))
        if period.ends is not None and period.ends <= begins:
            _refuse("the act would end before it comes into force")
        work = _Work(dict(self.entries), period, accepted_at)
        for number, disposition in enumerate(act.dispositions, start=1):
            try:
                work.carry_out(disposition)
            except JukiError as error:
                raise JukiError(
                    error.reason, f"disposition {number}: {error.message}", error.metadata
                ) from None
        return replace(self, entries=work.entries)

    def in_force(self, instant: datetime.datetime) -> Iterator[tuple[Key, Message]]:
        """What is in force at an instant, each with its key, in the order of registration."""
        for key, entries in self.entries.items():
            for entry in entries:
                if entry.period.covers(instant):
                    yield key, entry.what

    def from_now_on(self, instant: datetime.datetime) -> Iterator[tuple[Message, Period]]:
        """What has not ended at an instant, each with its period, in the order of registration."""
        for entries in self.entries.values():
            for entry in entries:
                if entry.period.ends is None or entry.period.ends > instant:
                    yield entry.what, entry.period


class _Work:
    """One act being carried out over a copy of the entries."""

    def __init__(
        self,
        entries: dict[Key, tuple[Entry, ...]],
        period: Period,
        accepted_at: datetime.datetime,
    ) -> None:
        self.entries = entries
        self._period = period
        self._accepted_at = accepted_at

    def carry_out(self, disposition: pb.ActDisposition) -> None:  # noqa: PLR0912 - one case a kind
        match disposition.WhichOneof("kind"):
            case "register_body":
                body = disposition.register_body
                self._refuse_second_registration(body.identity)
                self._add(("body", body.identity), body)
            case "register_department":
                office = disposition.register_department
                self._require_body(office.body)
                self._add(("office", office.body, office.office), office)
            case "register_operator":
                operator = disposition.register_operator
                self._require_body(operator.body)
                if operator.office:
                    self._require(("office", operator.body, operator.office), "the department")
                self._add(("operator", operator.body, operator.operator), operator)
            case "register_ordinance":
                ordinance = disposition.register_ordinance
                self._add(("ordinance", ordinance.ordinance), ordinance)
            case "grant_affair":
                grant = disposition.grant_affair
                self._require_body(grant.body)
                key: Key = ("grant", grant.body, basis_text(grant.basis))
                self._end(key)
                self._add(key, grant)
            case "narrow_grant":
                self._narrow(disposition.narrow_grant)
            case "revoke_grant":
                revoked = disposition.revoke_grant
                self._withdraw(("grant", revoked.body, basis_text(revoked.basis)), "the grant")
            case "withdraw_ordinance":
                self._withdraw_ordinance(disposition.withdraw_ordinance.ordinance)
            case "withdraw_body":
                identity = disposition.withdraw_body.identity
                self._withdraw(("body", identity), "the body")
                for key in [one for one in self.entries if one[1] == identity]:
                    self._end(key)
            case "withdraw_department":
                left = disposition.withdraw_department
                self._withdraw(("office", left.body, left.office), "the department")
                self._end_operators(left.body, left.office)
            case "withdraw_operator":
                gone = disposition.withdraw_operator
                self._withdraw(("operator", gone.body, gone.operator), "the operator")
            case _:
                _refuse("nothing is done")

    def _add(self, key: Key, what: Message) -> None:
        before = self.entries.get(key, ())
        if any(entry.period.overlaps(self._period) for entry in before):
            _refuse("is registered already")
        together = (*before, Entry(what, self._period))
        self.entries[key] = tuple(sorted(together, key=lambda entry: entry.period.begins))

    def _end(self, key: Key) -> bool:
        """Ends a key's entries when the act comes into force; whether anything has ended."""
        before = self.entries.get(key, ())
        left = tuple(
            replace(entry, period=period)
            for entry in before
            if (period := entry.period.cut(self._period.begins)) is not None
        )
        if left:
            self.entries[key] = left
        else:
            self.entries.pop(key, None)
        return left != before

    def _withdraw(self, key: Key, what: str) -> None:
        self._refuse_last_day()
        if not self._end(key):
            _refuse(f"{what} is not registered at that time")

    def _withdraw_ordinance(self, ordinance: str) -> None:
        affairs = {
            (affair.provision, affair.affair)
            for entry in self.entries.get(("ordinance", ordinance), ())
            if isinstance(entry.what, pb.RegisterOrdinance)
            for affair in entry.what.affairs
        }
        self._withdraw(("ordinance", ordinance), "the ordinance")
        for key, entries in list(self.entries.items()):
            grants = [one.what for one in entries if isinstance(one.what, pb.GrantAffair)]
            if any((one.basis.provision, one.basis.affair) in affairs for one in grants):
                self._end(key)

    def _narrow(self, narrowed: pb.NarrowGrant) -> None:
        self._refuse_last_day()
        key = ("grant", narrowed.body, basis_text(narrowed.basis))
        current = self._require(key, "the grant")
        later = [entry for entry in self.entries[key] if entry.period.begins > self._period.begins]
        if not isinstance(current.what, pb.GrantAffair) or later:
            _refuse("a later grant of the affair stands: narrow or revoke that one")
        if not lies_within(narrowed.terms, current.what.terms):
            _refuse("the terms are wider than the grant: that is granted by two officers")
        self._end(key)
        grant = pb.GrantAffair(body=narrowed.body, basis=narrowed.basis, terms=narrowed.terms)
        remaining = Entry(grant, replace(self._period, ends=current.period.ends))
        self.entries[key] = (*self.entries.get(key, ()), remaining)

    def _end_operators(self, body: str, office: str) -> None:
        for key, entries in list(self.entries.items()):
            if key[:2] == ("operator", body) and any(
                isinstance(entry.what, pb.RegisterOperator) and entry.what.office == office
                for entry in entries
            ):
                self._end(key)

    def _refuse_second_registration(self, identity: str) -> None:
        # Also where the first has an end to come: at no time does a body stand there in two ways.
        for entry in self.entries.get(("body", identity), ()):
            if entry.period.ends is None or entry.period.ends > self._accepted_at:
                _refuse("the body is registered already; register it anew once that has ended")

    def _require_body(self, identity: str) -> None:
        self._require(("body", identity), "the body")

    def _require(self, key: Key, what: str) -> Entry:
        begins = self._period.begins
        for entry in self.entries.get(key, ()):
            if entry.period.covers(begins):
                return entry
        return _refuse(f"{what} is not registered at that time")

    def _refuse_last_day(self) -> None:
        if self._period.ends is not None:
            _refuse("what takes away has no last day")


def _refuse(what: str) -> NoReturn:
    raise JukiError(Reason.INVALID_FIELD, what)
