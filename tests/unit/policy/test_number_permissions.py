"""Each row of the Appended Tables has its verdict on the Individual Number; absent means no."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest
from typer.testing import CliRunner

from juki.cli.main import app
from juki.cli.policy import count_verdicts
from juki.domain.errors import JukiError, Reason
from juki.domain.legal_basis import AffairReference, LegalBasis
from juki.policy.number_permissions import (
    ACCOUNTED_FILE,
    PERMISSIONS_FILE,
    NumberPermissions,
    Verdict,
    load_number_permissions,
)
from juki.policy.registry_file import load_registry
from juki.policy.revisions import Law, load_revision
from juki.policy.tables import AFFAIRS_FILE, NUMBER_USE_FILE, LegalTables, shipped

DOCUMENT = Path(__file__).parents[3] / "docs" / "number-use.md"


@pytest.fixture(scope="module")
def permissions(tables: LegalTables) -> NumberPermissions:
    return load_number_permissions(tables)


def row(text: str) -> AffairReference:
    return AffairReference.parse(text)


def test_every_row_has_its_verdict_and_a_reason(
    tables: LegalTables, permissions: NumberPermissions
) -> None:
    assert len(permissions.by_row) == 652
    assert set(permissions.by_row) == set(tables.affairs)
    assert all(line.reason for lines in permissions.by_row.values() for line in lines)


def test_every_item_is_accounted_for(tables: LegalTables, permissions: NumberPermissions) -> None:
    assert len(permissions.accounts) == 181
    assert set(permissions.accounts) == set(tables.number_use)
    assert all(account.granted_by or account.reason for account in permissions.accounts.values())


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("1:77", "46"),  # 国民年金法, 厚生労働省及び日本年金機構
        ("1:74", "37"),  # 厚生年金保険法
        ("1:72-2", "2"),  # 健康保険法の保険給付, 全国健康保険協会及び健康保険組合
        ("1:69", "83"),  # 雇用保険法
        ("1:44-2", "57"),  # 国税
        ("1:68", "72,73"),
        ("1:15-2", "134"),  # デジタル庁 is 内閣総理大臣's
        ("1:57-8", "19"),  # 歯科衛生士の免許, with its registration body
        ("2:5-7", "56"),  # 児童扶養手当, 市長又は福祉事務所を管理する町村長
        ("2:5-8", "81"),  # 児童手当
        ("2:2-2", "24"),  # 地方税
        ("2:5-26", "100"),  # 介護保険
        ("3:7-5", "56"),  # 児童扶養手当, 都道府県知事
        ("3:4-3", "24"),  # 地方税, 都道府県知事
        ("4:4-7", "56"),
        ("5:9", "56"),
        ("6:5", "123"),  # 高等学校等就学支援金, 教育委員会
    ],
)
def test_the_same_body_with_the_same_acts_affair_is_granted(
    permissions: NumberPermissions, text: str, items: str
) -> None:
    (line,) = permissions.by_row[row(text)]
    assert (line.verdict, line.items, line.body) == (Verdict.GRANT, tuple(items.split(",")), "")
    assert all(permissions.permits(row(text), item) for item in items.split(","))


@pytest.mark.parametrize(
    "text",
    [
        "1:41",  # 旅券, 外務省
        "5:6",  # 旅券, 都道府県知事
        "1:31",  # 不動産登記
        "1:3",  # 金融商品取引業
        "1:2",  # 保険業
        "1:57-9",  # 歯科衛生士の試験: item 19 is the 免許
        "1:71-18",  # 介護支援専門員の試験: item 101 is the 登録
        "1:103",  # マンション管理業者: item 105-2 is マンション管理士
        "1:112",  # 建築士事務所: items 23-3 and 23-4 are 建築士
        "2:1-10",  # 地方税を除く歳入: item 24 is 地方税
        "2:1-11",  # 公職選挙
        "3:7-10",  # 喀痰吸引等: item 87 is 社会福祉士・介護福祉士の登録
        "3:20",  # 宅地建物取引業
        "5:11",  # 家畜商
        "6:1-2",  # 住民監査請求
    ],
)
def test_what_no_item_names_is_denied(
    tables: LegalTables, permissions: NumberPermissions, text: str
) -> None:
    assert [line.verdict for line in permissions.by_row[row(text)]] == [Verdict.DENIAL]
    assert not any(permissions.permits(row(text), item) for item in tables.number_use)


@pytest.mark.parametrize(
    "text",
    [
        "1:57-3",  # 医師の免許, but 国家試験 and 臨床研修の登録 too
        "1:19",  # 地方公務員等共済組合法, but 平成二十四年法律第六十三号附則 too
        "1:66",  # 職業紹介, but the licence of private agencies too
        "1:21",  # 介護保険料の特別徴収
        "1:120",  # 石綿: item 117-3 is 医療費 only
        "2:1-2",  # 罹災証明書, but 安否情報 too
        "3:7-16",  # 介護支援専門員の登録, but 試験 and 研修 too
        "5:31",  # 建築士の免許, but 建築士事務所 too
    ],
)
def test_a_row_covered_in_part_is_no(
    tables: LegalTables, permissions: NumberPermissions, text: str
) -> None:
    assert permissions.verdict(row(text)) is Verdict.UNDETERMINED
    assert not any(permissions.permits(row(text), item) for item in tables.number_use)


def test_a_grant_to_some_of_a_rows_bodies_is_theirs_only(permissions: NumberPermissions) -> None:
    treaties = row("1:77-9")
    assert permissions.permits(treaties, "119", "国家公務員共済組合連合会")
    assert not permissions.permits(treaties, "119", "国家公務員共済組合")
    assert not permissions.permits(treaties, "119")
    assert not permissions.permits(row("1:77-13"), "128", "地方公務員共済組合")
    assert permissions.permits(row("1:30"), "19-3", "司法試験委員会")
    assert not permissions.permits(row("1:30"), "19-3")


def test_a_body_is_named_by_its_row(tables: LegalTables, permissions: NumberPermissions) -> None:
    named = {
        line.body: tables.affairs[reference].recipient
        for reference, lines in permissions.by_row.items()
        for line in lines
        if line.body
    }
    within = {"司法試験委員会": "法務省"}  # a committee placed in the ministry that the row names
    assert named
    assert all(within.get(body, body) in recipient for body, recipient in named.items())


def test_an_item_not_cited_for_the_row_permits_nothing(permissions: NumberPermissions) -> None:
    assert permissions.permits(row("1:77"), "46")
    assert not permissions.permits(row("1:77"), "37")
    assert not permissions.permits(row("1:77"), "46", "somebody else")


def test_absent_means_no(permissions: NumberPermissions) -> None:
    nothing = NumberPermissions(MappingProxyType({}), permissions.accounts)
    assert not nothing.permits(row("1:77"), "46")
    assert nothing.verdict(row("1:77")) is Verdict.UNDETERMINED


def test_only_a_grant_permits_whatever_else_cites(permissions: NumberPermissions) -> None:
    (line,) = permissions.by_row[row("1:77")]
    denied = dataclasses.replace(line, verdict=Verdict.DENIAL)
    mapping = NumberPermissions(MappingProxyType({row("1:77"): (denied,)}), permissions.accounts)
    assert not mapping.permits(row("1:77"), "46")


def test_table_4_and_5_follow_2_and_3_where_the_affair_is_the_same(
    tables: LegalTables, permissions: NumberPermissions
) -> None:
    for one, other in ((2, 4), (3, 5)):
        by_affair = {
            affair.affair: reference
            for reference, affair in tables.affairs.items()
            if reference.table == one
        }
        pairs = [
            (by_affair[affair.affair], reference)
            for reference, affair in tables.affairs.items()
            if reference.table == other and affair.affair in by_affair
        ]
        assert len(pairs) > 40
        for first, second in pairs:
            assert [(line.verdict, line.items) for line in permissions.by_row[first]] == [
                (line.verdict, line.items) for line in permissions.by_row[second]
            ]


# The reading itself, held against the words of both tables.

NAMED_OTHERWISE = {
    "平成八年法律第八十二号": "厚生年金保険法等の一部を改正する法律",
    "平成二十三年法律第五十六号": "地方公務員等共済組合法の一部を改正する法律",
    "昭和六十年法律第三十四号": "国民年金法等の一部を改正する法律",
    "児童福祉法等の一部を改正する法律": "令和七年改正法",
}
"""Acts that one table calls by their number or by a short name."""


def bare(text: str) -> str:
    """The words without what stands in parentheses."""
    while (without_inner := re.sub(r"（[^（）]*）", "", text)) != text:
        text = without_inner
    return text


def act_of(affair: str) -> str:
    """The act that an affair of the number-use table begins with."""
    numbered = re.match(r"(?:昭和|平成)[^法]*法律第[^号]*号", bare(affair))
    named = re.match(r".+?(?:法律|法)(?=による|第|その他|附則|の規定|又は|を廃止)", bare(affair))
    found = numbered or named
    assert found is not None, affair
    return NAMED_OTHERWISE.get(found[0], found[0])


def granted(permissions: NumberPermissions) -> list[tuple[AffairReference, str]]:
    return [
        (reference, item)
        for reference, lines in permissions.by_row.items()
        for line in lines
        for item in line.items
    ]


def test_a_granted_row_names_the_act_of_each_of_its_items(
    tables: LegalTables, permissions: NumberPermissions
) -> None:
    strangers = [
        (str(reference), item, act_of(tables.number_use[item].affair))
        for reference, item in granted(permissions)
        if act_of(tables.number_use[item].affair) not in bare(tables.affairs[reference].affair)
    ]
    assert strangers == []


def test_no_row_with_an_examination_is_granted_by_an_item_without_one(
    tables: LegalTables, permissions: NumberPermissions
) -> None:
    examination = re.compile("試験|検定|研修の実施")
    assert [
        (str(reference), item)
        for reference, item in granted(permissions)
        if examination.search(bare(tables.affairs[reference].affair))
        and not examination.search(bare(tables.number_use[item].affair))
    ] == []


def test_an_act_said_to_be_in_no_item_is_in_none(
    tables: LegalTables, permissions: NumberPermissions
) -> None:
    words = "\n".join(f"{use.user}\t{use.affair}" for use in tables.number_use.values())
    said = [
        (lines[0].reference, found[1])
        for lines in permissions.by_row.values()
        if (found := re.fullmatch(r"(\S+) is in no item", lines[0].reason))
    ]
    assert len(said) > 200
    assert [(str(reference), act) for reference, act in said if act in words] == []
    assert all(act in tables.affairs[reference].affair for reference, act in said)


# The files refuse to load when they are not whole.

PERMISSION = "1\t77\tgrant\t46\t\t"


def without(line_start: str) -> Callable[[str], str]:
    return lambda text: "".join(
        line for line in text.splitlines(keepends=True) if not line.startswith(line_start)
    )


def doubled(line_start: str) -> Callable[[str], str]:
    return lambda text: "".join(
        line * 2 if line.startswith(line_start) else line for line in text.splitlines(keepends=True)
    )


def changed(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert text.count(old) == 1
        return text.replace(old, new)

    return change


MUTATIONS = [
    (PERMISSIONS_FILE, without(PERMISSION), "has no verdict for 1:77"),
    (PERMISSIONS_FILE, doubled(PERMISSION), r":\d+ 1:77 stands twice"),
    (PERMISSIONS_FILE, doubled("1\t77-9\tdenial"), r":\d+ 1:77-9 stands twice"),
    (PERMISSIONS_FILE, changed(PERMISSION, "1\t77\tgrant\t999\t\t"), r":\d+ no item 999"),
    (PERMISSIONS_FILE, changed(PERMISSION, "1\t77\tgrant\t\t\t"), "nothing but a grant"),
    (PERMISSIONS_FILE, changed(PERMISSION, "1\t77\tdenial\t46\t\t"), "nothing but a grant"),
    (PERMISSIONS_FILE, changed(PERMISSION, "1\t77\tperhaps\t46\t\t"), "verdict is none of"),
    (PERMISSIONS_FILE, changed(PERMISSION, "1\t4\tgrant\t46\t\t"), "1:4 is no row"),
    (PERMISSIONS_FILE, changed(PERMISSION, "7\t77\tgrant\t46\t\t"), "names no row"),
    (PERMISSIONS_FILE, changed(PERMISSION, "1\t77\tgrant\t46,46\t\t"), "cites an item twice"),
    (PERMISSIONS_FILE, changed(PERMISSION, "1\t77\tgrant\t46\t"), "a column too many or too few"),
    (PERMISSIONS_FILE, changed(PERMISSION, "1\t77\tgrant\t47\t\t"), "not granted by the rows"),
    (PERMISSIONS_FILE, lambda text: re.sub(f"({PERMISSION}).*", r"\1", text), "has no reason"),
    (PERMISSIONS_FILE, lambda text: text[:-1], "is cut off"),
    (PERMISSIONS_FILE, changed("table\titem\tverdict", "table\titem\tword"), "other columns"),
    (ACCOUNTED_FILE, without("46\t"), "does not account for item 46"),
    (ACCOUNTED_FILE, doubled("46\t"), r":\d+ item 46 does not exist or stands twice"),
    (ACCOUNTED_FILE, changed("46\t1:77\t", "46\t1:77,1:74\t"), "not granted by the rows"),
    (ACCOUNTED_FILE, changed("46\t1:77\t", "46\t1:77,1:77\t"), "names a row twice"),
    (ACCOUNTED_FILE, changed("46\t1:77\t\t", "46\t1:77\t1:41\t"), "that is not undetermined"),
    (ACCOUNTED_FILE, changed("46\t1:77\t\t", "46\t1:77\t\twhy"), "or else says why by none"),
]


@pytest.mark.parametrize(("file", "mutation", "words"), MUTATIONS)
def test_a_mapping_that_is_not_whole_is_refused(
    tables: LegalTables, file: str, mutation: Callable[[str], str], words: str
) -> None:
    def read(name: str) -> str:
        return mutation(shipped(name)) if name == file else shipped(name)

    with pytest.raises(JukiError, match=rf"number_[a-z_]+\.tsv.*{words}") as refused:
        load_number_permissions(tables, read)
    assert refused.value.reason is Reason.CONFIGURATION_INVALID


# Registered bodies cite, and the mapping decides.

BAR = """
[[agency]]
identity = "spiffe://agency.juki.example/houmu"
name = "司法試験委員会"
kind = "national_agency"
route = "national"

[[agency.grant]]
table = 1
item = "30"
individual_number = { item = "19-3", body = "司法試験委員会" }
search_keys = ["INDIVIDUAL_NUMBER"]
"""


def test_a_citation_names_the_body_where_the_item_reaches_only_some(
    law: Law, registry_file: Callable[[str], Path]
) -> None:
    agencies = load_registry(registry_file(BAR), [law]).agencies
    (grant,) = agencies["spiffe://agency.juki.example/houmu"].grants[LegalBasis("30-9", "1:30")]
    assert grant.number is not None
    assert grant.number.body == "司法試験委員会"
    with pytest.raises(JukiError, match=r"item 19-3 .* does not reach this affair"):
        load_registry(registry_file(BAR.replace(', body = "司法試験委員会"', "")), [law])


def test_an_ordinance_is_cited_without_a_body(
    law: Law, registry_file: Callable[[str], Path]
) -> None:
    with pytest.raises(JukiError, match="names a body only beside an item"):
        load_registry(registry_file(BAR.replace('item = "19-3"', 'ordinance = "x.1"')), [law])


@pytest.mark.parametrize("item", ["41", "57-3", "71-6"])
def test_a_citation_for_a_row_that_is_not_granted_is_refused(
    law: Law, registry_file: Callable[[str], Path], item: str
) -> None:
    for cited in law.tables.number_use:
        text = BAR.replace('item = "30"', f'item = "{item}"').replace(
            '"19-3", body = "司法試験委員会"', f'"{cited}"'
        )
        with pytest.raises(JukiError, match=f"item {cited} .* does not reach this affair"):
            load_registry(registry_file(text), [law])


# Later revisions.


def revision(tmp_path: Path, **texts: str) -> Law:
    directory = tmp_path / "2030-01-01"
    directory.mkdir()
    for name, text in texts.items():
        (directory / f"{name}.tsv").write_text(text, encoding="utf-8")
    return load_revision(directory)


def test_verdicts_carry_over_where_row_and_items_read_the_same(tmp_path: Path) -> None:
    affairs = shipped(AFFAIRS_FILE).replace("健康保険法による同法第六十四条の登録", "別の登録")
    uses = re.sub("(?m)^46\t厚生労働大臣", "46\t内閣総理大臣", shipped(NUMBER_USE_FILE))
    law = revision(tmp_path, legal_affairs=affairs, number_use=uses)
    assert law.permissions.permits(row("1:74"), "37")
    assert not law.permissions.permits(row("1:72-3"), "1"), "the row reads otherwise"
    assert not law.permissions.permits(row("1:77"), "46"), "the item reads otherwise"


def test_a_revision_may_bring_its_own_verdicts(tmp_path: Path) -> None:
    verdicts = re.sub("(?m)^1\t41\tdenial\t\t", "1\t41\tgrant\t46\t", shipped(PERMISSIONS_FILE))
    accounts = re.sub("(?m)^46\t1:77\t", "46\t1:77,1:41\t", shipped(ACCOUNTED_FILE))
    law = revision(tmp_path, number_permissions=verdicts, number_use_accounted=accounts)
    assert law.permissions.permits(row("1:41"), "46")


def test_a_revisions_own_verdicts_are_checked_as_strictly(tmp_path: Path) -> None:
    with pytest.raises(JukiError, match="has no verdict for 1:77"):
        revision(tmp_path, number_permissions=without(PERMISSION)(shipped(PERMISSIONS_FILE)))


# What is printed, and what the document says.


def test_the_command_prints_counts_and_the_rows_asked_for(permissions: NumberPermissions) -> None:
    ran = CliRunner().invoke(
        app, ["policy", "number-use", "--table", "1", "--verdict", "undetermined", "--json"]
    )
    assert ran.exit_code == 0
    printed = json.loads(ran.output)
    assert sum(sum(of_table.values()) for of_table in printed["counts"].values()) == 652
    rows = {line["row"] for line in printed["rows"]}
    assert "1:57-3" in rows
    assert {line["verdict"] for line in printed["rows"]} == {"undetermined"}
    assert rows == {
        str(reference)
        for reference, lines in permissions.by_row.items()
        for line in lines
        if reference.table == 1 and line.verdict is Verdict.UNDETERMINED
    }


def test_the_command_prints_a_table_of_counts() -> None:
    ran = CliRunner().invoke(app, ["policy", "number-use", "--table", "6"])
    assert ran.exit_code == 0
    assert "6:1-2" in ran.output
    assert re.search(r"all\D+\d+\D+\d+\D+\d+\D+652", ran.output)


def test_the_document_says_what_the_data_say(permissions: NumberPermissions) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for table, counts in count_verdicts(permissions).items():
        numbers = [counts[verdict] for verdict in Verdict]
        line = " | ".join(str(number) for number in (table, *numbers, sum(numbers)))
        assert f"| {line} |" in text
    listed = re.findall(r"(?m)^\| (\d:[0-9-]+)(?: \(([^|]*)\))? \| (.*) \|$", text)
    undetermined = [
        (str(line.reference), line.body, line.reason)
        for lines in permissions.by_row.values()
        for line in lines
        if line.verdict is Verdict.UNDETERMINED
    ]
    assert listed == undetermined


def test_a_permission_is_frozen(permissions: NumberPermissions) -> None:
    (line,) = permissions.by_row[row("1:41")]
    with pytest.raises(dataclasses.FrozenInstanceError):
        line.items = ("46",)  # type: ignore[misc]
