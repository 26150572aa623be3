"""Where a server's register of administrative acts is, and who may sign in it."""

from __future__ import annotations

from pathlib import Path

from juki.config import Configuration


class ActsConfiguration(Configuration):
    """The table `[acts]` of a server's file."""

    directory: Path
    """The acts log; officers' proposals come into `proposals` below it."""

    officers: Path
    """TOML file of the officers (see `juki.policy.acts.officers`); not writable by them."""
