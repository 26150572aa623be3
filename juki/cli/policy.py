"""`juki policy`: what the law as loaded says, printed."""

from __future__ import annotations

import typer

from juki.cli.policy_acts import add_commands

app = typer.Typer(help="What the law as loaded grants and refuses.", no_args_is_help=True)
add_commands(app)


@app.callback()
def policy() -> None:
    """What the law as loaded grants and refuses."""
