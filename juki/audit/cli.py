"""`juki audit`: the commands over audit logs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn
from rich.table import Table

from juki.audit.checkpoint import SignedCheckpoint
from juki.audit.proof import find_request, prove
from juki.audit.reading import LogRecords, files_of
from juki.audit.verify import CheckpointStatus, VerificationReport, verify
from juki.audit.witness.cli import witnesses_command
from juki.audit.witness.comparing import compare
from juki.domain.errors import JukiError

app = typer.Typer(no_args_is_help=True, help="Audit logs: verify them, prove single entries.")


@app.command("verify")
def verify_command(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of the log.")],
    *,
    public_key: Annotated[
        list[Path] | None,
        typer.Option(
            help="PEM file (public key or certificate) of a P-256 key that signs checkpoints; may "
            "be given several times. With it a good checkpoint is required, so that records cut "
            "off at the end are noticed."
        ),
    ] = None,
    since: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="CHECKPOINT",
            help="A checkpoint of this log that is trusted: only what came after it is read.",
        ),
    ] = None,
    witness_records: Annotated[
        list[Path] | None,
        typer.Option(
            help="Directory of a witness's records; may be given several times. A log that was "
            "rewritten and signed anew disagrees with them."
        ),
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where archived segments were moved to, if elsewhere."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
) -> None:
    """Read a log and verify its records, its tree, its tiles and its signed checkpoint.

    Exit code 0: nothing is wrong. 1: something is, with file, byte and entry named. 2: it cannot be
    read.

    \b
    Examples:
      juki audit verify /var/lib/juki/audit
      juki audit verify /var/lib/juki/audit --public-key signing.pem
      juki audit verify /var/lib/juki/audit --witness-records pref22/witness
      juki audit verify /var/lib/juki/audit --from checkpoint-of-last-month --json
    """
    console = Console(stderr=as_json)
    try:
        keys = [_public_key(path) for path in public_key or ()]
        trusted = None if since is None else SignedCheckpoint.parse(since.read_text("utf-8"))
        total = sum(path.stat().st_size for path in files_of(directory, archive))
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
                keys=keys,
                since=trusted,
                archive_directory=archive,
                progress=lambda amount: progress.advance(task, amount),
            )
        if witness_records and report.problem is None:
            report.problem = compare(directory, witness_records, keys).problem
    except (OSError, ValueError, JukiError) as error:
        Console(stderr=True).print(f"[red]cannot verify:[/] {error}", highlight=False)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(report)))
    else:
        _show(console, directory, report)
    if report.problem is not None:
        raise typer.Exit(1)


app.command("witnesses")(witnesses_command)


@app.command("prove")
def prove_command(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of the log.")],
    entry: Annotated[
        str,
        typer.Argument(
            metavar="SEQUENCE|REQUEST",
            help="Sequence of the record, or the request id of a call recorded once.",
        ),
    ],
    index: Annotated[
        int, typer.Argument(metavar="INDEX", help="Which person of the call, from 0.", min=0)
    ] = 0,
    archive: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where archived segments were moved to, if elsewhere."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The JSON alone, on one line.")] = False,
) -> None:
    """Prove that one person's entry stands in the log, to anyone who has the log's public key.

    docs/verify/ checks the proof without any code of this project. Exit code 0: proven. 1: there is
    no such entry, or the log was altered. 2: it cannot be read.

    \b
    Examples:
      juki audit prove /var/lib/juki/audit 1042 17 --json > proof.json
      juki audit prove /var/lib/juki/audit 3f6c2b0e-request 0
    """
    try:
        records = LogRecords(directory, archive)
        proof = prove(directory, records, _sequence(records, entry), index)
    except (JukiError, ValueError) as error:
        Console(stderr=True).print(f"[red]cannot prove:[/] {error}", highlight=False)
        raise typer.Exit(1) from None
    except OSError as error:
        Console(stderr=True).print(f"[red]cannot read:[/] {error}", highlight=False)
        raise typer.Exit(2) from None
    typer.echo(json.dumps(proof, indent=None if as_json else 2, ensure_ascii=False))


def _sequence(records: LogRecords, entry: str) -> int:
    if entry.isascii() and entry.isdigit():
        return int(entry)
    found = find_request(records, entry)
    if len(found) != 1:
        listed = ", ".join(map(str, found[:10])) or "none"
        raise ValueError(f"records of this request: {listed}; give one sequence")
    return found[0]


def _show(console: Console, directory: Path, report: VerificationReport) -> None:
    table = Table(title=f"Audit log {directory}", show_header=False)
    if report.since:
        table.add_row("trusted without reading", f"{report.since:,} records")
    table.add_row("records", f"{report.records:,}")
    table.add_row("of refused calls", f"{report.refused:,}")
    table.add_row("entries (persons)", f"{report.entries:,}")
    table.add_row("segments", f"{report.segments:,}")
    table.add_row("bytes", f"{report.bytes_read:,}")
    table.add_row("checkpoint", _checkpoint_in_words(report))
    table.add_row("co-signed by", ", ".join(report.witnesses) or "nobody")
    console.print(table)
    if report.torn_tail is not None:
        torn = report.torn_tail
        console.print(f"[yellow]note[/] {torn.file} at byte {torn.offset}: {torn.what}")
    if report.problem is None:
        console.print("[green]nothing is wrong[/]")
    else:
        problem = report.problem
        entry = "" if problem.entry is None else f", entry {problem.entry}"
        console.print(
            f"[red]WRONG[/] {problem.file} at byte {problem.offset}{entry}: {problem.what}"
        )


def _checkpoint_in_words(report: VerificationReport) -> str:
    if report.checkpoint is CheckpointStatus.ABSENT:
        return "none: records altered or cut off on purpose would not be noticed"
    good = report.checkpoint is CheckpointStatus.VERIFIED
    trust = "signature good" if good else "signature not verified"
    return f"{report.origin}, {report.size:,} records, {trust}"


def _public_key(path: Path) -> ec.EllipticCurvePublicKey:
    content = path.read_bytes()
    key = (
        x509.load_pem_x509_certificates(content)[0].public_key()
        if b"BEGIN CERTIFICATE" in content
        else serialization.load_pem_public_key(content)
    )
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise ValueError(f"{path} holds no P-256 key")
    return key
