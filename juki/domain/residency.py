"""Where a person lives, derived from the claims of the municipalities.

Across municipalities notifications have no order: the entry of a move may arrive before the
deletion. So each municipality holds a claim on the person, a deletion ends only its issuer's claim,
and the residency is derived from the set of claims alone, whatever order they came in.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from juki.domain.change import ChangeKind, ChangeReason, RecordState, next_state
from juki.domain.errors import JukiError


class ResidencyStatus(IntEnum):
    """What the claims on a person add up to."""

    RESIDENT = 1
    """One municipality claims the person."""

    PENDING_TRANSFER = 2
    """Between two municipalities: deleted and not yet entered, or entered and not yet deleted."""

    MOVED_ABROAD = 3
    DECEASED = 4
    DELETED = 5
    """Deleted ex officio, entered nowhere."""

    DISPUTED = 6
    """Two municipalities claim the person, or one claims who died in another (Art. 30-8)."""


class DisputeReason(IntEnum):
    """Why a notification or a person is disputed; values are those of `juki.v1.DisputeReason`."""

    SECOND_ENTRY = 1
    NO_ENTRY = 2
    AFTER_DELETION = 3
    CODE_NOT_ALLOTTED = 4
    CODE_TAKEN = 5
    NUMBER_TAKEN = 6
    NUMBER_NOT_GENERATED = 7
    TWO_CLAIMS = 8
    IMPOSSIBLE_VALUE = 9
    CLAIM_AFTER_DEATH = 10


@dataclass(frozen=True, slots=True)
class Claim:
    """What one municipality says of its record of one person.

    Municipalities are keepers of a register (a designated city is one), as six digits.
    """

    municipality: str
    state: RecordState
    entered_on: datetime.date
    """Date of the entry that stands, or stood last."""

    entered_by: ChangeReason
    moved_from: str = ""
    """The municipality that the standing entry names as the person's last one."""

    deleted_on: datetime.date | None = None
    moved_to: str = ""

    @property
    def stands(self) -> bool:
        """Whether the municipality has the person on its register now."""
        return self.state is RecordState.CURRENT


@dataclass(frozen=True, slots=True)
class Residency:
    """The derived status, whose record speaks for the person, and who is in dispute."""

    status: ResidencyStatus
    municipality: str
    """The municipality whose claim gives the identification information; "" when disputed."""

    dispute: DisputeReason | None = None
    disputing: tuple[str, ...] = ()
    """The municipalities in dispute, sorted."""


def apply_change(
    claim: Claim | None,
    *,
    municipality: str,
    reason: ChangeReason,
    event_date: datetime.date,
    moved_from: str = "",
    moved_to: str = "",
) -> Claim | DisputeReason:
    """The municipality's claim after one of its own changes, or why the change is impossible."""
    state = claim.state if claim else RecordState.ABSENT
    try:
        following = next_state(state, reason)
    except JukiError:
        if reason.kind is ChangeKind.ENTRY:
            return (
                DisputeReason.SECOND_ENTRY
                if claim and claim.stands
                else DisputeReason.AFTER_DELETION
            )
        return DisputeReason.NO_ENTRY if claim is None else DisputeReason.AFTER_DELETION
    if claim is None or reason.kind is ChangeKind.ENTRY:
        return Claim(municipality, following, event_date, reason, moved_from=moved_from)
    deletion = reason.kind is ChangeKind.DELETION
    return Claim(
        municipality,
        following,
        claim.entered_on,
        claim.entered_by,
        moved_from=claim.moved_from,
        deleted_on=event_date if deletion else None,
        moved_to=moved_to if deletion else "",
    )


def derive(claims: Iterable[Claim]) -> Residency:
    """The residency that a person's claims add up to; at least one claim is needed.

    An entry that names the municipality the person came from, on or after that municipality's own
    entry, takes the person over from it: its deletion is still to come; the two do not conflict.
    This holds too when the person has moved on or died there since.
    """
    held = sorted(claims, key=lambda c: c.municipality)
    standing = [c for c in held if c.stands]
    ended = [c for c in held if not c.stands]
    if not standing:
        return _of_ended(ended)
    if len(held) == 1:
        return Residency(ResidencyStatus.RESIDENT, standing[0].municipality)
    remaining = _contending(standing, ended)
    if not remaining:
        return _of_ended(ended)
    died = [c for c in ended if c.state is RecordState.DIED]
    if died:
        involved = tuple(sorted(c.municipality for c in (*remaining, *died)))
        return Residency(ResidencyStatus.DISPUTED, "", DisputeReason.CLAIM_AFTER_DEATH, involved)
    if len(remaining) == 1:
        moving = len(standing) > 1
        status = ResidencyStatus.PENDING_TRANSFER if moving else ResidencyStatus.RESIDENT
        return Residency(status, remaining[0].municipality)
    disputing = tuple(c.municipality for c in remaining)
    return Residency(ResidencyStatus.DISPUTED, "", DisputeReason.TWO_CLAIMS, disputing)


def _takes_over(new: Claim, old: Claim) -> bool:
    """Whether the person went from `old`, which stands, to `new`, which may have ended since."""
    if new.moved_from != old.municipality or new.municipality == old.municipality:
        return False
    if new.entered_on < old.entered_on:
        return False
    if new.stands:
        return True
    # An entry undone ex officio moved nobody; and who came back after it ended is here.
    return new.state is not RecordState.DELETED and (
        new.deleted_on is None or new.deleted_on > old.entered_on
    )


def _contending(standing: list[Claim], ended: list[Claim]) -> list[Claim]:
    """Those of the standing claims that nobody took over.

    Claims entered on one day that take each other over in a circle contend with one another.
    """
    first = [c for c in standing if not any(_takes_over(other, c) for other in (*standing, *ended))]
    settled = [*ended, *first]
    unsettled = [c for c in standing if c not in first]
    while following := [c for c in unsettled if any(_takes_over(s, c) for s in settled)]:
        settled += following
        unsettled = [c for c in unsettled if c not in following]
    return [c for c in standing if c in first or c in unsettled]


def _came_from(new: Claim, old: Claim) -> bool:
    """Whether the person went from `old`, which has ended, to `new`."""
    return (
        new.moved_from == old.municipality != new.municipality
        and old.deleted_on is not None
        and new.entered_on >= old.deleted_on
    )


def _of_ended(ended: list[Claim]) -> Residency:
    died = [c for c in ended if c.state is RecordState.DIED]
    left_last = [c for c in ended if not any(_came_from(other, c) for other in ended)]
    last = max(
        died or left_last or ended,
        key=lambda c: (c.deleted_on or datetime.date.min, c.entered_on, c.municipality),
    )
    if last.state is RecordState.DIED:
        status = ResidencyStatus.DECEASED
    elif last.state is RecordState.DELETED:
        status = ResidencyStatus.DELETED
    elif last.moved_to:
        status = ResidencyStatus.PENDING_TRANSFER
    else:
        status = ResidencyStatus.MOVED_ABROAD
    return Residency(status, last.municipality)
