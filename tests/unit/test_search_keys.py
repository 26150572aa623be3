"""Search keys: one person's many spellings fold together, other people's names stay apart."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juki.domain.codes import LocalGovernmentCode
from juki.domain.four_items import Address, BirthDate, FourItems, PersonName, Sex
from juki.domain.kanji_variants import TO_KEY_FORM
from juki.domain.search_keys import (
    address_key,
    address_text_key,
    birth_date_key,
    four_items_key,
    four_items_key_under,
    name_key,
    name_keys,
    reading_key,
)

SHIZUOKA_AOI = LocalGovernmentCode("221015")
HAMAMATSU_CHUO = LocalGovernmentCode("221384")

ADDRESS_LIKE = st.text(
    alphabet="一二三十〇百0１2番号地丁目のノがヶケー-－‐ 　室棟町条字大霞関タワ\U000e0100ﾞ゙々邉A"
)
NAMES = st.text(alphabet="髙高﨑崎邉邊辺々佐木齋\U000e0100\U000e0101\ufe00ｶﾞが 　AaßİÅ")

OTHER_SURNAMES = """
渡辺 渡部 太田 大田 川崎 河崎 土田 士田 荻原 萩原
庄司 荘司 高橋 高端 佐藤 左藤 伊東 伊藤 阿部 安部
山崎 山碕 前園 前薗 大塚 太塚 小池 子池 三浦 美浦
キヨ きよ 一ノ瀬 一之瀬 未来 末来
"""


def items(name: PersonName, address: Address | None = None) -> FourItems:
    return FourItems(
        name,
        BirthDate(1985, 4, 2),
        Sex.FEMALE,
        address or Address(SHIZUOKA_AOI, "追手町", "5番1号"),
    )


@given(st.text() | NAMES)
def test_folding_a_name_twice_changes_nothing(text: str) -> None:
    assert name_key(name_key(text)) == name_key(text)


@given(st.text() | NAMES)
def test_folding_a_reading_twice_changes_nothing(text: str) -> None:
    assert reading_key(reading_key(text)) == reading_key(text)


@given(st.text() | ADDRESS_LIKE)
def test_folding_an_address_twice_changes_nothing(text: str) -> None:
    assert address_text_key(address_text_key(text)) == address_text_key(text)


@given(NAMES, st.integers(0xE0100, 0xE01EF), st.integers(0, 20))
def test_a_variation_selector_anywhere_does_not_change_a_key(
    name: str, selector: int, position: int
) -> None:
    varied = name[:position] + chr(selector) + name[position:]
    assert name_key(varied) == name_key(name)


@pytest.mark.parametrize(
    "spellings",
    [
        ("髙橋　太郎", "高橋太郎", "高橋 太郎", "髙\U000e0100槗太郎"),
        ("渡邉　花子", "渡邊花子", "渡辺 花子", "渡邉\U000e0101花子", "渡邊\U000e0102　花子"),
        ("齋藤　一", "斎藤一", "斉藤一", "齊藤　一"),
        ("宮﨑", "宮崎", "宮嵜"),
        ("濵田", "濱田", "浜田"),
        ("佐々木", "佐佐木"),
        ("𠮷田", "吉田"),
        ("葛\U000e0100西", "葛西"),
        ("ＮＧＵＹＥＮ　ＶＡＮ　ＡＮＨ", "Nguyen Van Anh", "NGUYEN VAN ANH"),
        ("ﾏﾘｱ", "マリア"),
        ("神\ufe00谷", "神谷"),
    ],
)
def test_spellings_of_one_name_have_one_key(spellings: tuple[str, ...]) -> None:
    assert len({name_key(spelling) for spelling in spellings}) == 1


def test_other_surnames_stay_apart() -> None:
    surnames = OTHER_SURNAMES.split()
    assert len({name_key(surname) for surname in surnames}) == len(surnames)


def test_no_key_form_is_itself_a_variant_and_none_is_changed_by_nfkc() -> None:
    for variant, key_form in TO_KEY_FORM.items():
        assert ord(key_form) not in TO_KEY_FORM
        assert unicodedata.normalize("NFKC", key_form) == key_form
        assert chr(variant) != key_form


def test_readings_agree_over_kana_size_width_and_like_sounds() -> None:
    assert reading_key("ｷﾑﾗ ｼｭﾝｲﾁ") == reading_key("きむら　しゆんいち")
    assert reading_key("ミヅホ") == reading_key("みずほ")
    assert reading_key("マリー・アン") == reading_key("マリアン")
    assert reading_key("オオタ") != reading_key("オダ")


@pytest.mark.parametrize(
    "spellings",
    [
        (
            "旭町二丁目3番5号",
            "旭町2丁目３番５号",
            "旭町２－３－５",
            "旭町2ー3ー5",
            "旭町二丁目3番地の5",
        ),
        ("追手町9番6号", "追手町9-6", "追手町９番地６", "追手町9の6", "追手町九番六号"),
        ("上原1234番地", "大字上原1234", "上原１２３４番地"),
        ("霞が関一丁目1番1号", "霞ケ関1-1-1", "霞ヶ関１丁目１－１"),
        ("北一条西二丁目1番地", "北1条西2丁目1", "北１条西２－１"),
        ("旭町1番2号メゾン青葉203号室", "旭町1-2 メゾン青葉203", "旭町1番2号　メゾン青葉２０３号"),
        ("旭町1番2号 203号室", "旭町1-2-203"),
        ("旭町1番2号サンタワー305", "旭町1-2サンタワ―305", "旭町1-2 ｻﾝﾀﾜｰ305号"),
        ("三ツ石12番地", "三ッ石12", "三つ石12"),
    ],
)
def test_spellings_of_one_address_have_one_key(spellings: tuple[str, ...]) -> None:
    assert len({address_text_key(spelling) for spelling in spellings}) == 1


def test_other_addresses_stay_apart() -> None:
    texts = [
        "旭町1番12号", "旭町11番2号", "旭町1丁目1番2号", "旭町112", "旭町1番2号", "旭町1番2号3号棟",
        "旭町1番2号3", "一番町5", "1番15", "旭町12番地", "旭町10番地2", "旭町102",
    ]  # fmt: skip
    assert len({address_text_key(text) for text in texts}) == len(texts)


def test_the_border_between_town_and_remainder_does_not_matter() -> None:
    first = Address(SHIZUOKA_AOI, "旭町", "二丁目3番5号")
    second = Address(SHIZUOKA_AOI, "旭町二丁目", "3-5")
    assert address_key(first) == address_key(second)


def test_the_same_town_in_another_ward_is_another_address() -> None:
    assert address_key(Address(SHIZUOKA_AOI, "旭町", "1")) != address_key(
        Address(HAMAMATSU_CHUO, "旭町", "1")
    )


def test_an_unknown_day_of_birth_is_a_key_of_its_own() -> None:
    assert birth_date_key(BirthDate(1931, 4)) == "19310400"
    assert birth_date_key(BirthDate(1931)) == "19310000"


def test_a_foreign_resident_is_found_by_each_recorded_name() -> None:
    name = PersonName("王　偉", alphabet="WANG WEI", common_name="王子　偉")
    assert name_keys(name) == ("王偉", "wangwei", "王子偉")
    assert name_keys(PersonName("NGUYEN ANH", alphabet="NGUYEN ANH")) == ("nguyenanh",)


def test_a_former_surname_is_searched_with_the_given_name() -> None:
    assert name_keys(PersonName("渡邉　花子", former_surname="髙橋")) == ("渡辺花子", "高橋花子")


def test_the_four_items_of_one_person_written_twice_have_one_key() -> None:
    asked = items(PersonName("高橋太郎"), Address(SHIZUOKA_AOI, "追手町", "5-1"))
    assert four_items_key(asked) == four_items_key(items(PersonName("髙橋　太郎")))


def test_each_of_the_four_items_counts() -> None:
    base = items(PersonName("高橋太郎"))
    others = [
        FourItems(PersonName("高橋次郎"), base.birth_date, base.sex, base.address),
        FourItems(base.name, BirthDate(1985, 4, 3), base.sex, base.address),
        FourItems(base.name, base.birth_date, Sex.MALE, base.address),
        FourItems(base.name, base.birth_date, base.sex, Address(SHIZUOKA_AOI, "追手町", "5-2")),
    ]
    assert len({four_items_key(each) for each in [base, *others]}) == 5


def test_the_four_items_can_be_keyed_under_a_common_name() -> None:
    foreigner = items(PersonName("WANG WEI", common_name="王子　偉"))
    keys = [four_items_key_under(name, foreigner) for name in name_keys(foreigner.name)]
    assert keys[0] == four_items_key(foreigner)
    assert keys[1] == four_items_key(items(PersonName("王子偉")))
