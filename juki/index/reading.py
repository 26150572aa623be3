"""What a lookup sees of the index: keys in, outcomes and cut wire bytes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from juki.domain.four_items import FourItems
from juki.index.wire import FieldMask


@dataclass(frozen=True, slots=True)
class LookedUp:
    """The answers to a sequence of keys, in its order."""

    ordinals: bytes
    """8 bytes each, big-endian: the person's internal id; 0 where no single person answers."""

    outcomes: bytes
    """One `Outcome` each."""

    information: Sequence[bytes]
    """Wire bytes of the masked `IdentificationInformation` where FOUND, otherwise empty."""

    def __repr__(self) -> str:
        return f"LookedUp({len(self.outcomes)} keys)"


class PersonReader(Protocol):
    """Keys to persons. Every method raises JukiError (STORE_UNAVAILABLE) before the index is built.

    Codes and numbers are their decimal values; one that cannot exist is simply not found.
    """

    def by_individual_number(self, numbers: Sequence[int], mask: FieldMask) -> LookedUp:
        """Persons by Individual Number."""
        ...

    def by_resident_record_code(self, codes: Sequence[int], mask: FieldMask) -> LookedUp:
        """Persons by resident record code."""
        ...

    def by_four_items(self, items: Sequence[FourItems | None], mask: FieldMask) -> LookedUp:
        """Persons by the four items, variants of writing aside; None finds nobody."""
        ...
