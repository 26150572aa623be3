"""Normal forms used as search keys only: what people write in many ways becomes one string.

Names and addresses are stored, signed and answered as written; a key never leaves the index. Two
strings with one key are candidates for the same person, not proof. Every function is idempotent and
depends on nothing but its argument and the Unicode version of the Python that runs it, so an index
is rebuilt when Python's `unicodedata.unidata_version` changes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Final

from juki.domain.four_items import Address, BirthDate, FourItems, PersonName
from juki.domain.kanji_variants import TO_KEY_FORM

SEPARATOR: Final = "\x1f"
"""Between the parts of a joint key: a control character, which no item can contain."""

_MAX_PASSES: Final = 8
"""Folding settles in one or two passes for any text seen; the bound only forbids a hang."""

_VARIATION_SELECTORS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")

_DASHES: Final = dict.fromkeys(map(ord, "‐‑‒–—―−─━ー﹣－ｰ~〜～"), "-")
_HIRAGANA_TO_KATAKANA: Final = {code: chr(code + 0x60) for code in (*range(0x3041, 0x3097),)}
_SMALL_KANA: Final = dict(
    zip(map(ord, "ァィゥェォッャュョヮヵヶ"), "アイウエオツヤユヨワカケ", strict=True)
)
_LIKE_SOUNDS: Final = dict(zip(map(ord, "ヂヅヲヰヱ"), "ジズオイエ", strict=True))

_KATAKANA: Final = "ァ-ヺヽヾ"
_DIGITS_IN_KANJI: Final = {c: n for n, c in enumerate("〇一二三四五六七八九")}
_TENS_IN_KANJI: Final = {"十": 10, "百": 100, "千": 1000}
_COUNTED_IN_KANJI: Final = re.compile(
    r"([〇一二三四五六七八九十百千]+)(?=丁目|番|号|条|線|区|地割|階|-\d)"
)
_UNIT_BEFORE_NUMBER: Final = re.compile(
    r"(?<=\d)(?:丁目|番地|番|号室|号)?[\s-]*[ノ-]?[\s-]*(?=\d)(?<!\d)"
)
_UNIT_AT_END: Final = re.compile(r"(?<=\d)(?:番地|号室|丁目|番(?![町館台丁棟])|号(?![棟館線地]))-?")
_DASH_AFTER_KATAKANA: Final = re.compile(rf"(?<=[{_KATAKANA}])-+")
_GA_BETWEEN_KANJI: Final = re.compile(r"(?<=[一-鿿])ガ(?=[一-鿿])")
_REPEATED_KANJI: Final = re.compile(r"([㐀-鿿豈-﫿])々")
_SPACES: Final = re.compile(r"\s+")


def _in_turn(*tables: Mapping[int, str]) -> dict[int, str]:
    """One table for `str.translate` that does what the given ones do one after the other."""
    joint = {code: chr(code) for table in tables for code in table}
    for table in tables:
        joint = {code: text.translate(table) for code, text in joint.items()}
    return joint


_OF_READINGS: Final = _in_turn(
    TO_KEY_FORM, _HIRAGANA_TO_KATAKANA, _SMALL_KANA, _LIKE_SOUNDS, _DASHES
)
_OF_ADDRESSES: Final = _in_turn(TO_KEY_FORM, _DASHES, _HIRAGANA_TO_KATAKANA, _SMALL_KANA)


def _settled(fold: Callable[[str], str], text: str) -> str:
    """`fold` applied until nothing changes: dropping a character may bring others together."""
    for _ in range(_MAX_PASSES):
        folded = fold(text)
        if folded == text:
            break
        text = folded
    return text


def _plain(text: str, table: Mapping[int, str]) -> str:
    """NFKC without variation selectors and case, then the characters of `table` replaced."""
    bare = _VARIATION_SELECTORS.sub("", text)
    return unicodedata.normalize("NFKC", bare).casefold().translate(table)


def _fold_name(text: str) -> str:
    folded = _SPACES.sub("", _plain(text, TO_KEY_FORM))
    return _REPEATED_KANJI.sub(r"\1\1", folded)


def _fold_reading(text: str) -> str:
    return (
        _SPACES.sub("", _plain(text, _OF_READINGS))
        .replace("-", "")
        .replace("・", "")
        .replace("'", "")
    )


def name_key(written: str) -> str:
    """Search key of a name as written: variants, IVS, width, case and spaces do not matter.

    髙橋　太郎 and 高橋太郎 agree; hiragana and katakana stay apart, since キヨ and きよ are two
    names on a register.
    """
    return _settled(_fold_name, written)


def reading_key(reading: str) -> str:
    """Search key of a reading: katakana, large kana, no long marks; ヂ, ヅ, ヲ as ジ, ズ, オ."""
    return _settled(_fold_reading, reading)


def name_keys(name: PersonName) -> tuple[str, ...]:
    """Every key under which a person may be looked up, the written name's first.

    As written, in the alphabet, by common name (通称), and with the former surname (旧氏) before
    the given name; no repetitions.
    """
    forms = [name.written, name.alphabet, name.common_name]
    if name.former_surname and "\u3000" in name.written:
        forms.append(name.former_surname + name.written.split("\u3000", 1)[1])
    return tuple(dict.fromkeys(name_key(form) for form in forms if form))


def _number_in_kanji(match: re.Match[str]) -> str:
    """十二 as 12, 二〇三 as 203."""
    text = match.group(1)
    if not any(c in _TENS_IN_KANJI for c in text):
        return "".join(str(_DIGITS_IN_KANJI[c]) for c in text)
    total = current = 0
    for c in text:
        if c in _TENS_IN_KANJI:
            total += max(current, 1) * _TENS_IN_KANJI[c]
            current = 0
        else:
            current = current * 10 + _DIGITS_IN_KANJI[c]
    return str(total + current)


def _fold_address(text: str) -> str:
    folded = _plain(text, _OF_ADDRESSES).removeprefix("大字")
    folded = _GA_BETWEEN_KANJI.sub("ケ", folded)
    folded = _DASH_AFTER_KATAKANA.sub("", folded)
    folded = _COUNTED_IN_KANJI.sub(_number_in_kanji, folded)
    folded = _UNIT_BEFORE_NUMBER.sub("-", folded)
    folded = _UNIT_AT_END.sub("", folded)
    return _REPEATED_KANJI.sub(r"\1\1", _SPACES.sub("", folded)).strip("-")


def address_text_key(text: str) -> str:
    """Search key of town and remainder as one text.

    二丁目3番5号, 2-3-5 and ２丁目３番地の５ agree, as do ヶ/ケ/が between kanji, hyphens and long
    marks of every kind, and a leading 大字. A long mark in a building's name is dropped.
    """
    return _settled(_fold_address, text)


def address_key(address: Address) -> str:
    """Search key of an address: its local government code and the key of town and remainder.

    The border between town and remainder does not matter; the ward of a designated city does.
    """
    return f"{address.municipality.digits}{SEPARATOR}{address_text_key(_joined(address))}"


def _joined(address: Address) -> str:
    return f"{address.town} {address.remainder}"


def birth_date_key(birth_date: BirthDate) -> str:
    """Eight digits, 00 where month or day is unknown: equal only to the same knowledge."""
    return f"{birth_date.year:04d}{birth_date.month:02d}{birth_date.day:02d}"


def four_items_key(items: FourItems) -> str:
    """The canonical string of the four items, by the name as written; encode it as UTF-8.

    `name_keys` gives the other names under which the same person may be asked for.
    """
    return four_items_key_under(name_key(items.name.written), items)


def four_items_key_under(name: str, items: FourItems) -> str:
    """As `four_items_key`, under one of `name_keys(items.name)`."""
    return SEPARATOR.join(
        (
            name,
            birth_date_key(items.birth_date),
            str(int(items.sex)),
            address_key(items.address),
        )
    )
