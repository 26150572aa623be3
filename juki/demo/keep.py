"""`juki demo --keep`: what runs where, and what to type to ask it something."""

from __future__ import annotations

import csv
import signal
import threading
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from juki.localnet.network import LocalNetwork
from juki.localnet.plan import write_configuration

_BODY: Final = "agency-nenkin"


def keep_running(console: Console, network: LocalNetwork, numbers: list[str]) -> None:
    """Shows addresses and commands, and blocks until Ctrl-C or SIGTERM."""
    table = Table("process", "gRPC (mutual TLS)", "metrics", title="Running until Ctrl-C")
    for host in network.servers:
        metrics = network.ports[f"{host}/metrics"]
        table.add_row(host, f"127.0.0.1:{network.ports[host]}", f"127.0.0.1:{metrics}/metrics")
    console.print(table)
    configuration, cohort = _prepare_body(network, numbers)
    directory = network.plan.directory
    verified = directory / "verified.csv"
    asked = f"--config {configuration} --affair 1:77"
    for what, command in (
        ("The pension body asks for a cohort", f"agency verify-cohort {cohort} {verified} {asked}"),
        ("It asks for one person", f"agency lookup {asked} --number"),
        ("Verify the audit log", f"audit verify {directory / 'national' / 'audit'}"),
        (
            "Let the nation's custody sign",
            f"hsm status --socket {network.plan.custody_socket('national')}",
        ),
    ):
        console.print(f"{what}:")
        console.print(f"  juki {command}", soft_wrap=True, highlight=False)
    console.print(f"Files and logs: {directory}")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
    console.print("Stopping.")


def _prepare_body(network: LocalNetwork, numbers: list[str]) -> tuple[Path, Path]:
    """The pension body's configuration and a file of people it may ask for."""
    directory = network.plan.host_directory(_BODY)
    configuration, cohort = directory / "agency.toml", directory / "cohort.csv"
    write_configuration(
        configuration,
        {
            "custody_socket": network.plan.custody_socket(_BODY),
            "roots_pem": network.plan.roots,
            "office": "年金事業部",
            "operator": "demo",
            "nation": {
                "address": f"127.0.0.1:{network.ports['national']}",
                "server_name": network.server_name("national"),
            },
        },
    )
    with cohort.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "individual_number"])
        writer.writerows(enumerate(numbers, start=1))
    return configuration, cohort
