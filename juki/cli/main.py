"""The `juki` command: knows every sub-command, each of which lives in its own room."""

from __future__ import annotations

import runpy
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import bench.cli
import cs_gateway.cli
import hsm.cli
import juki.agency.cli
import juki.audit.cli
import juki.cli.disclosure
import juki.cli.policy
import juki.cli.register
import juki.evidence.cli
import juki.population.cli

app = typer.Typer(
    help="Juki-Net (住民基本台帳ネットワーク): run it, feed it, ask it, audit it.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.add_typer(juki.population.cli.app, name="population")
app.add_typer(juki.agency.cli.app, name="agency")
app.add_typer(juki.audit.cli.app, name="audit")
app.add_typer(juki.evidence.cli.app, name="evidence")
app.add_typer(juki.cli.policy.app, name="policy")
app.add_typer(juki.cli.register.app, name="register")
app.add_typer(juki.cli.disclosure.app, name="disclosure")
app.add_typer(cs_gateway.cli.app, name="cs")
app.add_typer(hsm.cli.app, name="hsm")
app.add_typer(bench.cli.app, name="bench")


class Server(StrEnum):
    """What can be served."""

    CS = "cs"
    PREF = "pref"
    NATIONAL = "national"
    HSM = "hsm"


_MODULES = {
    Server.CS: "cs_gateway",
    Server.PREF: "pref_server",
    Server.NATIONAL: "national_server",
    Server.HSM: "hsm",
}


@app.command()
def serve(
    server: Annotated[Server, typer.Argument(help="cs, pref, national or hsm (custody of keys).")],
    config: Annotated[Path, typer.Option(help="The server's TOML file.", dir_okay=False)],
) -> None:
    """Run one server until SIGTERM.

    Example: juki serve pref --config /etc/juki/pref22.toml
    """
    module = _MODULES[server]
    sys.argv = [module, "--config", str(config)]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


@app.command()
def demo(
    residents: Annotated[int, typer.Option(help="Synthetic residents to load.", min=4000)] = 20_000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same people.")] = 1,
    events: Annotated[int, typer.Option(help="Single events to time.", min=20)] = 200,
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running, show addresses.")] = False,
) -> None:
    """Provision, start every tier, load people, play the story, and show that it holds.

    Exits with 1 when anything in the story did not hold.

    Example: juki demo --residents 50000 --keep
    """
    from juki.demo.run import run_demo

    if not run_demo(Console(), residents, seed, events, keep=keep):
        raise typer.Exit(1)
