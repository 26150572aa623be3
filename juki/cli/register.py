"""`juki register`: the operator's commands over a server's sealed register."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table
from sqlalchemy import Engine

import cs_gateway.covered
import national_server.covered
import pref_server.covered
from cs_gateway.config import GatewayConfiguration
from cs_gateway.tables import DATA_KEY, REGISTER_ROOT
from juki.config import load_config
from juki.custody.client import CustodyClient
from juki.custody.roots import load_roots
from juki.domain.errors import JukiError
from juki.register.tables import data_key, register_root
from juki.rpc.names import gateway_identity, national_identity, prefecture_identity
from juki.server_config import ServerConfiguration
from juki.store.checkpoint import CheckpointFile, Standing, verify_checkpoints
from juki.store.data_keys import KeyStore, SealingKeys
from juki.store.engine import open_engine
from juki.store.verification import RootedDatabase, Verification, verify
from national_server.config import NationalConfiguration
from pref_server.config import PrefecturalConfiguration

app = typer.Typer(
    help="A server's sealed register: verify it, rotate its keys.", no_args_is_help=True
)


class Tier(StrEnum):
    """Whose register."""

    CS = "cs"
    PREF = "pref"
    NATIONAL = "national"


TierArgument = Annotated[Tier, typer.Argument(help="cs, pref or national: whose file CONFIG is.")]
ConfigOption = Annotated[Path, typer.Option(help="The server's TOML file.", dir_okay=False)]


@dataclass(frozen=True, slots=True)
class OpenRegister:
    """A server's database with its keys, opened beside the server or in its place."""

    tier: Tier
    configuration: ServerConfiguration
    identity: str
    engine: Engine
    sealing: SealingKeys
    database: RootedDatabase


@contextmanager
def open_register(tier: Tier, config: Path) -> Iterator[OpenRegister]:
    """Opens the database that a server's configuration names; custody has to run."""
    with ExitStack() as stack:
        configuration, identity = _load(tier, config)
        engine = open_engine(configuration.database_url)
        stack.callback(engine.dispose)
        custody = stack.enter_context(CustodyClient(configuration.custody_socket))
        is_gateway = tier is Tier.CS
        sealing = SealingKeys(KeyStore(engine, DATA_KEY if is_gateway else data_key, custody))
        sections = {
            Tier.CS: cs_gateway.covered.SECTIONS,
            Tier.PREF: pref_server.covered.SECTIONS,
            Tier.NATIONAL: national_server.covered.SECTIONS,
        }[tier]
        roots = REGISTER_ROOT if is_gateway else register_root
        database = RootedDatabase(engine, sealing.sealer, roots, sections)
        yield OpenRegister(tier, configuration, identity, engine, sealing, database)


def _load(tier: Tier, config: Path) -> tuple[ServerConfiguration, str]:
    if tier is Tier.CS:
        gateway = load_config(config, GatewayConfiguration)
        return gateway, gateway_identity(gateway.municipality, gateway.trust_domain)
    if tier is Tier.PREF:
        prefecture = load_config(config, PrefecturalConfiguration)
        return prefecture, prefecture_identity(prefecture.prefecture, prefecture.trust_domain)
    national = load_config(config, NationalConfiguration)
    return national, national_identity(national.trust_domain)


def progress_bar(console: Console, *, hidden: bool) -> Progress:
    """A bar over rows."""
    return Progress(
        "[progress.description]{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=hidden,
        transient=True,
    )


@app.callback()
def _register() -> None:
    """Keeps every command one of its own."""


@app.command("verify")
def verify_command(
    tier: TierArgument,
    config: ConfigOption,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
) -> None:
    """Read every row, open what is sealed, compare with the register root and its checkpoints.

    Works beside the running server; custody has to run.

    Exit code 0: nothing is wrong. 1: something was tampered with. 2: it cannot be read.
    3: nothing is wrong but that the whole database is older than its last checkpoint: it was
    restored, or put back, to an older state.

    \b
    Examples:
      juki register verify national --config /etc/juki/national.toml
      juki register verify cs --config cs.toml --json
    """
    console = Console(stderr=True)
    try:
        with open_register(tier, config) as register:
            path = register.configuration.register_root.checkpoint_file
            checkpoints = [] if path is None else CheckpointFile(path).read()
            roots = load_roots(register.configuration.roots_pem)
            verify_checkpoints(checkpoints, roots.der, register.identity)
            with progress_bar(console, hidden=as_json) as progress:
                task = progress.add_task("Verifying", total=register.database.count_rows())
                found = verify(
                    register.database,
                    checkpoints[-1] if checkpoints else None,
                    lambda rows: progress.advance(task, rows),
                )
    except JukiError as error:
        console.print(f"[red]cannot verify:[/] {error}", highlight=False)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps({**dataclasses.asdict(found), "checkpoints": len(checkpoints)}))
    else:
        _show(tier, found, len(checkpoints))
    if found.findings:
        raise typer.Exit(1)
    if found.standing is Standing.RESTORED:
        raise typer.Exit(3)


def _show(tier: Tier, found: Verification, checkpoints: int) -> None:
    console = Console()
    table = Table(title=f"Register ({tier.value})", show_header=False)
    table.add_row("rows", f"{found.rows:,}")
    table.add_row("signed checkpoints", f"{checkpoints:,}")
    table.add_row("the database is", found.standing.value)
    console.print(table)
    for finding in found.findings:
        console.print(f"[red]TAMPERED[/] {finding}", highlight=False)
    if not found.findings:
        console.print("[green]nothing is wrong[/]")
