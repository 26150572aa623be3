"""A body's client and command line against a real server: one person, and a whole cohort."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from juki.agency.cli import app
from juki.agency.client import AgencyClient, Purpose
from juki.agency.cohort import verify_cohort
from juki.domain.codes import IndividualNumber, ResidentRecordCode
from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.domain.legal_basis import Field, LegalBasis
from juki.domain.outcome import Outcome
from juki.domain.residency import ResidencyStatus
from juki.index.port import PersonState
from juki.v1 import identification_pb2 as pb
from juki.wire import four_items_from_proto
from tests.custody_fixtures import TrustDomain
from tests.lookup_fixtures import SERVER_NAME, LookupServer
from tests.people import code, four_items_of, number, person

PENSIONS = Purpose(LegalBasis("30-9", "1:77"), frozenset(Field))


def load(server: LookupServer, *people: pb.IdentificationInformation) -> None:
    server.index.apply(
        [
            PersonState(ordinal, ResidencyStatus.RESIDENT, one.SerializeToString())
            for ordinal, one in enumerate(people, 1)
        ],
        [],
    )


def configuration(server: LookupServer, trust_domain: TrustDomain, directory: Path) -> Path:
    path = directory / "pension.toml"
    socket = trust_domain.files("agency-pension").socket("custody.sock")
    path.write_text(
        f'custody_socket = "{socket}"\n'
        f'roots_pem = "{trust_domain.plan.directory / "root.pem"}"\n'
        'office = "Hamamatsu"\n'
        'operator = "window 3"\n'
        "[nation]\n"
        f'address = "127.0.0.1:{server.port}"\n'
        f'server_name = "{SERVER_NAME}"\n',
        encoding="utf-8",
    )
    return path


def test_one_person_is_asked_for_by_number_or_by_the_four_items(
    lookup_server: LookupServer,
) -> None:
    load(lookup_server, person(1))
    with lookup_server.channel() as channel:
        client = AgencyClient(channel, office="Hamamatsu", operator="window 3")
        by_number = client.lookup(PENSIONS, IndividualNumber(number(1)))
        by_items = client.lookup(PENSIONS, four_items_from_proto(four_items_of(person(1))))
    assert by_number == by_items
    (answer,) = by_number.persons
    assert answer.outcome is Outcome.FOUND
    assert answer.information is not None
    assert answer.information.name == person(1).name
    assert by_number.withheld == ((Field.RESIDENT_RECORD_CODE, "30-9"),)
    assert {record.operator for record in lookup_server.records()} == {"window 3"}


def test_a_refusal_reaches_the_body_with_its_reason(lookup_server: LookupServer) -> None:
    with lookup_server.channel() as channel:
        client = AgencyClient(channel, office="Hamamatsu", operator="window 3")
        with pytest.raises(JukiError) as refused:
            client.lookup_batch(PENSIONS, [ResidentRecordCode(code(1))])
    assert refused.value.reason is Reason.SEARCH_KEY_NOT_GRANTED


def test_keys_of_two_kinds_are_no_batch(lookup_server: LookupServer) -> None:
    with lookup_server.channel() as channel:
        client = AgencyClient(channel, office="Hamamatsu", operator="window 3")
        with pytest.raises(InvalidValue):
            client.lookup_batch(
                PENSIONS, [ResidentRecordCode(code(1)), IndividualNumber(number(1))]
            )


def test_a_cohort_comes_back_row_by_row_with_what_the_register_says(
    lookup_server: LookupServer, tmp_path: Path
) -> None:
    died = person(2, reason=pb.CHANGE_REASON_DEATH, kind=pb.CHANGE_KIND_DELETION)
    load(lookup_server, person(1), died)
    source, target = tmp_path / "cohort.csv", tmp_path / "verified.csv"
    wrong = number(3)[:-1] + str((int(number(3)[-1]) + 1) % 10)
    rows = [("a", number(2)), ("b", number(9)), ("c", wrong), ("d", number(1))]
    rows += [(str(row), number(1)) for row in range(1_500)]
    source.write_text(
        "id,individual_number\n" + "".join(f"{row},{one}\n" for row, one in rows),
        encoding="utf-8",
    )
    done: list[int] = []
    with lookup_server.channel() as channel:
        client = AgencyClient(channel, office="Hamamatsu", operator="monthly batch")
        report = verify_cohort(client, PENSIONS, source, target, done.append)

    with target.open(encoding="utf-8", newline="") as file:
        verified = list(csv.DictReader(file))
    assert [row["id"] for row in verified] == [row for row, _ in rows]
    assert [row["outcome"] for row in verified[:4]] == ["found", "not_found", "invalid", "found"]
    assert verified[0]["change_reason"] == "death"
    assert verified[0]["change_date"] == "2026-04-01"
    assert verified[3]["current_town"] == "追手町"
    assert report.outcomes == {"found": 1_502, "not_found": 1, "invalid": 1}
    assert report.changes == {"death": 1, "moving_in": 1_501}
    assert sum(done) == report.rows == 1_504
    assert [len(record.outcomes) for record in lookup_server.records()] == [999, 504]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_cohort_that_is_refused_leaves_no_file(
    lookup_server: LookupServer, tmp_path: Path
) -> None:
    source, target = tmp_path / "cohort.csv", tmp_path / "verified.csv"
    source.write_text(f"individual_number\n{number(1)}\n", encoding="utf-8")
    foreign = Purpose(LegalBasis("30-9", "1:9"), frozenset({Field.NAME}))
    with lookup_server.channel() as channel:
        client = AgencyClient(channel, office="Hamamatsu", operator="monthly batch")
        with pytest.raises(JukiError):
            verify_cohort(client, foreign, source, target)
    assert list(tmp_path.glob("verified*")) == []


def test_a_body_asks_on_a_provision_that_is_no_row_of_a_table(lookup_server: LookupServer) -> None:
    materials = Purpose(LegalBasis("37(2)", "housing-survey"), frozenset({Field.NAME}))
    with lookup_server.channel() as channel:
        client = AgencyClient(channel, office="Hamamatsu", operator="monthly batch")
        with pytest.raises(JukiError) as refused:
            client.lookup(materials, IndividualNumber(number(1)))
    assert refused.value.reason is Reason.AFFAIR_UNKNOWN
    (record,) = lookup_server.records()
    assert (record.article, record.affair_id) == ("37(2)", "housing-survey")


def test_the_command_line_takes_the_number_from_a_pipe_and_answers_in_json(
    lookup_server: LookupServer, trust_domain: TrustDomain, tmp_path: Path
) -> None:
    load(lookup_server, person(1))
    config = configuration(lookup_server, trust_domain, tmp_path)
    base = ["lookup", "--config", str(config), "--affair", "1:77", "--json"]
    result = CliRunner().invoke(app, [*base, "--number"], input=f"{number(1)}\n")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["outcome"] == "FOUND"
    assert answer["information"]["name"]["written"] == person(1).name.written
    nobody = CliRunner().invoke(app, [*base, "--number"], input=f"{number(9)}\n")
    assert nobody.exit_code == 1


def test_the_command_line_takes_the_four_items_from_a_file(
    lookup_server: LookupServer, trust_domain: TrustDomain, tmp_path: Path
) -> None:
    known = person(1)
    load(lookup_server, known)
    config = configuration(lookup_server, trust_domain, tmp_path)
    birth = known.birth_date
    items = tmp_path / "person.json"
    items.write_text(
        json.dumps(
            {
                "name": known.name.written,
                "birth_date": f"{birth.year}-{birth.month}-{birth.day}",
                "sex": "male",
                "municipality": known.address.municipality,
                "town": known.address.town,
                "remainder": known.address.remainder,
            }
        ),
        encoding="utf-8",
    )
    result = CliRunner().invoke(
        app,
        ["lookup", "--config", str(config), "--affair", "1:41", "--four-items", str(items)],
        env={"COLUMNS": "120"},
    )
    assert result.exit_code == 0, result.output
    assert known.name.written.split("\u3000")[0] in result.stdout


def test_the_command_line_says_why_it_was_refused_and_never_repeats_the_number(
    lookup_server: LookupServer, trust_domain: TrustDomain, tmp_path: Path
) -> None:
    config = configuration(lookup_server, trust_domain, tmp_path)
    base = ["lookup", "--config", str(config), "--affair"]
    refused = CliRunner().invoke(app, [*base, "1:9", "--number"], input=f"{number(1)}\n")
    assert refused.exit_code == 2
    assert "AFFAIR_NOT_GRANTED" in refused.output
    mistyped = CliRunner().invoke(app, [*base, "1:77", "--number"], input="123456789012\n")
    assert mistyped.exit_code == 2
    assert "123456789012" not in mistyped.output


def test_the_command_line_verifies_a_cohort(
    lookup_server: LookupServer, trust_domain: TrustDomain, tmp_path: Path
) -> None:
    load(lookup_server, person(1))
    config = configuration(lookup_server, trust_domain, tmp_path)
    source, target = tmp_path / "cohort.csv", tmp_path / "verified.csv"
    source.write_text(f"individual_number\n{number(1)}\n", encoding="utf-8")
    result = CliRunner().invoke(
        app,
        [
            "verify-cohort",
            str(source),
            str(target),
            "--config",
            str(config),
            "--affair",
            "1:77",
        ],
    )
    assert result.exit_code == 0, result.output
    assert "1 rows verified" in result.output
    assert target.exists()
