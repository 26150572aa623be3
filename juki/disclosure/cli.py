"""`juki disclosure`, the counter's half: a person's requests, and what they are given.

Numbers and what a person writes are personal: they are never arguments.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from juki.agency import keys
from juki.config import load_config
from juki.disclosure.counter import Counter, CounterConfiguration
from juki.disclosure.json_form import from_json, to_json
from juki.disclosure.page import page
from juki.domain.errors import InvalidValue, JukiError
from juki.v1 import disclosure_pb2 as pb
from juki.v1 import identification_pb2
from juki.wire import four_items_to_proto

app = typer.Typer(
    help="Disclosure to the person and correction (Act Art. 30-32 to 30-35).",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
)


class Document(StrEnum):
    """The identity document that was checked."""

    MY_NUMBER_CARD = "my-number-card"
    DRIVING_LICENCE = "driving-licence"
    PASSPORT = "passport"
    RESIDENCE_CARD = "residence-card"
    OTHER_WITH_PHOTOGRAPH = "other-with-photograph"
    TWO_WITHOUT_PHOTOGRAPH = "two-without-photograph"


CounterOption = Annotated[
    Path, typer.Option("--config", help="The counter's TOML file.", exists=True, dir_okay=False)
]
RequestIdOption = Annotated[
    str, typer.Option(help="Id of this act; the same again gives the first answer.")
]


@app.command()
def request(
    *,
    config: CounterOption,
    document: Annotated[Document, typer.Option(help="The identity document checked.")],
    birth_date: Annotated[
        str,
        typer.Option(help="A file with the date of birth on it (1950-04-01), or - to be asked."),
    ] = "-",
    four_items: Annotated[
        str, typer.Option(help="By the four items: a JSON file.", metavar="FILE")
    ] = "",
    number_file: Annotated[
        Path | None, typer.Option(help="By the Individual Number in this file.", dir_okay=False)
    ] = None,
    other_way_agreed: Annotated[
        bool, typer.Option(help="The person agrees to another way than writing.")
    ] = False,
    request_id: RequestIdOption = "",
) -> None:
    """Take a disclosure request in. The Individual Number is asked for unless a file has it.

    **Examples**

        juki disclosure request --config counter.toml --document my-number-card

        juki disclosure request --config counter.toml --document passport --four-items person.json
    """
    with complaints():
        subject = pb.DisclosureSubject(
            identity_document=pb.IdentityDocument.Value(f"IDENTITY_DOCUMENT_{document.name}")
        )
        if four_items:
            items = keys.four_items_from_json(Path(four_items).read_text("utf-8"))
            subject.four_items.CopyFrom(four_items_to_proto(items))
            subject.birth_date.CopyFrom(subject.four_items.birth_date)
        else:
            text = (
                typer.prompt("Individual Number", hide_input=True, err=True)
                if number_file is None
                else number_file.read_text("utf-8")
            )
            subject.individual_number = keys.individual_number(text).digits
            subject.birth_date.CopyFrom(_birth_date(birth_date))
        with Counter.connect(load_config(config, CounterConfiguration), request_id) as counter:
            shown = counter.request(subject, other_way_agreed=other_way_agreed)
    show([shown])


@app.command()
def fee(
    id_: Annotated[str, typer.Argument(metavar="ID", help="For example D-2026-00000012.")],
    yen: Annotated[int, typer.Option(help="What was paid.")],
    config: CounterOption,
    request_id: RequestIdOption = "",
) -> None:
    """Record that the person paid the fee of Art. 30-34 (J-LIS only).

    **Example**

        juki disclosure fee D-2026-00000012 --yen 300 --config counter.toml
    """
    with (
        complaints(),
        Counter.connect(load_config(config, CounterConfiguration), request_id) as counter,
    ):
        shown = counter.record_fee(id_, yen)
    show([shown])


@app.command()
def disclose(
    id_: Annotated[str, typer.Argument(metavar="ID", help="For example D-2026-00000012.")],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the files go.")],
    config: CounterOption,
    *,
    other_way: Annotated[
        bool, typer.Option("--other-way", help="Not in writing; the person must have agreed.")
    ] = False,
    request_id: RequestIdOption = "",
) -> None:
    """Disclose: write ID.pdf (in writing), or with --other-way ID.html and ID.json.

    **Examples**

        juki disclosure disclose D-2026-00000012 out --config counter.toml

        juki disclosure disclose D-2026-00000012 out --config counter.toml --other-way
    """
    with (
        complaints(),
        Counter.connect(load_config(config, CounterConfiguration), request_id) as counter,
    ):
        disclosure = counter.disclose(id_, in_writing=not other_way)
        if other_way:
            files = {"html": page(disclosure).encode(), "json": to_json(disclosure).encode()}
        else:
            files = {"pdf": _paper(disclosure)}
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for ending, content in files.items():
            _write(directory / f"{id_}.{ending}", content)


@app.command()
def correct(
    disclosure_id: Annotated[str, typer.Argument(metavar="ID", help="The disclosure it is about.")],
    words: Annotated[str, typer.Option(help="File with the person's words; - reads a pipe.")],
    config: CounterOption,
    request_id: RequestIdOption = "",
) -> None:
    """Take in what a person asks to be corrected, added or deleted (Art. 30-35).

    **Example**

        juki disclosure correct D-2026-00000012 --words letter.txt --config counter.toml
    """
    with (
        complaints(),
        Counter.connect(load_config(config, CounterConfiguration), request_id) as counter,
    ):
        shown = counter.request_correction(disclosure_id, read_words(words))
    show([shown])


@app.command("render")
def render(
    source: Annotated[Path, typer.Argument(help="A disclosure's JSON.", exists=True)],
    target: Annotated[Path, typer.Argument(help="A file that ends in .html or .pdf.")],
) -> None:
    """Make the page or the paper of a disclosure's JSON.

    **Example**

        juki disclosure render D-2026-00000012.json D-2026-00000012.html
    """
    with complaints():
        disclosure = from_json(source.read_text("utf-8"))
        if target.suffix == ".html":
            _write(target, page(disclosure).encode())
        elif target.suffix == ".pdf":
            _write(target, _paper(disclosure))
        else:
            raise InvalidValue("the target ends in .html or .pdf")


def show(requests: Iterable[pb.PersonRequest]) -> None:
    """Requests as a table: what is overdue is red, what is due within a week yellow."""
    console = Console()
    table = Table(box=None, header_style="bold")
    for column in ("id", "municipality", "state", "due", "fee", "words"):
        table.add_column(column, no_wrap=column != "words")
    for one in requests:
        due = f"{one.due_on.year}-{one.due_on.month:02d}-{one.due_on.day:02d}"
        is_open = one.state in OPEN_STATES
        style = "bold red" if one.overdue else ("" if is_open else "dim")
        fee_shown = ""
        if one.fee_yen:
            fee_shown = f"{one.fee_yen} yen {'paid' if one.fee_settled else 'owed'}"
        table.add_row(
            one.id,
            one.municipality,
            pb.PersonRequestState.Name(one.state)
            .removeprefix("PERSON_REQUEST_STATE_")
            .lower()
            .replace("_", " "),
            f"{due} OVERDUE" if one.overdue else (due if is_open else ""),
            fee_shown,
            one.words,
            style=style,
        )
    console.print(table)


OPEN_STATES = frozenset(
    {
        pb.PERSON_REQUEST_STATE_RECEIVED,
        pb.PERSON_REQUEST_STATE_EXTENDED,
        pb.PERSON_REQUEST_STATE_INVESTIGATING,
    }
)


def read_words(source: str) -> str:
    """Words from a file or, for "-", from a pipe."""
    return sys.stdin.read() if source == "-" else Path(source).read_text("utf-8")


@contextmanager
def complaints() -> Iterator[None]:
    """One line on standard error instead of a traceback; nothing personal is in these errors."""
    try:
        yield
    except JukiError as error:
        typer.echo(f"{error.reason}: {error.message}", err=True)
        raise typer.Exit(2) from None
    except OSError as error:
        typer.echo(f"{error.strerror or error}: {error.filename or ''}", err=True)
        raise typer.Exit(2) from None


def _birth_date(source: str) -> identification_pb2.BirthDate:
    text = (
        typer.prompt("Date of birth on the document (1950-04-01)", err=True)
        if source == "-"
        else Path(source).read_text("utf-8")
    )
    parts = text.strip().split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        raise InvalidValue("a date of birth is written 1950-04-01")
    year, month, day = (int(part) for part in parts)
    return identification_pb2.BirthDate(year=year, month=month, day=day)


def _paper(disclosure: pb.Disclosure) -> bytes:
    # The typesetter takes a moment to load, and not every command needs it.
    from juki.disclosure.paper import paper

    return paper(disclosure)


def _write(path: Path, content: bytes) -> None:
    """A new file that nobody else may read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    typer.echo(path)
