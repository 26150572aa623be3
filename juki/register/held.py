"""Persons and claims as the register holds them in memory while a run is applied."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from juki.domain.change import ChangeReason, RecordState
from juki.domain.residency import Claim, Residency
from juki.store.sealing import Sealer


class HeldClaim:
    """A claim with the identification information that its last notification gave."""

    __slots__ = ("claim", "epoch", "information", "sequence")

    def __init__(self, claim: Claim, epoch: int, sequence: int, information: bytes) -> None:
        """`information` is the serialised `juki.v1.IdentificationInformation`."""
        self.claim = claim
        self.epoch = epoch
        self.sequence = sequence
        self.information = information

    def __repr__(self) -> str:
        return f"HeldClaim({self.claim.municipality}, {self.epoch}, {self.sequence})"


@dataclass(slots=True, eq=False)
class Person:
    """A person as the register holds them, by their stable internal ordinal."""

    ordinal: int
    claims: dict[str, HeldClaim] = field(default_factory=dict)
    residency: Residency | None = None
    dispute_id: str | None = None
    stored_residency: tuple[int, str, str | None] | None = None
    """Status, municipality and dispute as they stand in the table `residency`."""


def claim_place(ordinal: int, claim: Claim, epoch: int, sequence: int) -> bytes:
    """The place that a claim's sealed information is bound to: all the rest of its row.

    Epoch and sequence, of the notification that wrote the row last, are its version.
    """
    return b"claim.information|%d|%s|%d|%d|%d|%d|%d|%s|%d|%s" % (
        ordinal,
        claim.municipality.encode(),
        epoch,
        sequence,
        claim.state,
        claim.entered_on.toordinal(),
        claim.entered_by,
        claim.moved_from.encode(),
        0 if claim.deleted_on is None else claim.deleted_on.toordinal(),
        claim.moved_to.encode(),
    )


def held_claim(row: Any, sealer: Sealer) -> HeldClaim:
    """The claim of a row of the table `claim`.

    Opened at once, so that nothing is decided on a row that was tampered with.

    Raises:
        JukiError: TAMPERING_DETECTED when the row is not as it was sealed.
    """
    claim = Claim(
        row.municipality,
        RecordState(row.state),
        row.entered_on,
        ChangeReason(row.entered_by),
        moved_from=row.moved_from,
        deleted_on=row.deleted_on,
        moved_to=row.moved_to,
    )
    place = claim_place(row.ordinal, claim, row.epoch, row.sequence)
    information = sealer.open(bytes(row.information_sealed), place)
    return HeldClaim(claim, row.epoch, row.sequence, information)
