"""Persons and claims as the register holds them in memory while a run is applied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from juki.domain.change import ChangeReason, RecordState
from juki.domain.residency import Claim, Residency
from juki.store.sealing import Sealer


class HeldClaim:
    """A claim with the identification information that its last notification gave."""

    __slots__ = ("_information", "claim", "epoch", "sequence")

    def __init__(
        self, claim: Claim, epoch: int, sequence: int, information: bytes | Callable[[], bytes]
    ) -> None:
        """`information` is the serialised message, or what opens it when it is asked for."""
        self.claim = claim
        self.epoch = epoch
        self.sequence = sequence
        self._information = information

    @property
    def information(self) -> bytes:
        """Serialised `juki.v1.IdentificationInformation`.

        Raises:
            JukiError: TAMPERING_DETECTED when the stored value does not open in its place.
        """
        if not isinstance(self._information, bytes):
            self._information = self._information()
        return self._information

    def __repr__(self) -> str:
        return f"HeldClaim({self.claim.municipality}, {self.epoch}, {self.sequence})"


@dataclass(slots=True, eq=False)
class Person:
    """A person as the register holds them, by their stable internal ordinal."""

    ordinal: int
    claims: dict[str, HeldClaim] = field(default_factory=dict)
    residency: Residency | None = None
    dispute_id: str | None = None


def claim_place(ordinal: int, municipality: str, epoch: int, sequence: int) -> bytes:
    """The place that a claim's sealed information is bound to: row, column and version."""
    return b"claim.information|%d|%s|%d|%d" % (ordinal, municipality.encode(), epoch, sequence)


def held_claim(row: Any, sealer: Sealer) -> HeldClaim:
    """The claim of a row of the table `claim`; its information is opened when it is asked for."""
    claim = Claim(
        row.municipality,
        RecordState(row.state),
        row.entered_on,
        ChangeReason(row.entered_by),
        moved_from=row.moved_from,
        deleted_on=row.deleted_on,
        moved_to=row.moved_to,
    )
    place = claim_place(row.ordinal, row.municipality, row.epoch, row.sequence)
    # Most changes replace the information: it is opened only where it is needed.
    information = partial(sealer.open, bytes(row.information_sealed), place)
    return HeldClaim(claim, row.epoch, row.sequence, information)
