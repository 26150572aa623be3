"""What one person's look-up comes to; the same for index, record and answer."""

from __future__ import annotations

from enum import IntEnum


class Outcome(IntEnum):
    """The outcome of one search key; values are those of `juki.v1.LookupOutcome`."""

    FOUND = 1
    """One person answers to the key."""

    NOT_FOUND = 2
    """Nobody does."""

    DISPUTED = 3
    """The person's record is disputed between municipalities (Act Art. 30-8): nothing is given."""

    AMBIGUOUS = 4
    """Several persons answer to the four items: nothing is given."""
