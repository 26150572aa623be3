"""Disclosure and correction requests of a person (開示請求, 訂正; Act Art. 30-32 to 30-35).

State machines and their limits. Days are days of Japan Standard Time. The thirty days of 30-33(1)
run "from the day on which the request was received" (受理した日から起算して): by these words that
day is itself the first, other than under the Civil Code's general rule (Art. 140: the first day is
not counted), which applies where an Act does not say from which day to count. The period ends with
its last day (Civil Code Art. 141), also where that is a holiday: the stricter reading.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from juki.domain.errors import InvalidValue, JukiError, Reason

JAPAN: Final = datetime.timezone(datetime.timedelta(hours=9), "JST")
DISCLOSURE_DAYS: Final = 30
"""Art. 30-33(1), the day of receipt being the first."""

CORRECTION_DAYS: Final = 14
"""The office's own mark for "without delay" (遅滞なく, Art. 30-35), which names no days; counted in
the same way."""

MAX_WORDS: Final = 4000


class RequestKind(IntEnum):
    """Values are those of `juki.v1.PersonRequestKind`."""

    DISCLOSURE = 1
    CORRECTION = 2


class RequestState(IntEnum):
    """Values are those of `juki.v1.PersonRequestState`."""

    RECEIVED = 1
    EXTENDED = 2
    DISCLOSED = 3
    REFUSED = 4
    INVESTIGATING = 5
    CORRECTED = 6
    PARTLY_CORRECTED = 7
    NOT_CORRECTED = 8

    @property
    def is_open(self) -> bool:
        """Whether something is still owed to the person."""
        return self in (RequestState.RECEIVED, RequestState.EXTENDED, RequestState.INVESTIGATING)


class RefusalGround(IntEnum):
    """Why nothing is disclosed: want of form only. The Act lets nobody withhold a person's own
    information from them for any other reason."""

    IDENTITY_NOT_ESTABLISHED = 1
    FEE_NOT_PAID = 2
    WITHDRAWN = 3


CORRECTION_OUTCOMES: Final = frozenset(
    {RequestState.CORRECTED, RequestState.PARTLY_CORRECTED, RequestState.NOT_CORRECTED}
)


def japanese_day(instant: datetime.datetime) -> datetime.date:
    """The day in Japan of an aware instant; raises InvalidValue for a naive one."""
    if instant.tzinfo is None:
        raise InvalidValue("an instant without a time zone has no day in Japan")
    return instant.astimezone(JAPAN).date()


def last_day(first: datetime.date, days: int) -> datetime.date:
    """The last of `days` days of which `first` is the first."""
    return first + datetime.timedelta(days=days - 1)


@dataclass(frozen=True, slots=True)
class PersonRequest:
    """A request as it stands; each act gives the request afterwards.

    An act raises JukiError: REQUEST_STATE where the request does not stand so that it is allowed,
    FEE_NOT_PAID, or InvalidValue for words that are missing or dates that cannot be.
    """

    kind: RequestKind
    received_on: datetime.date
    """Day of receipt, in Japan."""

    due_on: datetime.date
    state: RequestState = RequestState.RECEIVED
    fee_yen: int = 0
    """Fee of Art. 30-34; 0 at a prefecture."""

    fee_paid: bool = False
    other_way_agreed: bool = False
    """The person agreed to a disclosure other than in writing (Art. 30-32(2))."""

    ground: RefusalGround | None = None
    last_act_on: datetime.date = datetime.date.min

    @classmethod
    def disclosure(
        cls, received_on: datetime.date, *, fee_yen: int = 0, other_way_agreed: bool = False
    ) -> PersonRequest:
        """A disclosure request, just received."""
        if fee_yen < 0:
            raise InvalidValue("a fee is not negative")
        return cls(
            RequestKind.DISCLOSURE,
            received_on,
            last_day(received_on, DISCLOSURE_DAYS),
            fee_yen=fee_yen,
            other_way_agreed=other_way_agreed,
            last_act_on=received_on,
        )

    @classmethod
    def correction(cls, received_on: datetime.date, disclosure: PersonRequest) -> PersonRequest:
        """A correction request, just received from who was given this disclosure (Art. 30-35)."""
        if disclosure.kind is not RequestKind.DISCLOSURE:
            raise InvalidValue("a correction is asked for after a disclosure")
        if disclosure.state is not RequestState.DISCLOSED:
            raise _not_allowed(disclosure, "only who received a disclosure asks for a correction")
        disclosure._not_before(received_on)
        return cls(
            RequestKind.CORRECTION,
            received_on,
            last_day(received_on, CORRECTION_DAYS),
            last_act_on=received_on,
        )

    @property
    def fee_settled(self) -> bool:
        """Whether no fee is owed."""
        return self.fee_paid or self.fee_yen == 0

    def overdue(self, today: datetime.date) -> bool:
        """Whether the last day is past and something is still owed."""
        return self.state.is_open and today > self.due_on

    def pay(self, on: datetime.date, yen: int) -> PersonRequest:
        """The person paid the fee."""
        self._must_be(RequestKind.DISCLOSURE, RequestState.RECEIVED, RequestState.EXTENDED)
        if self.fee_settled:
            raise _not_allowed(self, "no fee is owed")
        if yen != self.fee_yen:
            raise InvalidValue("what was paid is not the fee")
        return self._act(on, fee_paid=True)

    def extend(self, on: datetime.date, until: datetime.date, reasons: str) -> PersonRequest:
        """The limit is extended, once, within the thirty days and with reasons (Art. 30-33(2))."""
        self._must_be(RequestKind.DISCLOSURE, RequestState.RECEIVED)
        check_words(reasons, "an extension")
        if on > self.due_on:
            raise _not_allowed(self, "an extension is told within the thirty days")
        if until <= self.due_on:
            raise InvalidValue("an extension ends after the thirty days")
        return self._act(on, state=RequestState.EXTENDED, due_on=until)

    def disclose(self, on: datetime.date, *, in_writing: bool) -> PersonRequest:
        """Disclosed; late is late, but still owed."""
        self._must_be(RequestKind.DISCLOSURE, RequestState.RECEIVED, RequestState.EXTENDED)
        if not self.fee_settled:
            raise JukiError(Reason.FEE_NOT_PAID, "the fee of the disclosure has not been paid")
        if not in_writing and not self.other_way_agreed:
            raise _not_allowed(self, "the person has agreed to nothing but writing")
        return self._act(on, state=RequestState.DISCLOSED)

    def refuse(self, on: datetime.date, ground: RefusalGround, reasons: str) -> PersonRequest:
        """Not disclosed, for want of form."""
        self._must_be(RequestKind.DISCLOSURE, RequestState.RECEIVED, RequestState.EXTENDED)
        check_words(reasons, "a refusal")
        if ground is RefusalGround.FEE_NOT_PAID and self.fee_settled:
            raise _not_allowed(self, "no fee is owed")
        return self._act(on, state=RequestState.REFUSED, ground=ground)

    def investigate(self, on: datetime.date) -> PersonRequest:
        """The investigation of a correction begins."""
        self._must_be(RequestKind.CORRECTION, RequestState.RECEIVED)
        return self._act(on, state=RequestState.INVESTIGATING)

    def answer(self, on: datetime.date, outcome: RequestState, words: str) -> PersonRequest:
        """The result of the investigation is told in writing."""
        self._must_be(RequestKind.CORRECTION, RequestState.INVESTIGATING)
        check_words(words, "an answer")
        if outcome not in CORRECTION_OUTCOMES:
            raise InvalidValue("an answer says corrected, partly corrected or not corrected")
        return self._act(on, state=outcome)

    def _act(
        self,
        on: datetime.date,
        *,
        state: RequestState | None = None,
        due_on: datetime.date | None = None,
        ground: RefusalGround | None = None,
        fee_paid: bool | None = None,
    ) -> PersonRequest:
        self._not_before(on)
        return replace(
            self,
            last_act_on=on,
            state=self.state if state is None else state,
            due_on=due_on or self.due_on,
            ground=ground or self.ground,
            fee_paid=self.fee_paid if fee_paid is None else fee_paid,
        )

    def _must_be(self, kind: RequestKind, *states: RequestState) -> None:
        if self.kind is not kind or self.state not in states:
            raise _not_allowed(self, "the request does not stand where this is done")

    def _not_before(self, on: datetime.date) -> None:
        if on < self.last_act_on:
            raise InvalidValue("an act lies before the last one")


def check_words(words: str, what: str) -> None:
    """Raises InvalidValue unless `what` says something, and not too much."""
    if not words.strip():
        raise InvalidValue(f"{what} gives its reasons in words")
    if len(words) > MAX_WORDS:
        raise InvalidValue(f"{what} is longer than {MAX_WORDS} characters")


def _not_allowed(request: PersonRequest, message: str) -> JukiError:
    return JukiError(Reason.REQUEST_STATE, message, {"state": request.state.name})
