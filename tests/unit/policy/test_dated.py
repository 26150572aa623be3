"""Every rule has its days: grants, ordinances, consents, provisions, revisions of the tables."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from juki.domain.errors import JukiError, Reason
from juki.domain.legal_basis import Field, LegalBasis, PersonCondition, SearchKey, Tier
from juki.policy.calendar import Period, date_of, day_number
from juki.policy.difference import difference
from juki.policy.evaluator import Policy
from juki.policy.provisions import parse_provisions
from juki.policy.registry import Registry
from juki.policy.revisions import load_laws, load_revision, shipped_law
from juki.policy.tables import shipped
from tests.policy_world import AICHI, ALL, EXAMPLE, PENSION, TOYOTA, WORLD, Question, policy_of

JAPAN = datetime.timezone(datetime.timedelta(hours=9))
PENSIONS = Question(PENSION, LegalBasis("30-9", "1:77"))
CONSENT = Question(
    AICHI, LegalBasis("30-15(1)(iii)", "aichi-sakura"), tier=Tier.PREFECTURAL, place="23"
)


def instant(text: str) -> int:
    """Nanoseconds of a time in Japan."""
    moment = datetime.datetime.fromisoformat(text).replace(tzinfo=JAPAN)
    return int(moment.timestamp()) * 10**9


def reason(policy: Policy, question: Question) -> Reason:
    with pytest.raises(JukiError) as refused:
        question.ask(policy)
    return refused.value.reason


def revision(directory: Path, day: str, **files: str) -> Path:
    """A directory `day` with files given as `legal_affairs_tsv="…"`."""
    path = directory / day
    path.mkdir(parents=True)
    for name, text in files.items():
        stem, _, suffix = name.rpartition("_")
        (path / f"{stem}.{suffix}").write_text(text, encoding="utf-8")
    return path


def without_row(table: int, item: str) -> str:
    lines = shipped("legal_affairs.tsv").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(f"{table}\t{item}\t"))


def with_new_row() -> str:
    row = "1\t200\t30-9\t外務省\t新法による事務であつて総務省令で定めるもの\n"
    return shipped("legal_affairs.tsv") + row


@pytest.mark.parametrize(
    ("utc", "day"),
    [
        ("2026-08-21T14:59:59", "2026-08-21"),
        ("2026-08-21T15:00:00", "2026-08-22"),
        ("2026-08-22T14:59:59", "2026-08-22"),
        ("1969-12-31T14:59:59", "1969-12-31"),
    ],
)
def test_a_day_in_japan_begins_at_15_hours_utc(utc: str, day: str) -> None:
    moment = datetime.datetime.fromisoformat(utc).replace(tzinfo=datetime.UTC)
    number = day_number(int(moment.timestamp()) * 10**9)
    assert date_of(number) == datetime.date.fromisoformat(day)


def test_a_period_has_its_first_and_its_last_day() -> None:
    first, last = datetime.date(2026, 4, 1), datetime.date(2027, 3, 31)
    period, day = Period(first, last), datetime.timedelta(days=1)
    assert first in period
    assert last in period
    assert first - day not in period
    assert last + day not in period


def test_a_grant_begins_and_ends_at_midnight() -> None:
    policy = policy_of(
        WORLD.replace(
            '{ table = 1, item = "77",',
            '{ table = 1, item = "77", from = 2026-04-01, until = 2027-03-31,',
        )
    )
    for refused_at in ("2026-03-31T23:59:59", "2027-04-01T00:00:00"):
        assert reason(policy, PENSIONS.but(at=instant(refused_at))) is Reason.AFFAIR_NOT_GRANTED
    for answered_at in ("2026-04-01T00:00:00", "2027-03-31T23:59:59"):
        assert PENSIONS.but(at=instant(answered_at)).ask(policy).granted


def test_an_ordinance_that_has_ended_gives_nothing() -> None:
    policy = policy_of(
        WORLD.replace("from = 2004-04-01", "from = 2004-04-01\nuntil = 2026-03-31", 1)
    )
    graveyard = Question(
        TOYOTA,
        LegalBasis("30-14", "hamamatsu-2004.5"),
        tier=Tier.MUNICIPAL,
        place="221309",
        at=instant("2026-03-31T23:59:59"),
    )
    assert graveyard.ask(policy).granted
    later = graveyard.but(at=instant("2026-04-01T00:00:00"))
    assert reason(policy, later) is Reason.AFFAIR_UNKNOWN


def test_a_consent_speaks_of_those_days_only_on_which_it_stands() -> None:
    policy = policy_of(WORLD)
    expected = {
        "2026-03-31": frozenset({72}),
        "2026-04-01": frozenset({71, 72}),
        "2026-05-27": frozenset({71, 72}),
        "2026-05-28": frozenset({71}),
    }
    for day, named in expected.items():
        decision = CONSENT.but(at=instant(f"{day}T12:00:00")).ask(policy)
        assert decision.persons == PersonCondition(named=named)


def test_before_the_first_revision_nothing_is_law() -> None:
    policy = policy_of(WORLD)
    assert PENSIONS.but(at=instant("2026-02-14T00:00:00")).ask(policy).granted
    before = PENSIONS.but(at=instant("2026-02-13T23:59:59"))
    assert reason(policy, before) is Reason.AFFAIR_UNKNOWN


def test_a_provision_has_days_of_its_own() -> None:
    text = shipped("provisions.toml").replace(
        'basis = "37(2)"', 'basis = "37(2)"\nin_force_from = 2026-06-01'
    )
    provisions = parse_provisions(text, "provisions.toml")
    assert datetime.date(2026, 5, 31) not in provisions.by_basis["37(2)"].period
    assert datetime.date(2026, 6, 1) in provisions.by_basis["37(2)"].period


def test_a_revision_becomes_law_at_midnight_without_a_new_start(tmp_path: Path) -> None:
    revision(tmp_path, "2026-08-22", legal_affairs_tsv=without_row(1, "77"))
    policy = Policy.load(EXAMPLE, tmp_path)
    before, after = instant("2026-08-21T23:59:59"), instant("2026-08-22T00:00:00")
    assert PENSIONS.but(at=before).ask(policy).granted
    assert reason(policy, PENSIONS.but(at=after)) is Reason.AFFAIR_UNKNOWN
    # A call that arrived before midnight is decided by its own day, whenever that is done.
    assert PENSIONS.but(at=before).ask(policy).granted
    assert reason(policy, PENSIONS.but(at=after)) is Reason.AFFAIR_UNKNOWN


def test_a_grant_for_a_row_to_come_waits_for_it(tmp_path: Path) -> None:
    revision(tmp_path / "law", "2026-08-22", legal_affairs_tsv=with_new_row())
    path = tmp_path / "agencies.toml"
    path.write_text(WORLD.replace('item = "41"', 'item = "200"'), encoding="utf-8")
    with pytest.raises(JukiError, match="no such row"):
        Policy.load(path)
    policy = Policy.load(path, tmp_path / "law")
    waiting = Question("spiffe://agency.juki.example/ministry", LegalBasis("30-9", "1:200"))
    before = waiting.but(at=instant("2026-08-21T23:59:59"))
    assert reason(policy, before) is Reason.AFFAIR_UNKNOWN
    assert waiting.but(at=instant("2026-08-22T00:00:00")).ask(policy).granted


def test_a_number_use_row_that_is_repealed_takes_the_number_with_it(tmp_path: Path) -> None:
    lines = shipped("number_use.tsv").splitlines(keepends=True)
    kept = "".join(line for line in lines if not line.startswith("46\t"))
    revision(tmp_path, "2026-08-22", number_use_tsv=kept)
    policy = Policy.load(EXAMPLE, tmp_path)
    after = PENSIONS.but(at=instant("2026-08-22T00:00:00"))
    assert Field.INDIVIDUAL_NUMBER in PENSIONS.ask(policy).granted
    assert Field.INDIVIDUAL_NUMBER not in after.ask(policy).granted
    assert reason(policy, after.but(key=SearchKey.INDIVIDUAL_NUMBER)) is (
        Reason.SEARCH_KEY_NOT_GRANTED
    )


def test_a_row_whose_words_change_loses_the_number_until_it_is_reviewed(tmp_path: Path) -> None:
    text = shipped("legal_affairs.tsv").replace("年金である給付若しくは一時金", "給付", 1)
    assert text != shipped("legal_affairs.tsv")
    changed = revision(tmp_path, "2026-08-22", legal_affairs_tsv=text)
    (change,) = difference(shipped_law(), load_revision(changed))
    assert change.change == "changed"
    policy = Policy.load(EXAMPLE, tmp_path)
    row = next(
        row
        for row, affair in shipped_law().tables.affairs.items()
        if str(row) == change.name and affair.affair != ""
    )
    assert not policy.laws[1].permissions.by_row.get(row)


def test_what_a_revision_does_not_hold_stays_as_it_was(tmp_path: Path) -> None:
    revision(tmp_path, "2026-08-22", legal_affairs_tsv=without_row(1, "77"))
    revision(tmp_path, "2027-04-01", provisions_toml=shipped("provisions.toml"))
    first, second, third = load_laws(tmp_path)
    assert third.tables.affairs == second.tables.affairs
    assert third.tables.affairs != first.tables.affairs


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("next-year", "no directory named by a date"), ("2026-02-30", "is no date")],
)
def test_a_revision_is_named_by_its_first_day(tmp_path: Path, name: str, complaint: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(JukiError, match=complaint):
        load_laws(tmp_path)


def test_a_revision_from_before_the_shipped_one_is_refused(tmp_path: Path) -> None:
    revision(tmp_path, "2020-01-01")
    with pytest.raises(JukiError, match="is not later"):
        load_laws(tmp_path)


def test_a_stray_file_in_a_revision_is_refused(tmp_path: Path) -> None:
    revision(tmp_path, "2026-08-22", leagl_affairs_tsv="")
    with pytest.raises(JukiError, match="no file of a revision"):
        load_laws(tmp_path)


def test_a_difference_names_what_is_added_removed_and_changed(tmp_path: Path) -> None:
    provisions = shipped("provisions.toml").replace(
        'number = "never"\nwithheld_by = "30-14"', 'number = "9(1)"\nwithheld_by = "30-14"'
    )
    new = load_revision(
        revision(
            tmp_path,
            "2026-08-22",
            legal_affairs_tsv=without_row(1, "41")
            + "1\t200\t30-9\t外務省\t新法による事務であつて総務省令で定めるもの\n",
            provisions_toml=provisions,
        )
    )
    changes = {(one.kind, one.name): one for one in difference(shipped_law(), new)}
    assert {key: one.change for key, one in changes.items()} == {
        ("provision", "30-14"): "changed",
        ("table row", "1:41"): "removed",
        ("table row", "1:200"): "added",
    }
    changed = changes["provision", "30-14"]
    assert "number: never" in changed.before
    assert "number: 9(1)" in changed.after
    assert difference(shipped_law(), shipped_law()) == ()


def test_another_registry_is_taken_over_while_running() -> None:
    policy = policy_of(WORLD)
    assert PENSIONS.ask(policy).granted == ALL - {Field.RESIDENT_RECORD_CODE}
    registry = policy.registry
    others = {name: one for name, one in registry.agencies.items() if name != PENSION}
    policy.take_over(Registry(others, registry.affairs, registry.consents))
    assert reason(policy, PENSIONS) is Reason.AGENCY_NOT_REGISTERED


def test_a_late_call_of_yesterday_does_not_make_today_be_decided_anew() -> None:
    policy = policy_of(WORLD)
    today = PENSIONS.but(at=instant("2026-05-28T00:00:01"))
    first = today.ask(policy)
    PENSIONS.but(at=instant("2026-05-27T23:59:59")).ask(policy)
    assert today.ask(policy) is first
    tomorrow = PENSIONS.but(at=instant("2026-05-29T00:00:00")).ask(policy)
    assert tomorrow is not first
    assert tomorrow == first
