"""The client process of the lookup bench: keeps calls under way, and says how many were answered.

`python -m bench.lookup_client --config FILE`; then one JSON order a line on standard input
(`{"server": "ours", "method": "BatchLookup", "seconds": 2}`), one JSON answer a line.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any, Final

import grpc

from bench.lookup_server import FIELDS
from bench.people import SEED, read_people
from juki.config import Configuration, load_config
from juki.custody.client import CustodyClient
from juki.custody.roots import load_roots
from juki.lookup.service import LOOKUP_SERVICE
from juki.rpc.channel import ChannelSettings
from juki.rpc.custody_channel import open_custody_channel
from juki.v1 import identification_pb2, lookup_pb2

BATCH: Final = 1_000
CONCURRENT_CALLS: Final = {"Lookup": 16, "BatchLookup": 4}
_REQUESTS: Final = 64
"""Different ones, sent in turn."""


class BenchClientConfiguration(Configuration):
    """What the process needs."""

    people: Path
    ports: dict[str, int]
    """Port of each server."""

    server_name: str
    custody_socket: Path
    roots_pem: Path


def main() -> None:
    """Connects to every server, then measures what it is told to."""
    parser = argparse.ArgumentParser(prog="bench.lookup_client", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    config = load_config(parser.parse_args().config, BenchClientConfiguration)
    requests = requests_of(config.people)
    with CustodyClient(config.custody_socket) as custody:
        roots, once = load_roots(config.roots_pem), ChannelSettings(attempts=1)
        channels = {
            server: open_custody_channel(
                f"127.0.0.1:{port}", config.server_name, custody, roots, once
            )
            for server, port in config.ports.items()
        }
        _expect_the_same_answers(channels, requests)
        sys.stdout.write('{"ready": true}\n')
        sys.stdout.flush()
        for line in sys.stdin:
            order = json.loads(line)
            method = order["method"]
            call = _raw(channels[order["server"]], method)
            rate = _rate(call, requests[method], CONCURRENT_CALLS[method], order["seconds"])
            sys.stdout.write(json.dumps({"calls_per_second": rate}) + "\n")
            sys.stdout.flush()
        for channel in channels.values():
            channel.close()


def _raw(channel: grpc.Channel, method: str) -> Any:
    """The method, bytes in and bytes out."""
    return channel.unary_unary(f"/{LOOKUP_SERVICE}/{method}", bytes, bytes)


def requests_of(people: Path) -> dict[str, list[bytes]]:
    """Serialised requests of each method, for people of the file drawn at random."""
    numbers = [
        identification_pb2.IdentificationInformation.FromString(state.information).individual_number
        for state in read_people(people)
    ]
    random = Random(SEED)  # noqa: S311 - which made-up people are asked for
    context = lookup_pb2.LookupContext(
        affair=lookup_pb2.AffairReference(table=1, item="77"),
        request_id="bench-request",
        office="bench",
        operator="bench",
        fields=[lookup_pb2.Field.ValueType(int(field)) for field in FIELDS],
    )
    single = [
        lookup_pb2.LookupRequest(context=context, individual_number=number).SerializeToString()
        for number in random.choices(numbers, k=_REQUESTS)
    ]
    batch = [
        lookup_pb2.BatchLookupRequest(
            context=context,
            individual_numbers=lookup_pb2.IndividualNumberKeys(
                values=map(int, random.choices(numbers, k=BATCH))
            ),
        ).SerializeToString()
        for _ in range(_REQUESTS)
    ]
    return {"Lookup": single, "BatchLookup": batch}


def _expect_the_same_answers(
    channels: dict[str, grpc.Channel], requests: dict[str, list[bytes]]
) -> None:
    """Every server is to answer with the same bytes, all of them of people found."""
    for method, some in requests.items():
        answers = {_raw(channel, method)(some[0]) for channel in channels.values()}
        if len(answers) != 1:
            raise SystemExit(f"the servers answer {method} differently")
        results = lookup_pb2.BatchLookupResponse.FromString(answers.pop()).results
        if any(one.outcome != lookup_pb2.LOOKUP_OUTCOME_FOUND for one in results):
            raise SystemExit(f"{method} does not find everybody")


def _rate(call: Any, requests: list[bytes], threads: int, seconds: float) -> float:
    """Calls answered a second with `threads` under way all the time."""
    counts = [0] * threads
    failures: list[Exception] = []
    end = time.perf_counter() + seconds

    def run(number: int) -> None:
        try:
            for request in islice(cycle(requests), number, None):
                if time.perf_counter() >= end:
                    return
                call(request)
                counts[number] += 1
        except Exception as failure:  # told to the main thread
            failures.append(failure)

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    started = time.perf_counter()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if failures:
        raise failures[0]
    return sum(counts) / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
