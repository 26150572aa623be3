"""A body that is revoked while the lookup bench runs: a process that keeps asking, and tells.

`python -m bench.revoked_body --config FILE` asks one call after the other until a line comes on
standard input: `{"revoked_at": T}`, T as `time.monotonic` counts. Then it says in one line of JSON
what became of its calls before and after.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import grpc

from bench.lookup_client import BenchClientConfiguration, requests_of
from juki.config import load_config
from juki.custody.client import CustodyClient
from juki.custody.roots import load_roots
from juki.domain.errors import Reason
from juki.lookup.service import LOOKUP_SERVICE
from juki.rpc.channel import ChannelSettings
from juki.rpc.custody_channel import open_custody_channel
from juki.rpc.errors import reason_of

LIMIT_SECONDS: Final = 5.0
"""By when nobody answers a revoked identity any more."""

_CALL_SECONDS: Final = 10.0
_ANSWERED: Final = "answered"


@dataclass(frozen=True, slots=True)
class Refusals:
    """What became of the revoked body's calls."""

    answered_before: int
    refused_before: int
    """Also those that failed."""

    refused_after_seconds: float
    """From the revocation to the first refusal."""

    calls_after_limit: int
    refused_after_limit: int
    """As revoked, of the calls that began when five seconds had passed."""


def tell(calls: list[tuple[float, str]], revoked_at: float) -> Refusals:
    """From when each call began and how it ended."""
    before = [outcome for began, outcome in calls if began < revoked_at]
    late = [outcome for began, outcome in calls if began >= revoked_at + LIMIT_SECONDS]
    refused = [
        began
        for began, outcome in calls
        if began >= revoked_at and outcome == Reason.IDENTITY_REVOKED
    ]
    return Refusals(
        answered_before=before.count(_ANSWERED),
        refused_before=len(before) - before.count(_ANSWERED),
        refused_after_seconds=round(min(refused, default=float("inf")) - revoked_at, 3),
        calls_after_limit=len(late),
        refused_after_limit=late.count(Reason.IDENTITY_REVOKED),
    )


@contextmanager
def _asking(config: BenchClientConfiguration) -> Iterator[list[tuple[float, str]]]:
    calls: list[tuple[float, str]] = []
    stopping = threading.Event()
    request = requests_of(config.people)["Lookup"][0]

    def ask() -> None:
        while not stopping.is_set():
            began = time.monotonic()
            try:
                call(request, timeout=_CALL_SECONDS)
                outcome = _ANSWERED
            except grpc.RpcError as error:
                outcome = reason_of(error) or "failed"
            calls.append((began, outcome))
            stopping.wait(0.01)

    with CustodyClient(config.custody_socket) as custody:
        channel = open_custody_channel(
            f"127.0.0.1:{config.ports['ours']}",
            config.server_name,
            custody,
            load_roots(config.roots_pem),
            ChannelSettings(attempts=1),
        )
        call = channel.unary_unary(f"/{LOOKUP_SERVICE}/Lookup", bytes, bytes)
        thread = threading.Thread(target=ask, name="asking")
        thread.start()
        try:
            yield calls
        finally:
            stopping.set()
            thread.join()
            channel.close()


def main() -> None:
    """Asks until told when it was revoked."""
    parser = argparse.ArgumentParser(prog="bench.revoked_body", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    config = load_config(parser.parse_args().config, BenchClientConfiguration)
    with _asking(config) as calls:
        sys.stdout.write('{"ready": true}\n')
        sys.stdout.flush()
        order = json.loads(sys.stdin.readline())
    sys.stdout.write(json.dumps(asdict(tell(calls, order["revoked_at"]))) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
