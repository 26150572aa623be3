"""The Appended Tables are all there, in the Act's own numbering."""

from __future__ import annotations

from collections import Counter

import pytest

from juki.domain.errors import InvalidValue
from juki.domain.legal_basis import ARTICLE_OF_TABLE, AffairReference
from juki.policy.tables import LegalTables


def test_the_six_tables_have_the_rows_the_act_gives_them(tables: LegalTables) -> None:
    assert Counter(row.table for row in tables.affairs) == {
        1: 279,
        2: 83,
        3: 101,
        4: 82,
        5: 100,
        6: 7,
    }


def test_every_row_cites_the_article_of_its_table_and_names_recipient_and_affair(
    tables: LegalTables,
) -> None:
    for reference, affair in tables.affairs.items():
        assert affair.reference == reference
        assert affair.article == ARTICLE_OF_TABLE[reference.table]
        assert affair.recipient
        assert affair.affair


def test_rows_carry_the_words_of_the_act(tables: LegalTables) -> None:
    assert tables.affairs[AffairReference(1, "41")].recipient == "外務省"
    assert "国民年金法" in tables.affairs[AffairReference(1, "77")].affair
    assert tables.number_use["46"].user == "厚生労働大臣"
    assert len(tables.number_use) == 181


def test_repealed_items_are_no_affairs(tables: LegalTables) -> None:
    for item in ("4", "6", "7", "10", "52"):
        assert AffairReference(1, item) not in tables.affairs


@pytest.mark.parametrize(
    ("table", "item"),
    [
        (0, "1"),
        (7, "1"),
        (1, ""),
        (1, "0"),
        (1, "01"),
        (1, "1-"),
        (1, "1-2-3"),
        (1, "一"),
        (1, "1 "),
    ],
)
def test_a_reference_that_cannot_be_a_row_is_not_built(table: int, item: str) -> None:
    with pytest.raises(InvalidValue):
        AffairReference(table, item)


@pytest.mark.parametrize("text", ["1:77", "1:57-31", "6:1-2"])
def test_a_reference_reads_back_as_it_is_written(text: str) -> None:
    assert str(AffairReference.parse(text)) == text


@pytest.mark.parametrize("text", ["", "77", ":77", "x:77", "９:1", "1:77\n"])
def test_a_reference_written_wrongly_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        AffairReference.parse(text)
