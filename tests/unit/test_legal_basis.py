"""A legal basis names a provision and what it refers to, and nothing that cannot be written."""

from __future__ import annotations

import pytest

from juki.domain.errors import InvalidValue
from juki.domain.legal_basis import ARTICLE_OF_TABLE, AffairReference, LegalBasis


@pytest.mark.parametrize("table", ARTICLE_OF_TABLE)
def test_a_row_is_a_basis_under_the_provision_that_refers_to_its_table(table: int) -> None:
    row = AffairReference(table, "5-2")
    basis = LegalBasis.of_row(row)
    assert basis == LegalBasis(ARTICLE_OF_TABLE[table], f"{table}:5-2")
    assert basis.row == row
    assert LegalBasis.of_row(row) is basis


@pytest.mark.parametrize(
    ("provision", "affair"),
    [
        ("30-9-2(1)", ""),
        ("30-10(1)(iv)", ""),
        ("30-13(3)", "shizuoka-2003.30"),
        ("30-15-2(1)", "a" * 64),
        ("37(2)", "housing-survey"),
    ],
)
def test_other_provisions_name_a_registered_affair_or_none(provision: str, affair: str) -> None:
    basis = LegalBasis(provision, affair)
    assert basis.row is None
    assert str(basis) == f"{provision} {affair}".strip()


@pytest.mark.parametrize(
    ("provision", "affair"),
    [
        ("", ""),
        ("30-9", ""),
        ("30-9", "2:1"),
        ("30-9", "shizuoka-2003.30"),
        ("30-13(1)", "1:77"),
        ("30-13(1)", "a" * 65),
        ("30-13(1)", "条例"),
        ("30-13(1)\n", ""),
        ("30-0(1)", ""),
        ("Art. 30-13", ""),
    ],
)
def test_what_cannot_be_written_is_no_basis(provision: str, affair: str) -> None:
    with pytest.raises(InvalidValue):
        LegalBasis(provision, affair)


@pytest.mark.parametrize(
    ("text", "basis"),
    [
        ("1:77", LegalBasis("30-9", "1:77")),
        ("30-10(1)(iv)", LegalBasis("30-10(1)(iv)")),
        ("30-14 hamamatsu-2004.5", LegalBasis("30-14", "hamamatsu-2004.5")),
        ("30-9 1:77", LegalBasis("30-9", "1:77")),
    ],
)
def test_a_basis_is_read_as_it_is_written(text: str, basis: LegalBasis) -> None:
    assert LegalBasis.parse(text) == basis
    assert LegalBasis.parse(str(basis)) == basis
