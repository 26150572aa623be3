"""Provisions, affairs and bodies in the words that a person understands."""

from __future__ import annotations

import pytest

from juki.disclosure import words
from juki.domain.change import ChangeReason, RecordState
from juki.domain.legal_basis import Field, LegalBasis
from juki.domain.residency import ResidencyStatus
from juki.policy.calendar import ALWAYS
from juki.policy.registry import RegisteredAffair, Registry

NOTHING = Registry({}, {}, {})
ORDINANCE = LegalBasis("30-13(1)", "jorei-30.3")
REGISTRY = Registry(
    {},
    {
        ORDINANCE: RegisteredAffair(
            ORDINANCE,
            "県税の賦課徴収に関する事務",
            "知事",
            "平成15年静岡県条例第30号",
            None,
            ALWAYS,
        )
    },
    {},
)


@pytest.mark.parametrize(
    ("provision", "text"),
    [
        ("30-9", "住民基本台帳法第30条の9"),
        ("30-10(1)(iv)", "住民基本台帳法第30条の10第1項第4号"),
        ("30-15-2(1)", "住民基本台帳法第30条の15の2第1項"),
        ("37(2)", "住民基本台帳法第37条第2項"),
        ("", ""),
        ("whatever", "whatever"),
    ],
)
def test_a_provision_is_written_as_the_act_is_cited(provision: str, text: str) -> None:
    assert words.article(provision) == text


def test_a_row_of_the_tables_is_told_in_the_acts_own_words() -> None:
    recipient, affair = words.affair("30-9", "1:77", NOTHING)
    assert recipient
    assert affair.startswith("国民年金法")
    assert words.row("2:5-30") == "別表第二の5の30の項"


def test_the_affair_of_an_ordinance_is_told_with_the_ordinance() -> None:
    _, affair = words.affair("30-13(1)", "jorei-30.3", REGISTRY)
    assert affair == "平成15年静岡県条例第30号　県税の賦課徴収に関する事務"
    assert words.affair("30-13(1)", "another", REGISTRY) == ("", "")
    assert words.affair("30-32", "", REGISTRY) == ("", "")


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("spiffe://pref22.juki.example/cs/221309", "静岡県浜松市"),
        ("spiffe://pref13.juki.example/server", "東京都知事"),
        ("spiffe://national.juki.example/server", "地方公共団体情報システム機構"),
        ("spiffe://agency.juki.example/unknown", "spiffe://agency.juki.example/unknown"),
        ("anything", "anything"),
    ],
)
def test_a_body_is_named_even_where_it_is_not_registered(uri: str, name: str) -> None:
    assert words.body(uri, NOTHING, "juki.example") == name


def test_a_ward_is_named_with_its_city() -> None:
    assert words.municipality("011011") == "北海道札幌市中央区"
    assert words.municipality("999999") == "999999"


def test_there_is_a_word_for_everything() -> None:
    assert set(words.FIELDS) == set(Field)
    assert set(words.REASONS) == set(ChangeReason)
    assert set(words.STATES) == set(RecordState)
    assert set(words.RESIDENCIES) == set(ResidencyStatus)
