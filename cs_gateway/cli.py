"""The operator's commands of the gateway: `juki cs …`."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cs_gateway.__main__ import GatewayParts, open_parts
from cs_gateway.config import GatewayConfiguration
from cs_gateway.drop_store import DropStore
from cs_gateway.epoch import EpochStarter
from cs_gateway.signing import StreamSigner
from cs_gateway.standing import read_standing
from cs_gateway.store import GatewayStore, open_store
from juki.config import load_config
from juki.store.engine import now_microseconds

app = typer.Typer(help="A municipality's CS gateway.", no_args_is_help=True)
quarantine = typer.Typer(help="Refused lines of drop files.", no_args_is_help=True)
app.add_typer(quarantine, name="quarantine")

_Config = Annotated[Path, typer.Option("--config", help="The gateway's TOML file.", dir_okay=False)]


def _open(config: Path, stack: ExitStack) -> tuple[GatewayParts, GatewayStore]:
    parts = open_parts(load_config(config, GatewayConfiguration), stack)
    store = open_store(parts.engine, parts.custody, parts.options.municipality.digits)
    return parts, store


@app.command("new-epoch")
def new_epoch(
    config: _Config,
    reason: Annotated[str, typer.Option(help="Why, in words for the signed record.")],
    operator: Annotated[str, typer.Option(help="Your operator id.")],
    *,
    without_prefecture: Annotated[
        bool,
        typer.Option(
            "--without-prefecture",
            help="Go on although the prefecture does not answer; what the backup lacks is lost.",
        ),
    ] = False,
) -> None:
    """Start a new epoch after a restore. Stop the gateway first.

    Fetches back what the backup lacks, voids the pool of codes and signs the start. Afterwards let
    the register repeat its events since the backup.

    Example: juki cs new-epoch --config cs.toml --reason "restored from backup" --operator op-7
    """
    with ExitStack() as stack:
        parts, store = _open(config, stack)
        starter = EpochStarter(
            parts.options.municipality.digits,
            store,
            StreamSigner(parts.custody),
            parts.upstream,
            now_microseconds,
        )
        started = starter.start(reason, operator, without_prefecture=without_prefecture)
    Console().print(f"epoch {started.epoch} begins; {started.recovered} notifications fetched back")


@app.command()
def status(config: _Config) -> None:
    """Show how far the stream is known.

    Example: juki cs status --config cs.toml
    """
    with ExitStack() as stack:
        _, store = _open(config, stack)
        standing = read_standing(store)
    table = Table("known to", "epoch", "through")
    table.add_row("gateway", str(standing.epoch), str(standing.issued_through))
    table.add_row("prefecture", str(standing.prefecture_epoch), str(standing.prefecture_through))
    table.add_row("nation", str(standing.nation_epoch), str(standing.nation_through))
    Console().print(table)
    Console().print(f"numbers pending: {standing.numbers_pending}")


@quarantine.command("list")
def list_quarantined(config: _Config) -> None:
    """List the drop files that have refused lines.

    Example: juki cs quarantine list --config cs.toml
    """
    with ExitStack() as stack:
        _, store = _open(config, stack)
        table = Table("id", "file", "refused lines")
        for file_id, name, count in DropStore(store).refused_files():
            table.add_row(str(file_id), name, str(count))
    Console().print(table)


@quarantine.command("export")
def export_quarantined(
    config: _Config,
    file_id: Annotated[int, typer.Option(help="As listed.")],
    output: Annotated[Path, typer.Option(help="A new file; it holds personal data.")],
    *,
    forget: Annotated[bool, typer.Option("--forget", help="Delete them here afterwards.")] = False,
) -> None:
    """Write a file's refused lines as they came, to be corrected; yours to guard from then on.

    Example: juki cs quarantine export --config cs.toml --file-id 3 --output lines.jsonl
    """
    with ExitStack() as stack:
        _, store = _open(config, stack)
        lines = DropStore(store)
        count = 0
        # Never over a file that is there, and for the operator's eyes only.
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for refused in lines.export(file_id):
                file.write(refused.line.rstrip(b"\r\n") + b"\n")
                count += 1
            file.flush()
            os.fsync(file.fileno())
        if forget:
            lines.forget(file_id)
    Console().print(f"{count} lines written")
