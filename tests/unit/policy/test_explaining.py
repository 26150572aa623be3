"""Explanations say what the policy decides, in words; the page of examples says what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from juki.cli.policy import app
from juki.devtools.policy_examples import PAGE, examples, regenerated
from juki.domain.errors import JukiError
from juki.domain.legal_basis import Field, Manner, SearchKey
from juki.policy import wording
from juki.policy.evaluator import Policy
from juki.policy.explaining import Inquiry, explain
from juki.policy.provisions import RecipientKind
from tests.policy_world import EXAMPLE, NOON, PENSION, WORLD, Question, policy_of

PENSIONS = ["--agency", PENSION, "--affair", "1:77", "--policy", str(EXAMPLE)]


@pytest.fixture(scope="module")
def policy() -> Policy:
    return policy_of(WORLD)


def test_the_page_says_what_the_data_and_the_command_say() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert len(examples(page)) >= 10
    assert regenerated(page) == page


def test_the_examples_are_grants_and_refusals() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.count("提供     │") >= 10
    assert page.count("拒否 ") >= 3
    assert page.count("除外     │") >= 3


def test_every_grant_of_the_world_is_explained_as_it_is_decided(policy: Policy) -> None:
    for agency in policy.registry.agencies.values():
        for basis in agency.grants:
            told = explain(policy, Inquiry(agency.identity, basis, NOON))
            assert told.granted, f"{agency.identity} {basis}: {told.detail}"
            assert [line.field for line in told.lines] == sorted(Field)
            provision = policy.laws[0].provisions.by_basis[basis.provision]
            tier = min(provision.answered_by)
            facts = {name.english: value for name, value in told.facts}
            assert provision.japanese in facts["provision"].japanese
            assert wording.article(basis.provision).japanese in facts["provision"].japanese
            if provision.manner is Manner.LOOK_UP and "own prefecture" not in str(facts["way"]):
                decision = Question(agency.identity, basis, tier, place=_answerer(told.facts)).ask
                try:
                    granted = decision(policy).granted
                except JukiError:
                    continue  # asked on another way than the explanation took
                assert granted == {line.field for line in told.lines if line.granted}


def _answerer(facts: tuple[tuple[wording.Words, wording.Words], ...]) -> str:
    way = next(value.english for name, value in facts if name.english == "way")
    return {"愛知県": "23", "静岡県": "22", "静岡県浜松市": "221309"}.get(
        way.partition("(")[2].partition(")")[0], ""
    )


@pytest.mark.parametrize(
    ("basis", "japanese"),
    [
        ("30-9", "住民基本台帳法第三十条の九"),
        ("30-9-2(1)", "住民基本台帳法第三十条の九の二第一項"),
        ("30-10(1)(iv)", "住民基本台帳法第三十条の十第一項第四号"),
        ("30-15-2(3)", "住民基本台帳法第三十条の十五の二第三項"),
        ("37(2)", "住民基本台帳法第三十七条第二項"),
    ],
)
def test_an_article_is_written_as_the_act_writes_it(basis: str, japanese: str) -> None:
    assert wording.article(basis).japanese == japanese


def test_a_row_is_written_as_the_act_writes_it() -> None:
    assert wording.row(1, "57-31").japanese == "別表第一の五十七の三十一の項"
    assert wording.row(1, "121").japanese == "別表第一の百二十一の項"


def test_every_field_key_and_kind_has_its_words() -> None:
    assert set(wording.FIELD_WORDS) == set(Field)
    assert set(wording.KEY_WORDS) == set(SearchKey)
    assert set(wording.KIND_WORDS) == set(RecipientKind)


def test_json_names_each_field_with_its_article() -> None:
    result = CliRunner().invoke(app, ["explain", *PENSIONS, "--at", "2026-05-28", "--json"])
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    fields = {one["field"]: one for one in told["fields"]}
    assert not fields["RESIDENT_RECORD_CODE"]["granted"]
    assert fields["INDIVIDUAL_NUMBER"]["english"] == "My Number Act Art. 9 (1), its table's item 46"
    assert {one["article"] for one in told["fields"]} == {"30-9"}


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ([], 0),
        (["--key", "RESIDENT_RECORD_CODE"], 1),
        (["--tier", "prefectural", "--place", "23"], 1),
        (["--at", "2026-02-13T23:59:59"], 1),
        (["--at", "2026-02-13T15:00:00+00:00"], 0),
        (["--fields", "BLOOD_TYPE"], 2),
        (["--provision", "30-14"], 2),
        (["--at", "someday"], 2),
    ],
)
def test_the_exit_code_says_what_became_of_it(more: list[str], code: int) -> None:
    at = [] if "--at" in more else ["--at", "2026-05-28"]
    assert CliRunner().invoke(app, ["explain", *PENSIONS, *at, *more]).exit_code == code


def test_a_difference_is_printed_and_told_by_the_exit_code(tmp_path: Path) -> None:
    new = tmp_path / "2026-08-22"
    new.mkdir()
    nothing = CliRunner().invoke(app, ["diff", "shipped", str(new)])
    assert nothing.exit_code == 0
    assert "0 rules differ" in nothing.stdout
    provisions = Path("juki/data/provisions.toml").read_text(encoding="utf-8")
    (new / "provisions.toml").write_text(
        provisions.replace('basis = "37(2)"', 'basis = "37(2)"\nin_force_until = 2026-12-31'),
        encoding="utf-8",
    )
    changed = CliRunner().invoke(app, ["diff", "shipped", str(new), "--json"])
    assert changed.exit_code == 1
    report = json.loads(changed.stdout)
    assert (report["old"], report["new"]) == ("2026-02-14", "2026-08-22")
    (change,) = report["changes"]
    assert (change["kind"], change["name"], change["change"]) == ("provision", "37(2)", "changed")
    assert "2026-12-31" in change["after"]
    assert CliRunner().invoke(app, ["diff", "shipped", str(tmp_path)]).exit_code == 2
