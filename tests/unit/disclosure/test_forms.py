"""A disclosure as page, paper and JSON: the facts are in each, and written as they are written."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from juki.disclosure import japanese
from juki.disclosure.json_form import from_json, to_json
from juki.disclosure.page import page
from juki.disclosure.paper import FONTS, paper
from juki.domain.errors import InvalidValue, JukiError
from juki.v1 import disclosure_pb2, identification_pb2
from tests.disclosure_sample import WRITTEN, sample_disclosure

NEEDS_FONT = pytest.mark.skipif(
    not FONTS.is_dir() or shutil.which("pdftotext") is None,
    reason="needs fonts-ipamj-mincho and poppler-utils",
)
FACTS = (
    "D-2026-00000012",
    "地方公共団体情報システム機構",
    "静岡県浜松市元城町103番地の2",
    "1234 5678 9018",
    "2472 7059 608",
    "昭和33年4月2日",
    "個人番号の変更請求",
    "東京都千代田区から",
    "日本年金機構",
    "住民基本台帳法第30条の9",
    "別表第一の77の項",
    "住民基本台帳法第30条の15第1項第1号",
    "静岡県知事",
    "浜松東年金事務所",
    "市町村間で確認中",
    "99120-0",
)


@pytest.fixture(scope="module")
def sample() -> disclosure_pb2.Disclosure:
    return sample_disclosure()


def text_of(page_html: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", " ", page_html))


def test_the_page_holds_the_facts_and_the_name_as_written(
    sample: disclosure_pb2.Disclosure,
) -> None:
    text = text_of(page(sample))
    for fact in FACTS:
        assert fact in text, fact
    assert WRITTEN in text
    assert "国民年金法による被保険者に係る届出" in text


def test_the_page_fetches_nothing_and_runs_nothing(sample: disclosure_pb2.Disclosure) -> None:
    assert not re.search(r"<script|<link|<img|<iframe|\bsrc=|url\(|@import|\son\w+=", page(sample))


def test_what_a_record_says_never_becomes_markup(sample: disclosure_pb2.Disclosure) -> None:
    hostile = disclosure_pb2.Disclosure()
    hostile.CopyFrom(sample)
    hostile.records[0].information.name.written = '<script>alert("1")</script>'
    hostile.provisions[0].office = '#image("x") *bold* $1$ </p>'
    assert "<script" not in page(hostile)
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;" in page(hostile)


def test_of_whom_nothing_is_held_page_and_json_say_so() -> None:
    nothing = disclosure_pb2.Disclosure(
        form_version=1, request_id="D-2026-00000001", discloser="静岡県知事"
    )
    assert "静岡県知事には記録されていません" in text_of(page(nothing))
    assert json.loads(to_json(nothing))["held"] is False


def test_json_is_read_back_as_it_was_and_names_its_form(
    sample: disclosure_pb2.Disclosure,
) -> None:
    with_proof = disclosure_pb2.Disclosure()
    with_proof.CopyFrom(sample)
    with_proof.provisions[1].proof.json = '{"leaf": "x"}'
    text = to_json(with_proof)
    values = json.loads(text)
    assert values["form"] == "juki.disclosure/1"
    assert values["provisions"][1]["proof"] == {"leaf": "x"}
    assert values["provisions"][1]["field_words"] == [
        "氏名",
        "生年月日",
        "性別",
        "住所",
        "変更情報",
    ]
    assert values["records"][0]["information"]["name"]["written"] == WRITTEN
    assert "proof" not in values["provisions"][0]
    assert from_json(text) == with_proof


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"form": "juki.disclosure/1", "provisions": 3}', '{"form": "x"}']
)
def test_json_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        from_json(text)


@NEEDS_FONT
def test_the_papers_text_holds_the_facts_and_its_fonts_are_embedded(
    sample: disclosure_pb2.Disclosure, tmp_path: Path
) -> None:
    file = tmp_path / "disclosure.pdf"
    file.write_bytes(paper(sample))
    done = subprocess.run(
        ["pdftotext", "-layout", str(file), "-"], capture_output=True, text=True, check=True
    )
    text = re.sub(r"\s", "", done.stdout)
    for fact in FACTS:
        assert re.sub(r"\s", "", fact) in text, fact
    assert re.sub(r"\s", "", WRITTEN) in text
    fonts = subprocess.run(["pdffonts", str(file)], capture_output=True, text=True, check=True)
    lines = fonts.stdout.splitlines()[2:]
    assert lines
    for line in lines:
        assert "IPAmjMincho" in line
        assert line.split()[-5:-2] == ["yes", "yes", "yes"], "embedded, subset, with Unicode"


@NEEDS_FONT
def test_paper_says_that_it_is_an_archival_document(sample: disclosure_pb2.Disclosure) -> None:
    made = paper(sample)
    assert b"<pdfaid:part>2</pdfaid:part>" in made
    assert b"<pdfaid:conformance>B</pdfaid:conformance>" in made
    assert made == paper(sample), "the same disclosure gives the same bytes"


@NEEDS_FONT
def test_a_character_that_the_font_lacks_stops_the_document(
    sample: disclosure_pb2.Disclosure,
) -> None:
    strange = disclosure_pb2.Disclosure()
    strange.CopyFrom(sample)
    strange.records[0].information.name.written = "駿河　\U0001f600"
    with pytest.raises(JukiError) as refused:
        paper(strange)
    assert "\U0001f600" not in str(refused.value)


@NEEDS_FONT
def test_what_a_record_says_is_never_typeset_as_markup(
    sample: disclosure_pb2.Disclosure, tmp_path: Path
) -> None:
    hostile = disclosure_pb2.Disclosure()
    hostile.CopyFrom(sample)
    hostile.provisions[0].office = '#read("/etc/hostname")*b*'
    file = tmp_path / "hostile.pdf"
    file.write_bytes(paper(hostile))
    done = subprocess.run(["pdftotext", str(file), "-"], capture_output=True, text=True, check=True)
    assert '#read("/etc/hostname")*b*' in done.stdout


def test_without_the_font_it_is_said_what_to_install(
    sample: disclosure_pb2.Disclosure, tmp_path: Path
) -> None:
    with pytest.raises(JukiError) as refused:
        paper(sample, tmp_path)
    assert "fonts-ipamj-mincho" in refused.value.message


@pytest.mark.parametrize(
    ("birth", "words"),
    [
        ((2019, 4, 30), "平成31年4月30日"),
        ((2019, 5, 1), "令和元年5月1日"),
        ((1926, 12, 24), "大正15年12月24日"),
        ((1926, 12, 25), "昭和元年12月25日"),
        ((1950, 0, 0), "昭和25年（月日不詳）"),
        ((1950, 3, 0), "昭和25年3月（日不詳）"),
        ((1950, 2, 31), "1950-2-31"),
    ],
)
def test_dates_of_birth_are_written_by_era_and_may_lack_a_part(
    birth: tuple[int, int, int], words: str
) -> None:
    year, month, day = birth
    message = identification_pb2.BirthDate(year=year, month=month, day=day)
    assert japanese.birth_date(message) == words
