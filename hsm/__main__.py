"""Runs the custody of a host's keys: `python -m hsm --config custody.toml` (composition root)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hsm.configuration import read_configuration
from hsm.front import Front
from hsm.hardening import harden_process
from hsm.process import configure_logging, on_signals
from juki.domain.errors import JukiError


def main(arguments: list[str] | None = None) -> int:
    """Run custody until SIGTERM; 0 after an orderly end, 1 where it cannot start.

    A token that is absent, locked or lost ends nothing: callers are refused with the reason until
    it is back.
    """
    parser = argparse.ArgumentParser(prog="python -m hsm", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="custody's TOML file")
    file = parser.parse_args(arguments).config
    configure_logging()
    try:
        harden_process()
        front = Front(file, read_configuration(file), _announce)
        on_signals(front.stop)
        front.run()
    except JukiError as error:
        sys.stderr.write(f"custody does not start: {error}\n")
        return 1
    return 0


def _announce(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
