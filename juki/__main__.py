"""`python -m juki`: the same as the `juki` command."""

from juki.cli.main import app

app()
