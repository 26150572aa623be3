"""Household types and the ages of their heads, as data."""

from __future__ import annotations

from enum import Enum
from typing import Final


class HouseholdType(Enum):
    """Types of private households, after the census."""

    ONE_PERSON = "one person"
    COUPLE = "couple"
    COUPLE_AND_CHILDREN = "couple and children"
    ONE_PARENT = "one parent and children"
    THREE_GENERATIONS = "three generations"


# fmt: off
HEAD_AGES: Final[dict[HouseholdType, dict[int, int]]] = {
    HouseholdType.ONE_PERSON: {
        18: 27, 20: 154, 25: 321, 30: 170, 35: 92, 40: 103, 45: 281, 50: 316, 55: 268,
        60: 316, 65: 254, 70: 386, 75: 268, 80: 260, 85: 276, 90: 233, 95: 87, 100: 14,
    },
    HouseholdType.COUPLE: {
        20: 11, 25: 35, 30: 33, 35: 14, 40: 18, 45: 67, 50: 131, 55: 134, 60: 162,
        65: 281, 70: 341, 75: 351, 80: 250, 85: 146, 90: 35,
    },
    HouseholdType.COUPLE_AND_CHILDREN: {
        20: 13, 25: 63, 30: 176, 35: 314, 40: 371, 45: 340, 50: 322, 55: 265, 60: 213,
        65: 177, 70: 121, 75: 84, 80: 36, 85: 10, 90: 1,
    },
    HouseholdType.ONE_PARENT: {
        20: 2, 25: 15, 30: 28, 35: 90, 40: 79, 45: 99, 50: 127, 55: 136, 60: 82, 65: 35,
        70: 51, 75: 58, 80: 45, 85: 33, 90: 17, 95: 6,
    },
    HouseholdType.THREE_GENERATIONS: {
        25: 6, 30: 26, 35: 79, 40: 128, 45: 167, 50: 162, 55: 134, 60: 52, 65: 3,
    },
}
# fmt: on
"""Households in ten thousand, by type and the first age of a band of five years.

The age is the head's, in couples the husband's. Shares of the types after the census of 2020;
bands fitted (least squares) so that the members that `households` composes follow `PYRAMID`.
"""

# fmt: off
PYRAMID: Final[dict[str, tuple[int, ...]]] = {
    "men": (
        2050, 2460, 2720, 2820, 3200, 3300, 3220, 3560, 3930, 4660, 4830,
        4160, 3700, 3560, 3990, 3330, 2350, 1430, 600, 120, 12,
    ),
    "women": (
        1950, 2340, 2590, 2680, 3010, 3100, 3060, 3470, 3820, 4540, 4740,
        4140, 3760, 3780, 4460, 4080, 3280, 2530, 1480, 480, 80,
    ),
}
# fmt: on
"""Japan's population in thousands by five years of age, 0-4 to 100 and over; from memory of
the estimates for October 2023: round figures for a plausible pyramid, not for quotation."""
