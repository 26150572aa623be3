"""`juki policy`: what the law as loaded says, printed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from juki.cli.policy_acts import add_commands
from juki.cli.policy_law import diff_command, explain_command
from juki.domain.errors import JukiError
from juki.domain.legal_basis import ARTICLE_OF_TABLE
from juki.policy.number_permissions import (
    NumberPermission,
    NumberPermissions,
    Verdict,
    load_number_permissions,
)
from juki.policy.tables import load_tables

app = typer.Typer(help="What the law as loaded grants and refuses.", no_args_is_help=True)
app.command("explain")(explain_command)
app.command("diff")(diff_command)
add_commands(app)


@app.callback()
def policy() -> None:
    """What the law as loaded grants and refuses."""


@app.command("number-use")
def number_use(
    table: Annotated[
        int | None, typer.Option(min=1, max=6, help="Only this Appended Table.")
    ] = None,
    verdict: Annotated[Verdict | None, typer.Option(help="Only lines of this verdict.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """For which rows of the Appended Tables the Individual Number may be used, and why (not).

    Counts are of rows: a row granted to some of its bodies counts as granted.
    """
    try:
        permissions = load_number_permissions(load_tables())
    except JukiError as error:
        Console(stderr=True).print(str(error), markup=False)
        raise typer.Exit(1) from None
    counts = count_verdicts(permissions)
    lines = [
        line
        for lines in permissions.by_row.values()
        for line in lines
        if table in (None, line.reference.table) and verdict in (None, line.verdict)
    ]
    if as_json:
        typer.echo(json.dumps(_as_json(counts, lines), ensure_ascii=False, indent=2))
        return
    console = Console()
    console.print(_counted(counts))
    console.print(_listed(lines))


def count_verdicts(permissions: NumberPermissions) -> Mapping[int, Mapping[Verdict, int]]:
    """How many rows of each Appended Table came to which verdict."""
    counts = {table: Counter[Verdict]() for table in ARTICLE_OF_TABLE}
    for row in permissions.by_row:
        counts[row.table][permissions.verdict(row)] += 1
    return counts


def _as_json(
    counts: Mapping[int, Mapping[Verdict, int]], lines: Iterable[NumberPermission]
) -> dict[str, object]:
    return {
        "counts": {
            str(table): {verdict: of_table[verdict] for verdict in Verdict}
            for table, of_table in counts.items()
        },
        "rows": [
            {
                "row": str(line.reference),
                "verdict": line.verdict,
                "items": line.items,
                "body": line.body,
                "reason": line.reason,
            }
            for line in lines
        ],
    }


def _counted(counts: Mapping[int, Mapping[Verdict, int]]) -> Table:
    shown = Table(title="Rows by table and verdict")
    shown.add_column("table")
    for verdict in Verdict:
        shown.add_column(verdict, justify="right")
    shown.add_column("rows", justify="right")
    for table, of_table in counts.items():
        numbers = [of_table[verdict] for verdict in Verdict]
        shown.add_row(str(table), *(str(number) for number in (*numbers, sum(numbers))))
    totals = [sum(of_table[verdict] for of_table in counts.values()) for verdict in Verdict]
    shown.add_section()
    shown.add_row("all", *(str(number) for number in (*totals, sum(totals))))
    return shown


def _listed(lines: Iterable[NumberPermission]) -> Table:
    shown = Table()
    for column in ("row", "verdict", "items", "body", "reason"):
        shown.add_column(column, overflow="fold")
    for line in lines:
        shown.add_row(
            str(line.reference), line.verdict, ", ".join(line.items), line.body, line.reason
        )
    return shown
