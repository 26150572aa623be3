"""What the register tells the index of each person whose record changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from juki.domain.residency import ResidencyStatus


@dataclass(frozen=True, slots=True)
class PersonState:
    """A person as lookups are to see them."""

    ordinal: int
    """The person's stable internal id; it never leaves."""

    status: ResidencyStatus
    information: bytes
    """Serialised `juki.v1.IdentificationInformation` of the municipality that speaks for the
    person; empty while the person is disputed."""

    claimed: tuple[bytes, ...] = ()
    """While disputed: what each municipality says, so that the person's keys still lead to them and
    the answer is "disputed", not "not found"."""

    def __repr__(self) -> str:
        return f"PersonState({self.ordinal}, {self.status.name})"


class PersonIndex(Protocol):
    """Keys to persons to wire bytes; followed by updates, rebuilt at start."""

    def rebuild(self, states: Iterable[PersonState]) -> int:
        """Replaces everything by `states`; returns how many there were."""

    def apply(self, states: Sequence[PersonState], removed: Sequence[int]) -> None:
        """Takes over the states after one commit; `removed` are ordinals merged into others."""
