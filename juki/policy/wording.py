"""Provisions, fields and reasons in words: Japanese first, with an English gloss."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from juki.domain.errors import Reason
from juki.domain.legal_basis import Field, PersonCondition, SearchKey, Tier, WithheldReason
from juki.domain.municipalities import municipality_directory
from juki.policy.provisions import RecipientKind, Route

_DIGITS: Final = "〇一二三四五六七八九"
_ROMAN: Final = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6}
_BASIS: Final = re.compile(r"([0-9-]+)(?:\(([0-9]+)\))?(?:\(([ivx]+)\))?")


@dataclass(frozen=True, slots=True)
class Words:
    """The same in both languages."""

    japanese: str
    english: str

    def __str__(self) -> str:
        return f"{self.japanese}\n{self.english}"


def numeral(number: int) -> str:
    """1 to 999 as statutes write it: 30 is 三十, 121 is 百二十一."""
    written = ""
    for size, sign in ((100, "百"), (10, "十")):
        count, number = divmod(number, size)
        if count:
            written += ("" if count == 1 else _DIGITS[count]) + sign
    return written + (_DIGITS[number] if number else "")


def article(basis: str) -> Words:
    """A provision's place in the Act: "30-10(1)(iv)" is 第三十条の十第一項第四号."""
    match = _BASIS.fullmatch(basis)
    if match is None:
        return Words(basis, basis)
    first, *branches = (numeral(int(part)) for part in match[1].split("-"))
    japanese = f"第{first}条" + "".join(f"の{branch}" for branch in branches)
    if match[2]:
        japanese += f"第{numeral(int(match[2]))}項"
    if match[3]:
        japanese += f"第{numeral(_ROMAN[match[3]])}号"
    return Words(f"住民基本台帳法{japanese}", f"Basic Resident Registration Act, Art. {basis}")


def row(table: int, item: str) -> Words:
    """A row of an Appended Table: "57-31" of table 1 is 別表第一の五十七の三十一の項."""
    japanese = "の".join(numeral(int(part)) for part in item.split("-"))
    return Words(f"別表第{numeral(table)}の{japanese}の項", f"Appended Table {table}, item {item}")


FIELD_WORDS: Final = {
    Field.NAME: Words("氏名", "name"),
    Field.BIRTH_DATE: Words("生年月日", "date of birth"),
    Field.SEX: Words("男女の別", "sex"),
    Field.ADDRESS: Words("住所", "address"),
    Field.RESIDENT_RECORD_CODE: Words("住民票コード", "resident record code"),
    Field.INDIVIDUAL_NUMBER: Words("個人番号", "Individual Number"),
    Field.CHANGE: Words("変更情報", "change information"),
}

KEY_WORDS: Final = {
    SearchKey.INDIVIDUAL_NUMBER: Words("個人番号", "Individual Number"),
    SearchKey.RESIDENT_RECORD_CODE: Words("住民票コード", "resident record code"),
    SearchKey.FOUR_ITEMS: Words("四情報", "the four items"),
}

KIND_WORDS: Final = {
    RecipientKind.NATIONAL_AGENCY: Words("国の機関", "a national agency"),
    RecipientKind.CORPORATION: Words("別表第一の法人", "a corporation of Appended Table 1"),
    RecipientKind.DIGITAL_AGENCY: Words("デジタル庁", "the Digital Agency"),
    RecipientKind.GOVERNOR: Words("都道府県知事", "a governor"),
    RecipientKind.PREFECTURAL_BODY: Words(
        "都道府県知事以外の執行機関", "a prefecture's body other than the governor"
    ),
    RecipientKind.MAYOR: Words("市町村長", "a mayor"),
    RecipientKind.MUNICIPAL_BODY: Words(
        "市町村長以外の執行機関", "a municipality's body other than the mayor"
    ),
    RecipientKind.J_LIS: Words("機構", "J-LIS itself"),
}

_ENGLISH_ANSWERER: Final = {
    Tier.NATIONAL: "the nation (J-LIS)",
    Tier.PREFECTURAL: "the prefecture",
    Tier.MUNICIPAL: "the municipality",
}

_ROUTES: Final = {
    Route.DIRECT: Words("直接", "directly"),
    Route.THROUGH_GOVERNOR: Words(
        "自らの都道府県知事を経て", "by way of the governor of its own prefecture"
    ),
}

WITHHELD_WORDS: Final = {
    WithheldReason.CODE_NOT_PROVIDED: Words(
        "住民票コードは除かれる", "the resident record code is excluded"
    ),
    WithheldReason.NO_NUMBER_USE_BASIS: Words(
        "番号利用法第九条により個人番号を利用することができる場合に当たらない",
        "no basis to use the number under My Number Act Art. 9",
    ),
    WithheldReason.OUTSIDE_PROVISION: Words(
        "この規定で提供される事項ではない", "not among what this provision gives"
    ),
    WithheldReason.OUTSIDE_GRANT: Words(
        "条例又は登録の範囲外", "outside the ordinance or the body's registration"
    ),
}

REFUSAL_WORDS: Final = {
    Reason.AGENCY_NOT_REGISTERED: Words("登録されていない者", "not a registered body"),
    Reason.AFFAIR_UNKNOWN: Words(
        "その日に効力を有する規定又は事務がない", "no such provision or affair is law on that day"
    ),
    Reason.AFFAIR_NOT_GRANTED: Words(
        "この者にこの事務は認められていない", "this affair is not granted to this body"
    ),
    Reason.ROUTE_NOT_PERMITTED: Words(
        "この経路では提供されない", "not answered on this way, or not by this tier"
    ),
    Reason.SEARCH_KEY_NOT_GRANTED: Words(
        "この検索キーは認められていない", "not to be searched by this key"
    ),
    Reason.AGGREGATES_ONLY: Words(
        "統計に限られ、個人については答えない", "totals only, nothing about one person"
    ),
}


def way(tier: Tier, place: str, route: Route) -> Words:
    """Who answers, and on which way the question comes."""
    on, where, english = _ROUTES[route], place_name(place), _ENGLISH_ANSWERER[tier]
    japanese = {
        Tier.NATIONAL: "機構",
        Tier.PREFECTURAL: f"{where or '都道府県'}知事",
        Tier.MUNICIPAL: f"{where or '市町村'}長",
    }[tier]
    return Words(
        f"{japanese}が、{on.japanese}の求めに対して",
        f"of {english}{f' ({where})' if where else ''}, asked {on.english}",
    )


def persons(condition: PersonCondition | None) -> Words:
    """Of whom the decision speaks."""
    if condition is None:
        return Words("本人の範囲に限定なし", "of anybody")
    parts: list[Words] = []
    if condition.notified_by:
        name = place_name(condition.notified_by)
        parts.append(Words(f"{name}知事が通知した者", f"whom the governor of {name} notified"))
    if condition.not_notified_by:
        name = place_name(condition.not_notified_by)
        parts.append(
            Words(
                f"{name}知事以外の知事が通知した者", f"whom another governor than {name}'s notified"
            )
        )
    if condition.moved_abroad:
        parts.append(Words("国外転出者", "who moved abroad"))
    if condition.named is not None:
        count = len(condition.named)
        parts.append(Words(f"同意した本人（{count}人）", f"who consented ({count} registered)"))
    return Words(
        "かつ".join(part.japanese for part in parts) + "に限る",
        "only persons " + " and ".join(part.english for part in parts),
    )


def place_name(place: str) -> str:
    """A prefecture by two digits or a municipality by six; empty for the nation."""
    if not place:
        return ""
    for entry in municipality_directory().entries.values():
        digits = entry.code.digits
        if digits == place:
            return entry.full_name
        if len(place) == 2 and digits[:2] == place:
            return entry.prefecture_name
    return place
