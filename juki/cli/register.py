"""`juki register`: the operator's commands over a server's sealed register."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

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
from juki.domain.errors import JukiError, Reason
from juki.register.tables import data_key, register_root
from juki.rpc.names import gateway_identity, national_identity, prefecture_identity
from juki.server_config import ServerConfiguration
from juki.store.checkpoint import CheckpointFile, Standing, verify_checkpoints
from juki.store.data_keys import KeyPurpose, KeyStore, SealingKeys
from juki.store.engine import open_engine
from juki.store.rekeying import count_blind, count_sealed, rekey_index, rekey_root, reseal
from juki.store.verification import RootedDatabase, Verification, verify
from national_server.config import NationalConfiguration
from pref_server.config import PrefecturalConfiguration

_NOT_AS_WRITTEN: Final = frozenset(
    {Reason.TAMPERING_DETECTED, Reason.UNKNOWN_SIGNING_KEY, Reason.SIGNER_MISMATCH}
)
"""Of a checkpoint: altered, or not signed by this host."""

_TAKEN_UP_SECONDS: Final = 3.0
"""Servers look for a new data key each second."""

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
        outside = cs_gateway.covered.OUTSIDE if is_gateway else ()
        database = RootedDatabase(engine, sealing.sealer, roots, sections, outside)
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
        if error.reason in _NOT_AS_WRITTEN:
            console.print(f"[red]TAMPERED[/] {error}", highlight=False)
            raise typer.Exit(1) from None
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


@app.command("rotate-data-key")
def rotate_data_key(
    tier: TierArgument,
    config: ConfigOption,
    *,
    go_on: Annotated[
        bool, typer.Option("--continue", help="No new key: go on with rows under older ones.")
    ] = False,
) -> None:
    """Seal everything under a new data key, wrapped by the token.

    Works beside the running server, which takes the new key up within seconds; custody has to run.
    Stopped or killed, it goes on with --continue. Older keys stay, for backups.

    \b
    Examples:
      juki register rotate-data-key national --config /etc/juki/national.toml
      juki register rotate-data-key national --config /etc/juki/national.toml --continue
    """
    with _told_errors(), open_register(tier, config) as register:
        version = register.sealing.sealer.key_version
        if not go_on:
            version = register.sealing.rotate()
            # From then on a running server writes no row under the old key any more.
            time.sleep(_TAKEN_UP_SECONDS)
        with progress_bar(Console(stderr=True), hidden=False) as progress:
            task = progress.add_task("Sealing anew", total=count_sealed(register.database))
            changed = reseal(
                register.database, register.sealing, lambda rows: progress.advance(task, rows)
            )
    Console().print(f"{changed:,} rows sealed anew; all are under data key {version}")


@app.command("rotate-index-key")
def rotate_index_key(tier: TierArgument, config: ConfigOption) -> None:
    """Bring every blind index under a further index key, wrapped by the token.

    Plan it: until it is done the server writes nothing and answers its callers that they should
    come back. Look-ups at the nation go on. Stopped or killed, it goes on when it is run again.
    Afterwards start a gateway anew; the nation's and prefectures' servers need not be.

    \b
    Example:
      juki register rotate-index-key pref --config /etc/juki/pref22.toml
    """
    with (
        _told_errors(),
        open_register(tier, config) as register,
        progress_bar(Console(stderr=True), hidden=False) as progress,
    ):
        task = progress.add_task("Re-keying", total=count_blind(register.database))
        version = rekey_index(
            register.database, register.sealing.keys, lambda rows: progress.advance(task, rows)
        )
    Console().print(f"all blind indexes are under index key {version}")


@app.command("rotate-root-key")
def rotate_root_key(tier: TierArgument, config: ConfigOption) -> None:
    """Bring the register's root under a new key, wrapped by the token.

    Plan it: every row is read twice (80,000 rows a second, about), and until it is done the server
    writes nothing. Look-ups at the nation go on. It is done whole or not at all: stopped or killed,
    begin again. What was tampered with is found on the way, and nothing is rotated then.

    \b
    Example:
      juki register rotate-root-key national --config /etc/juki/national.toml
    """
    with (
        _told_errors(),
        open_register(tier, config) as register,
        progress_bar(Console(stderr=True), hidden=False) as progress,
    ):
        task = progress.add_task("Adding up anew", total=2 * register.database.count_rows())
        version = rekey_root(
            register.database, register.sealing.keys, lambda rows: progress.advance(task, rows)
        )
    Console().print(f"the register's root is under key {version}")


@app.command("rotate-pseudonym-key")
def rotate_pseudonym_key(config: ConfigOption) -> None:
    """Write the audit log's pseudonyms under a new key from now on (the nation's server only).

    Works beside the running server, which takes the key up within seconds; custody has to run.
    Records are never written anew: they name their key, and every key stays.

    \b
    Example:
      juki register rotate-pseudonym-key --config /etc/juki/national.toml
    """
    with _told_errors(), open_register(Tier.NATIONAL, config) as register:
        _, version = register.sealing.keys.make_next(KeyPurpose.PSEUDONYMS)
    Console().print(f"pseudonyms are written under key {version}")


@contextmanager
def _told_errors() -> Iterator[None]:
    try:
        yield
    except JukiError as error:
        Console(stderr=True).print(f"[red]not done:[/] {error}", highlight=False)
        raise typer.Exit(2) from None
