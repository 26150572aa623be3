"""`juki audit witnesses`: who co-signed what of which log, and when."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from juki.audit.witness.comparing import Witnessed, compare, read_witnessed
from juki.domain.errors import JukiError


def witnesses_command(
    records: Annotated[
        list[Path],
        typer.Argument(metavar="RECORDS...", help="Directories of witnesses' records."),
    ],
    log: Annotated[
        Path | None,
        typer.Option(help="Directory of a log: hold it against what was co-signed of it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
) -> None:
    """Show the checkpoints that witnesses co-signed, and where a log disagrees with them.

    Exit code 0: nothing disagrees. 1: the log was rewritten or cut off after it was co-signed. 2:
    something cannot be read.

    \b
    Examples:
      juki audit witnesses /var/lib/juki/witness
      juki audit witnesses pref13/witness pref22/witness --log /var/lib/juki/audit --json
    """
    try:
        found = read_witnessed(records)
        comparison = None if log is None else compare(log, records)
    except (OSError, ValueError, JukiError) as error:
        Console(stderr=True).print(f"[red]cannot read:[/] {error}", highlight=False)
        raise typer.Exit(2) from None
    problem = None if comparison is None else comparison.problem
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "witnessed": [_fields(one) for one in found],
                    "log": None if comparison is None else dataclasses.asdict(comparison),
                }
            )
        )
    else:
        console = Console()
        table = Table("log", "witness", "entries", "root", "co-signed (UTC)")
        for one in found:
            table.add_row(one.origin, one.witness, f"{one.size:,}", one.root.hex()[:16], _time(one))
        console.print(table)
        if comparison is not None and problem is None:
            console.print(
                f"[green]the log is as it was co-signed[/] up to entry {comparison.agreed:,}, "
                f"{comparison.compared:,} checkpoints compared"
            )
        elif problem is not None:
            console.print(f"[red]REWRITTEN[/] {problem.what}", highlight=False)
    if problem is not None:
        raise typer.Exit(1)


def _fields(one: Witnessed) -> dict[str, object]:
    return {
        "origin": one.origin,
        "witness": one.witness,
        "size": one.size,
        "root": one.root.hex(),
        "cosigned_at": _time(one),
    }


def _time(one: Witnessed) -> str:
    return f"{datetime.fromtimestamp(one.seconds, UTC):%Y-%m-%d %H:%M:%S}"
