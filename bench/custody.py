"""Custody against its peers, in one run: a bare PKCS#11 loop, and TLS keys in memory.

Signatures: four client processes sign through one custody process, against one process that loops
over the same key with python-pkcs11. Handshakes: a grpcio client whose key signs in the token,
against the same client with a key in memory, once called back for each signature as the token's is,
once left to grpcio; and an nginx whose key is in a token against one with a key file. Rounds
alternate; medians count.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.handshakes import HandshakeTimes, client_credentials, measure_client_handshakes
from bench.machine import Machine
from bench.nginx_handshakes import NGINX, measure_nginx_handshakes
from bench.ordered import OrderedWorker, ordered_worker
from hsm.host_files import host_files, root_file
from hsm.plan import AUTHORITY_SOCKET, SERVER_SOCKET, ProvisioningPlan
from hsm.provision import provision
from juki.custody.client import CustodyClient
from juki.localnet.process import ManagedProcess

CLIENTS: Final = 4
BATCHES: Final = (1, 8, 32, 256)
"""Digests a call."""
_AGENCY: Final = "bench"
_SERVER: Final = "server.national.juki.example"


@dataclass(frozen=True, slots=True)
class CustodyFigures:
    """What was measured; lists have one value a round."""

    machine: Machine
    workers: int = 1
    """Sessions of the custody that signs, each in a process of its own."""

    bare_per_second: list[float] = field(default_factory=list)
    per_second: dict[int, list[float]] = field(default_factory=dict)
    """Signatures a second of all clients together, by digests a call."""
    bare_microseconds: list[float] = field(default_factory=list)
    """Processor time of the bare loop for a signature."""
    microseconds: dict[int, list[float]] = field(default_factory=dict)
    """Processor time of custody's processes for a signature, by digests a call."""
    handshakes: HandshakeTimes = field(default_factory=lambda: HandshakeTimes({}))
    nginx: HandshakeTimes = field(default_factory=lambda: HandshakeTimes({}))
    """Empty where nginx is not installed."""

    def ratio(self, batch: int) -> float:
        """Through custody to the bare loop: the median of the rounds' own ratios."""
        pairs = zip(self.per_second[batch], self.bare_per_second, strict=True)
        return median(ours / bare for ours, bare in pairs)

    def processor_ratio(self, batch: int) -> float:
        """The bare loop's processor time for a signature to custody's.

        What `ratio` comes to where nothing else wants the processor: others' load moves it little.
        """
        return median(self.bare_microseconds) / median(self.microseconds[batch])

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "clients": CLIENTS,
            "workers": self.workers,
            "rounds": len(self.bare_per_second),
            "bare_signatures_per_second": round(median(self.bare_per_second)),
            "signatures_per_second": {
                str(batch): round(median(rates)) for batch, rates in self.per_second.items()
            },
            "ratio_to_bare": {str(batch): round(self.ratio(batch), 3) for batch in BATCHES},
            "bare_microseconds_a_signature": round(median(self.bare_microseconds), 1),
            "custody_microseconds_a_signature": {
                str(batch): round(median(spent), 1) for batch, spent in self.microseconds.items()
            },
            "processor_ratio_to_bare": {
                str(batch): round(self.processor_ratio(batch), 3) for batch in BATCHES
            },
            "grpcio_client_handshake": self.handshakes.as_dict(),
            "nginx_server_handshake": self.nginx.as_dict() if self.nginx.seconds else None,
            "machine": self.machine.as_dict(),
        }


def measure_custody(
    *,
    rounds: int,
    seconds: float,
    handshakes: int,
    workers: int = 1,
    progress: Callable[[str], None] = lambda _: None,
) -> CustodyFigures:
    """Provisions, starts everything, measures, and leaves nothing behind.

    `workers` is how many sessions, a process each, the custody that signs holds.

    `seconds` is the length of one measurement; each round has one for every batch size and one of
    the bare loop. Raises JukiError where a part does not start.
    """
    figures = CustodyFigures(Machine.this(), workers)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="juki-bench-")))
        progress("keys and certificates are made in the tokens")
        plan = ProvisioningPlan(directory, (), (_AGENCY,), nginx_before=("national",))
        provision(plan)
        signer = host_files(directory, "national").configuration
        text = signer.read_text(encoding="utf-8")
        signer.write_text(text.replace("[token]", f"[token]\nworkers = {workers}"), "utf-8")
        custody = {
            host: _start(stack, directory, host, "hsm", host_files(directory, host).configuration)
            for host in ("national", f"agency-{_AGENCY}")
        }
        processes = [custody["national"].pid, *_children(custody["national"].pid, workers)]
        _measure_signatures(
            figures, plan, processes, rounds=rounds, seconds=seconds, progress=progress
        )
        progress("handshakes, key in the token and key in memory in turns")
        figures.handshakes.seconds.update(_handshakes(stack, directory, handshakes).seconds)
        if NGINX is not None:
            progress("handshakes of nginx, key in the token and key in a file in turns")
            figures.nginx.seconds.update(_nginx_handshakes(plan, handshakes).seconds)
    return figures


def _measure_signatures(
    figures: CustodyFigures,
    plan: ProvisioningPlan,
    custody: list[int],
    *,
    rounds: int,
    seconds: float,
    progress: Callable[[str], None],
) -> None:
    files = host_files(plan.directory, "national")
    token = files.token(plan.module, "national")
    for batch in BATCHES:
        figures.per_second[batch], figures.microseconds[batch] = [], []
    with ExitStack() as workers:
        clients = [
            workers.enter_context(
                ordered_worker("bench.signing_worker", socket=str(files.socket(SERVER_SOCKET)))
            )
            for _ in range(CLIENTS)
        ]
        bare = workers.enter_context(
            ordered_worker(
                "bench.signing_worker",
                module=str(token.module),
                label=token.label,
                pin_file=str(token.pin_file),
                softhsm_configuration=str(token.softhsm_configuration),
            )
        )
        for number in range(1, rounds + 1):
            progress(f"round {number} of {rounds}: the bare loop")
            rate, spent = _rate([bare], 256, seconds, [bare.pid])
            figures.bare_per_second.append(rate)
            figures.bare_microseconds.append(spent)
            for batch in BATCHES:
                progress(f"round {number} of {rounds}: {CLIENTS} clients, {batch} digests a call")
                rate, spent = _rate(clients, batch, seconds, custody)
                figures.per_second[batch].append(rate)
                figures.microseconds[batch].append(spent)


def _rate(
    workers: list[OrderedWorker], batch: int, seconds: float, signers: list[int]
) -> tuple[float, float]:
    """Signatures a second of all workers together, who begin together; and the processor time of
    the processes that sign, in microseconds a signature."""
    before = sum(map(_processor_seconds, signers))
    for worker in workers:
        worker.order(batch=batch, seconds=seconds)
    answers = [worker.answer() for worker in workers]
    spent = sum(map(_processor_seconds, signers)) - before
    signatures = sum(int(answer["signatures"]) for answer in answers)
    return sum(float(answer["per_second"]) for answer in answers), 1e6 * spent / signatures


def _processor_seconds(pid: int) -> float:
    """What a process has had of the processor so far (proc(5), utime and stime)."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _children(pid: int, wanted: int) -> list[int]:
    """The workers of a custody, once there are as many; they open the token one after another."""
    children: list[int] = []
    while len(children) < wanted:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
        children = [int(child) for child in text.split()]
        time.sleep(0.1)
    return children


def _handshakes(stack: ExitStack, directory: Path, handshakes: int) -> HandshakeTimes:
    roots = root_file(directory)
    national, agency = (host_files(directory, host) for host in ("national", f"agency-{_AGENCY}"))
    configuration = directory / "handshake_server.toml"
    configuration.write_text(
        f"custody_socket = {json.dumps(str(national.socket(SERVER_SOCKET)))}\n"
        f"roots_pem = {json.dumps(str(roots))}\n",
        encoding="utf-8",
    )
    server = _start(stack, directory, "server", "bench.handshake_server", configuration)
    with (
        CustodyClient(national.socket(AUTHORITY_SOCKET)) as authority,
        CustodyClient(agency.socket(SERVER_SOCKET)) as client,
    ):
        identity = f"spiffe://agency.juki.example/{_AGENCY}"
        return measure_client_handshakes(
            f"127.0.0.1:{server.facts['port']}",
            _SERVER,
            client_credentials(client, authority, identity, roots.read_bytes()),
            handshakes,
        )


def _nginx_handshakes(plan: ProvisioningPlan, handshakes: int) -> HandshakeTimes:
    hosts = {host.name: host for host in plan.hosts()}
    socket = host_files(plan.directory, "national").socket(AUTHORITY_SOCKET)
    with CustodyClient(socket) as authority:
        return measure_nginx_handshakes(
            plan, hosts["national"], hosts[f"agency-{_AGENCY}"], authority, handshakes
        )


def _start(
    stack: ExitStack, directory: Path, name: str, module: str, configuration: Path
) -> ManagedProcess:
    process = ManagedProcess(
        name,
        [sys.executable, "-m", module, "--config", str(configuration)],
        directory / f"{name}.log",
    )
    stack.callback(process.stop)
    process.start()
    return process
