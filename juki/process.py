"""How every server process starts, says that it is ready, and ends."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from juki.config import Configuration, load_config
from juki.domain.errors import JukiError
from juki.log import configure_logging
from juki.rpc.call import current_request_id

ConfigurationT = TypeVar("ConfigurationT", bound=Configuration)


def run_server(
    name: str,
    model: type[ConfigurationT],
    serve: Callable[[ConfigurationT, ExitStack], dict[str, object]],
) -> int:
    """Runs a server from `--config FILE` until SIGTERM; 1 when it cannot start, which it says.

    `serve` starts every part, registers how each is stopped on the stack (the last started is
    stopped first), and returns what the ready line tells: one line of JSON on standard output.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {name}")
    parser.add_argument("--config", type=Path, required=True, help="the server's TOML file")
    arguments = parser.parse_args()
    configure_logging(request_id=current_request_id)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        with ExitStack() as stack:
            facts = serve(load_config(arguments.config, model), stack)
            sys.stdout.write(json.dumps({"ready": True, **facts}) + "\n")
            sys.stdout.flush()
            stopped.wait()
    except JukiError as error:
        sys.stderr.write(f"{name} does not start: {error}\n")
        return 1
    return 0
