"""How every server process starts, says that it is ready, and ends."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TypeVar

import structlog

from juki.config import Configuration, load_config
from juki.domain.errors import JukiError, Reason
from juki.hardening import harden_process
from juki.log import configure_logging
from juki.rpc.call import current_request_id

ConfigurationT = TypeVar("ConfigurationT", bound=Configuration)

_LOG: Final = structlog.get_logger(__name__)
_PATIENCE_SECONDS: Final = 60.0
"""How long a server tries to start while its own custody or database is still on its way up."""

_PAUSE_SECONDS: Final = 0.5
_ON_THE_WAY_UP: Final = frozenset({Reason.CUSTODY_UNAVAILABLE, Reason.STORE_UNAVAILABLE})


def run_server(
    name: str,
    model: type[ConfigurationT],
    serve: Callable[[ConfigurationT, ExitStack], dict[str, object]],
) -> int:
    """Runs a server from `--config FILE` until SIGTERM; 1 when it cannot start, which it says.

    `serve` starts every part, registers how each is stopped on the stack (the last started is
    stopped first), and returns what the ready line tells: one line of JSON on standard output. It
    is called again, for a minute, while custody or the database does not answer: the processes of a
    host may start in any order.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {name}")
    parser.add_argument("--config", type=Path, required=True, help="the server's TOML file")
    arguments = parser.parse_args()
    configure_logging(request_id=current_request_id)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    deadline = time.monotonic() + _PATIENCE_SECONDS
    try:
        # Its memory holds persons' data and data keys: no dump of it may come to lie on disk.
        harden_process()
        config = load_config(arguments.config, model)
        while not stopped.is_set():
            with ExitStack() as stack:
                try:
                    facts = serve(config, stack)
                except JukiError as error:
                    if error.reason not in _ON_THE_WAY_UP or time.monotonic() > deadline:
                        raise
                    _LOG.warning("not started yet", reason=error.reason.value)
                else:
                    sys.stdout.write(json.dumps({"ready": True, **facts}) + "\n")
                    sys.stdout.flush()
                    stopped.wait()
            stopped.wait(_PAUSE_SECONDS)
    except JukiError as error:
        sys.stderr.write(f"{name} does not start: {error}\n")
        return 1
    return 0
