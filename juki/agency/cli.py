"""`juki agency`: an asking body's command line. Numbers are personal: never given as arguments."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from juki.agency import keys
from juki.agency.client import AgencyClient, Answers, Key, Purpose
from juki.agency.cohort import CohortReport, count_rows, verify_cohort
from juki.agency.config import AgencyConfiguration
from juki.config import load_config
from juki.domain.errors import InvalidValue, JukiError
from juki.domain.legal_basis import Field, LegalBasis

app = typer.Typer(
    help="Ask the national server as a registered body.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
)

_EVERY_FIELD = ",".join(field.name.lower() for field in Field)

ConfigOption = Annotated[
    Path, typer.Option(help="The body's TOML file.", exists=True, dir_okay=False)
]
AffairOption = Annotated[
    str,
    typer.Option(
        help='Row of the Appended Tables ("1:77"), or another provision with the id of its affair '
        '("30-10(1)(iv)", "30-14 hamamatsu-2004.5").'
    ),
]
FieldsOption = Annotated[
    str, typer.Option(help=f"Fields wanted, with commas between: {_EVERY_FIELD}.")
]
_DEFAULT_FIELDS = "name,birth_date,sex,address,change"


@app.command()
def lookup(
    *,
    config: ConfigOption,
    affair: AffairOption,
    fields: FieldsOption = _DEFAULT_FIELDS,
    number: Annotated[
        bool,
        typer.Option("--number", help="By Individual Number: asked for, or read from a pipe."),
    ] = False,
    number_file: Annotated[
        Path | None, typer.Option(help="By the Individual Number in this file.", dir_okay=False)
    ] = None,
    four_items: Annotated[
        str | None,
        typer.Option(
            help="By the four items: a JSON file, or - for standard input.", metavar="FILE"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Look up one person. A number is never an argument: others would see it.

    Exits with 1 unless exactly one person was found, with 2 when the request was refused.

    **Examples**

        juki agency lookup --config pension.toml --affair 1:77 --number

        juki agency lookup --config pension.toml --affair 1:77 --four-items person.json --json

    where person.json holds

        {"name": "駿河　太郎", "birth_date": "1950-04-01", "sex": "male",
        "municipality": "221309", "town": "追手町", "remainder": "5番1号"}
    """
    with _complaints():
        key = _key(number, number_file, four_items)
        purpose = _purpose(affair, fields)
        with AgencyClient.connect(load_config(config, AgencyConfiguration)) as client:
            answers = client.lookup(purpose, key)
    if as_json:
        typer.echo(json.dumps(_as_json(answers), ensure_ascii=False))
    else:
        _show(answers)
    if answers.persons[0].information is None:
        raise typer.Exit(1)


@app.command(name="verify-cohort")
def verify_cohort_command(
    *,
    source: Annotated[Path, typer.Argument(help="CSV file to read.", exists=True, dir_okay=False)],
    target: Annotated[Path, typer.Argument(help="CSV file to write; must not exist yet.")],
    config: ConfigOption,
    affair: AffairOption,
    fields: FieldsOption = _DEFAULT_FIELDS,
) -> None:
    """Ask for every row of a CSV file, 1,000 a call, and write what the register says now.

    The file has a column individual_number, or name, birth_date, sex, municipality, town and
    remainder; a column id is repeated in the output. Who died or moved shows in change_reason.

    **Example**

        juki agency verify-cohort pensioners.csv verified.csv --config pension.toml --affair 1:77
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("verifying"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    with (
        _complaints(),
        AgencyClient.connect(load_config(config, AgencyConfiguration)) as client,
        bar,
    ):
        task = bar.add_task("verifying", total=count_rows(source))
        report = verify_cohort(
            client,
            _purpose(affair, fields),
            source,
            target,
            lambda rows: bar.advance(task, rows),
        )
    console.print(_report_table(report))


def _purpose(affair: str, fields: str) -> Purpose:
    names = [name.strip().upper() for name in fields.split(",") if name.strip()]
    unknown = [name for name in names if name not in Field.__members__]
    if unknown or not names:
        raise InvalidValue(f"fields are some of {_EVERY_FIELD}")
    return Purpose(LegalBasis.parse(affair), frozenset(Field[name] for name in names))


def _key(number: bool, number_file: Path | None, four_items: str | None) -> Key:
    if [number, number_file is not None, four_items is not None].count(True) != 1:
        raise InvalidValue("give one of --number, --number-file and --four-items")
    if number_file is not None:
        return keys.individual_number(number_file.read_text(encoding="utf-8"))
    if four_items is not None:
        text = sys.stdin.read() if four_items == "-" else Path(four_items).read_text("utf-8")
        return keys.four_items_from_json(text)
    if sys.stdin.isatty():
        return keys.individual_number(typer.prompt("Individual Number", hide_input=True, err=True))
    return keys.individual_number(sys.stdin.readline())


@contextmanager
def _complaints() -> Iterator[None]:
    """One line on standard error instead of a traceback; nothing personal is in these errors."""
    try:
        yield
    except JukiError as error:
        typer.echo(f"{error.reason}: {error.message}", err=True)
        raise typer.Exit(2) from None
    except OSError as error:
        typer.echo(f"{error.strerror or error}: {error.filename or ''}", err=True)
        raise typer.Exit(2) from None


def _as_json(answers: Answers) -> dict[str, object]:
    answer = answers.persons[0]
    found = answer.information
    return {
        "outcome": answer.outcome.name,
        "information": None
        if found is None
        else MessageToDict(found, preserving_proto_field_name=True),
        "withheld": [
            {"field": field.name, "article": article} for field, article in answers.withheld
        ],
    }


def _show(answers: Answers) -> None:
    answer = answers.persons[0]
    table = Table(title=answer.outcome.name.replace("_", " ").capitalize(), show_header=False)
    if answer.information is not None:
        fields = MessageToDict(answer.information, preserving_proto_field_name=True)
        for name, value in fields.items():
            parts = value if isinstance(value, dict) else {"": value}
            for part, text in parts.items():
                shown = "-".join(map(str, text.values())) if isinstance(text, dict) else str(text)
                table.add_row(f"{name} {part}".strip().replace("_", " "), shown)
    for field, article in answers.withheld:
        table.add_row(field.name.lower().replace("_", " "), f"withheld (Act Art. {article})")
    Console().print(table)


def _report_table(report: CohortReport) -> Table:
    table = Table("", "persons", title=f"{report.rows:,} rows verified")
    for name, count in report.outcomes.most_common():
        table.add_row(name.replace("_", " "), f"{count:,}")
    for name, count in report.changes.most_common():
        table.add_row(f"  last change: {name.replace('_', ' ')}", f"{count:,}")
    for field, article in report.withheld:
        table.add_row(f"withheld: {field.name.lower()}", f"Art. {article}")
    return table
