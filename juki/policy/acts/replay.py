"""Reads an acts log from its first act: verifies each, and applies it to the register."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from juki.domain.errors import JukiError, Reason
from juki.policy.acts.files import read_acts
from juki.policy.acts.register import Register
from juki.policy.acts.verification import ActVerifier, VerifiedAct
from juki.policy.acts.wire import NO_PREDECESSOR


@dataclass(frozen=True, slots=True)
class History:
    """Verified acts and what they have registered."""

    acts: tuple[VerifiedAct, ...] = ()
    register: Register = field(default_factory=Register)

    @property
    def next_number(self) -> int:
        """The number that the next act bears."""
        return len(self.acts) + 1

    @property
    def head_digest(self) -> bytes:
        """What the next act names as its predecessor."""
        return self.acts[-1].file_digest if self.acts else NO_PREDECESSOR

    def extended(self, found: VerifiedAct) -> History:
        """The history with one more act.

        Raises JukiError SEQUENCE_GAP, PREDECESSOR_MISMATCH, TAMPERING_DETECTED (earlier than the
        act before it) or INVALID_FIELD (impossible).
        """
        if found.act.number != self.next_number:
            raise JukiError(
                Reason.SEQUENCE_GAP, f"is act {found.act.number} where {self.next_number} belongs"
            )
        if found.act.predecessor_digest != self.head_digest:
            raise JukiError(Reason.PREDECESSOR_MISMATCH, "follows another act than the one before")
        if self.acts and found.accepted_at < self.acts[-1].accepted_at:
            raise JukiError(Reason.TAMPERING_DETECTED, "was accepted before the one before it")
        return History((*self.acts, found), self.register.apply(found.act, found.accepted_at))


EMPTY: Final = History()


def replay(directory: Path, verifier: ActVerifier) -> History:
    """The whole log of a directory.

    Raises JukiError with the reason, naming the file, for the first act that does not hold.
    """
    history = EMPTY
    for number, (path, data) in enumerate(read_acts(directory), start=1):
        try:
            history = history.extended(verifier.judge_accepted(data))
        except JukiError as error:
            raise JukiError(
                error.reason,
                f"act {number} ({path.name}): {error.message}",
                {"file": path.name, "act": str(number), **error.metadata},
            ) from None
    return history
