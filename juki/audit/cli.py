"""`juki audit`: the commands over audit logs."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn
from rich.table import Table

from juki.audit.head import HeadVerifier
from juki.audit.verify import HeadStatus, VerificationReport, verify
from juki.custody.verify import verify_signature

app = typer.Typer(no_args_is_help=True, help="Audit logs: verify that nothing was altered.")


@app.callback()
def _audit() -> None:
    """Keeps `verify` a command of its own although it is the only one yet."""


@app.command("verify")
def verify_command(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of the log.")],
    public_key: Annotated[
        Path | None,
        typer.Option(
            help="PEM file of the P-256 key that signs heads. With it a good head is required, "
            "so that records cut off at the end are noticed."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
) -> None:
    """Read a whole log and verify its chain and its signed head.

    Exit code 0: nothing is wrong. 1: something is, with file and byte named. 2: it cannot be read.

    \b
    Examples:
      juki audit verify /var/lib/juki/audit
      juki audit verify /var/lib/juki/audit --public-key head.pem
      juki audit verify /var/lib/juki/audit --json
    """
    console = Console(stderr=as_json)
    try:
        verifier = None if public_key is None else _head_verifier(public_key)
        total = sum(path.stat().st_size for path in directory.glob("*.seg"))
        with Progress(
            "[progress.description]{task.description}",
            BarColumn(),
            DownloadColumn(binary_units=True),
            TimeRemainingColumn(),
            console=console,
            disable=as_json,
            transient=True,
        ) as progress:
            task = progress.add_task("Verifying", total=total)
            report = verify(
                directory,
                verify_signature=verifier,
                progress=lambda amount: progress.advance(task, amount),
            )
    except (OSError, ValueError) as error:
        Console(stderr=True).print(f"[red]cannot verify:[/] {error}", highlight=False)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(report)))
    else:
        _show(console, directory, report)
    if report.problem is not None:
        raise typer.Exit(1)


def _show(console: Console, directory: Path, report: VerificationReport) -> None:
    table = Table(title=f"Audit log {directory}", show_header=False)
    table.add_row("records", f"{report.records:,}")
    table.add_row("of refused calls", f"{report.refused:,}")
    table.add_row("entries (persons)", f"{report.entries:,}")
    table.add_row("segments", f"{report.segments:,}")
    table.add_row("bytes", f"{report.bytes_read:,}")
    table.add_row("signed head", _head_in_words(report))
    console.print(table)
    if report.torn_tail is not None:
        torn = report.torn_tail
        console.print(f"[yellow]note[/] {torn.file} at byte {torn.offset}: {torn.what}")
    if report.problem is None:
        console.print("[green]nothing is wrong[/]")
    else:
        problem = report.problem
        console.print(f"[red]WRONG[/] {problem.file} at byte {problem.offset}: {problem.what}")


def _head_in_words(report: VerificationReport) -> str:
    if report.head is HeadStatus.ABSENT:
        return "none: records cut off at the end would not be noticed"
    time = datetime.fromtimestamp(report.head_time_unix_nanos / 1e9, UTC)
    trust = "signature good" if report.head is HeadStatus.VERIFIED else "signature not verified"
    return f"{time:%Y-%m-%d %H:%M:%S} UTC, {trust}"


def _head_verifier(path: Path) -> HeadVerifier:
    key = serialization.load_pem_public_key(path.read_bytes())
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise ValueError(f"{path} holds no P-256 key")
    return lambda digest, signature, _key_id: verify_signature(key, digest, signature)
