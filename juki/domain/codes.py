"""The three codes of the network, with their check digits.

Each is a frozen value that cannot be built invalid and whose `repr` shows nothing of a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

from juki.domain.errors import InvalidValue

_BODY_WEIGHTS: Final = (2, 3, 4, 5, 6, 7, 2, 3, 4, 5, 6)
"""Qn for n = 1 ... 11 from the right: n + 1 for n <= 6, n - 5 for n >= 7."""

_GOVERNMENT_WEIGHTS: Final = (6, 5, 4, 3, 2)


def _is_ascii_digits(text: str, length: int) -> bool:
    return len(text) == length and text.isascii() and text.isdigit()


def modulus_11_check_digit(body: str) -> int:
    """Check digit over up to 11 decimal digits, weighted from the right.

    0 if the remainder of the sum of Pn * Qn by 11 is at most 1, else 11 minus the remainder
    (Order for Enforcement of the My Number Act; ministerial order no. 85 of 2014, Art. 5).

    For the resident record code the formula is in notice no. 436 of 2002 of the Ministry (平成14年
    総務省告示436号), whose text was not at hand: the same weights over its 10 digits agree with the
    three public samples, and this is the one place that says so.
    """
    total = sum(int(digit) * _BODY_WEIGHTS[n] for n, digit in enumerate(reversed(body)))
    remainder = total % 11
    return 0 if remainder <= 1 else 11 - remainder


@dataclass(frozen=True, slots=True, order=True)
class ResidentRecordCode:
    """Resident record code (住民票コード): 10 random digits and a check digit (Art. 30-2)."""

    digits: str

    def __post_init__(self) -> None:
        if not _is_ascii_digits(self.digits, 11):
            raise InvalidValue("a resident record code has 11 digits")
        if modulus_11_check_digit(self.digits[:10]) != int(self.digits[10]):
            raise InvalidValue("the check digit of a resident record code does not match")

    @classmethod
    def from_body(cls, body: int) -> Self:
        """The code whose first 10 digits are `body` (0 <= body < 10**10)."""
        text = f"{body:010d}"
        return cls(f"{text}{modulus_11_check_digit(text)}")

    @classmethod
    def from_int(cls, value: int) -> Self:
        """The code whose decimal value is `value`, as packed in batch lookups."""
        return cls(f"{value:011d}")

    def __int__(self) -> int:
        return int(self.digits)

    def __repr__(self) -> str:
        return "ResidentRecordCode(…)"


@dataclass(frozen=True, slots=True, order=True)
class IndividualNumber:
    """Individual Number (個人番号): 11 digits and a check digit (My Number Act Art. 8)."""

    digits: str

    def __post_init__(self) -> None:
        if not _is_ascii_digits(self.digits, 12):
            raise InvalidValue("an Individual Number has 12 digits")
        if modulus_11_check_digit(self.digits[:11]) != int(self.digits[11]):
            raise InvalidValue("the check digit of an Individual Number does not match")

    @classmethod
    def from_body(cls, body: int) -> Self:
        """The number whose first 11 digits are `body` (0 <= body < 10**11)."""
        text = f"{body:011d}"
        return cls(f"{text}{modulus_11_check_digit(text)}")

    @classmethod
    def from_int(cls, value: int) -> Self:
        """The number whose decimal value is `value`, as packed in batch lookups."""
        return cls(f"{value:012d}")

    def __int__(self) -> int:
        return int(self.digits)

    def __repr__(self) -> str:
        return "IndividualNumber(…)"


@dataclass(frozen=True, slots=True, order=True)
class LocalGovernmentCode:
    """Local government code (団体コード, JIS X 0401 and 0402).

    Two digits of the prefecture, three of the body, one check digit.
    """

    digits: str

    def __post_init__(self) -> None:
        if not _is_ascii_digits(self.digits, 6):
            raise InvalidValue("a local government code has 6 digits")
        weighted = sum(
            int(d) * w for d, w in zip(self.digits[:5], _GOVERNMENT_WEIGHTS, strict=True)
        )
        if (11 - weighted % 11) % 10 != int(self.digits[5]):
            raise InvalidValue("the check digit of a local government code does not match")
        if not 1 <= int(self.digits[:2]) <= 47:
            raise InvalidValue("the first two digits of a local government code name no prefecture")

    @property
    def prefecture(self) -> str:
        """The two digits of the prefecture, "01" to "47"."""
        return self.digits[:2]

    @property
    def is_prefecture(self) -> bool:
        """Whether the code names the prefecture itself rather than one of its municipalities."""
        return self.digits[2:5] == "000"

    def __str__(self) -> str:
        return self.digits

    def __repr__(self) -> str:
        return f"LocalGovernmentCode({self.digits})"
