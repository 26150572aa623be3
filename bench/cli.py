"""`juki bench`: measures on this machine, and names it."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench.lookup import LookupFigures, measure_lookups
from bench.lookup_client import BATCH
from bench.lookup_server import Kind
from juki.domain.errors import JukiError

app = typer.Typer(
    help="Measure on this machine.", no_args_is_help=True, pretty_exceptions_show_locals=False
)


@app.callback()
def bench() -> None:
    """Measure on this machine."""


@app.command()
def lookup(
    people: Annotated[int, typer.Option(help="Synthetic people in the index.", min=1)] = 20_000,
    rounds: Annotated[int, typer.Option(help="Rounds; the median counts.", min=1)] = 5,
    seconds: Annotated[float, typer.Option(help="Length of each measurement.", min=0.1)] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Lookups over mutual TLS: ours (policy, record on disk, index) against a bare handler.

    Examples:

        juki bench lookup

        juki bench lookup --people 1000000 --rounds 9 --json
    """
    console = Console(stderr=True)
    try:
        with console.status("starting") as status:
            figures = measure_lookups(
                people=people, rounds=rounds, seconds=seconds, progress=status.update
            )
    except JukiError as error:
        typer.echo(f"{error.reason}: {error.message}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps(figures.as_dict(), ensure_ascii=False))
    else:
        Console().print(_table(figures))


def _table(figures: LookupFigures) -> Table:
    table = Table(
        "lookups a second",
        "ours",
        "bare grpcio",
        "ratio",
        title=f"{figures.people:,} people, one server process of each kind, one client process",
        caption=(
            f"{figures.machine}. Ours: mutual TLS, policy, durable record, index. Bare: mutual TLS"
            " and the same index only. Both indexes were built from generated people directly."
        ),
    )
    for name, method, persons in (
        (f"batches of {BATCH:,}", "BatchLookup", BATCH),
        ("one by one", "Lookup", 1),
    ):
        table.add_row(
            name,
            f"{persons * figures.rate(method, Kind.OURS):,.0f}",
            f"{persons * figures.rate(method, Kind.BARE):,.0f}",
            f"{figures.ratio(method):.2f}",
        )
    return table
