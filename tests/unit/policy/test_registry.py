"""An operator's mistake in the registry stops the start, with the file and the place named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from juki.domain.errors import JukiError, Reason
from juki.domain.legal_basis import Field, LegalBasis, SearchKey
from juki.policy.evaluator import Policy
from juki.policy.registry import Grant, NumberCitation, Registry
from juki.policy.registry_file import load_registry
from juki.policy.revisions import Law

PENSION = """
[[agency]]
identity = "spiffe://agency.juki.example/nenkin"
name = "日本年金機構"
route = "national"
[[agency.grant]]
table = 1
item = "77"
individual_number = {item = "46"}
search_keys = ["INDIVIDUAL_NUMBER", "FOUR_ITEMS"]
"""

Write = Callable[[str], Path]


def test_the_demo_registry_grants_what_it_says(law: Law) -> None:
    agencies = load_registry(Path("deploy/demo/agencies.toml"), [law]).agencies

    def grant_of(name: str, basis: LegalBasis) -> Grant:
        (grant,) = agencies[f"spiffe://agency.juki.example/{name}"].grants[basis]
        return grant

    assert grant_of("nenkin", LegalBasis("30-9", "1:77")).number == NumberCitation("46")
    assert grant_of("gaimu", LegalBasis("30-9", "1:41")).number is None
    taxes = grant_of("aichi-zeimu", LegalBasis("30-11(1)(i)", "3:4-3")).number
    assert taxes is not None
    assert "地方税法" in law.tables.number_use[taxes.item or ""].affair
    assert Field.CHANGE not in (grant_of("houmu", LegalBasis("30-9", "1:30")).fields or ())


def test_no_body_of_the_demo_may_search_by_resident_record_code(law: Law) -> None:
    for agency in load_registry(Path("deploy/demo/agencies.toml"), [law]).agencies.values():
        for grants in agency.grants.values():
            for grant in grants:
                assert SearchKey.RESIDENT_RECORD_CODE not in grant.search_keys


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        (
            'name = "日本年金機構"',
            'name = "日本年金機構"\ncolour = "red"',
            "agency.0.colour: unknown key",
        ),
        ("search_keys =", "serach_keys =", "serach_keys: unknown key"),
        ('{item = "46"}', '{item = "46", user = "x"}', "individual_number.user: unknown key"),
        ('item = "77"\n', 'item = "4"\n', "no such row in the Appended Tables"),
        ('item = "77"\n', 'item = "x"\n', "table 1 item x"),
        ("table = 1", "table = 9", "table 9"),
        ('{item = "46"}', '{item = "999"}', "no item 999 in the number-use table"),
        ('individual_number = {item = "46"}\n', "", "only where its use is cited"),
        ('"FOUR_ITEMS"]', '"RESIDENT_RECORD_CODE"]', "its basis go together"),
        ('"FOUR_ITEMS"]', '"FOUR_ITEMS"]\nresident_record_code_basis = "x"', "go together"),
        ('"FOUR_ITEMS"]', '"BLOOD_TYPE"]', "search_keys.1"),
        ('["INDIVIDUAL_NUMBER", "FOUR_ITEMS"]', "[]", "search_keys"),
        ('"FOUR_ITEMS"]', '"FOUR_ITEMS"]\nfields = ["RESIDENT_RECORD_CODE"]', "cannot be granted"),
        ('route = "national"', 'route = "prefectural"', "not answered on the prefectural route"),
        ('route = "national"', 'route = "by post"', "agency.0.route"),
        ('table = 1\nitem = "77"', 'table = 5\nitem = "6"', "not answered to a corporation"),
        ('table = 1\nitem = "77"', 'table = 4\nitem = "1"', "not answered to a corporation"),
        ("spiffe://agency", "https://agency", "identity"),
        ("[[agency.grant]]", "[[agency.grant]", "is not TOML"),
    ],
)
def test_a_mistake_stops_the_start_and_is_named(
    law: Law, registry_file: Write, before: str, after: str, complaint: str
) -> None:
    assert before in PENSION
    with pytest.raises(JukiError) as refusal:
        load_registry(registry_file(PENSION.replace(before, after, 1)), [law])
    assert refusal.value.reason is Reason.CONFIGURATION_INVALID
    assert refusal.value.message.startswith("agencies.toml: ")
    assert complaint in refusal.value.message


def test_the_unchanged_registry_is_accepted(law: Law, registry_file: Write) -> None:
    assert len(load_registry(registry_file(PENSION), [law]).agencies) == 1


def test_one_identity_is_registered_once(law: Law, registry_file: Write) -> None:
    with pytest.raises(JukiError, match="registered twice"):
        load_registry(registry_file(PENSION + PENSION), [law])


def test_one_affair_is_granted_once(law: Law, registry_file: Write) -> None:
    grant = PENSION[PENSION.index("[[agency.grant]]") :]
    with pytest.raises(JukiError, match="1:77 stands twice for one day"):
        load_registry(registry_file(PENSION + grant), [law])


@pytest.mark.parametrize("text", ["", "# nobody yet\n"])
def test_an_empty_policy_refuses_to_start(law: Law, registry_file: Write, text: str) -> None:
    with pytest.raises(JukiError, match="an empty policy refuses to start"):
        load_registry(registry_file(text), [law])
    with pytest.raises(JukiError, match="an empty policy refuses to start"):
        Policy([law], Registry({}, {}, {}))


def test_a_body_without_a_grant_is_not_registered(law: Law, registry_file: Write) -> None:
    with pytest.raises(JukiError, match=r"agency\.0\.grant"):
        load_registry(registry_file(PENSION[: PENSION.index("[[agency.grant]]")]), [law])


def test_a_missing_registry_is_named(law: Law, tmp_path: Path) -> None:
    with pytest.raises(JukiError, match=r"nothing\.toml: cannot be read"):
        load_registry(tmp_path / "nothing.toml", [law])


def test_the_code_is_a_search_key_only_where_separately_granted(
    law: Law, registry_file: Write
) -> None:
    separately = PENSION.replace(
        '"FOUR_ITEMS"]', '"RESIDENT_RECORD_CODE"]\nresident_record_code_basis = "permission 12"'
    )
    agencies = load_registry(registry_file(separately), [law]).agencies
    (grant,) = agencies["spiffe://agency.juki.example/nenkin"].grants[LegalBasis("30-9", "1:77")]
    assert SearchKey.RESIDENT_RECORD_CODE in grant.search_keys


def test_table_4_needs_the_way_by_the_governor(law: Law, registry_file: Write) -> None:
    town = (
        PENSION.replace("table = 1", "table = 4")
        .replace('item = "77"', 'item = "1"')
        .replace('{item = "46"}', '{item = "126"}')
        .replace('route = "national"', 'kind = "mayor"\nplace = "232025"')
    )
    with pytest.raises(JukiError, match="needs the governor's server"):
        load_registry(registry_file(town), [law])
    governor = 'governor = "spiffe://pref23.juki.example/server"\n[[agency.grant]]'
    load_registry(registry_file(town.replace("[[agency.grant]]", governor)), [law])


def test_a_citation_counts_only_where_the_reviewed_mapping_grants_the_row_by_that_item(
    law: Law, registry_file: Write
) -> None:
    wrong_item = PENSION.replace('{item = "46"}', '{item = "37"}')
    with pytest.raises(JukiError, match="item 37 of the number-use table does not reach"):
        load_registry(registry_file(wrong_item), [law])
