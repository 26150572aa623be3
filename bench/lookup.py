"""Measures lookups over mutual TLS: ours in full against a bare grpcio handler, in the same run.

Every part is a process of its own: custody of the nation and of a body, the two servers and the
client. The servers build their index from generated people directly; the way from a municipality's
register to the index is not part of this bench. Rounds alternate between the servers, so that what
else the machine does falls on both; the median counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.lookup_client import BATCH
from bench.lookup_server import Kind
from bench.machine import Machine
from bench.people import write_people
from bench.revoked_body import LIMIT_SECONDS, Refusals
from bench.rotation import Background, rotate_every_class, rotated_everywhere
from bench.stages import StageTimes, read_stages
from hsm.host_files import host_files, root_file
from hsm.plan import AUTHORITY_SOCKET, SERVER_SOCKET, Prefecture, ProvisioningPlan
from hsm.provision import provision
from juki.custody.client import CustodyClient
from juki.custody.port import ISSUING_AUTHORITY
from juki.domain.errors import JukiError, Reason
from juki.localnet.process import ManagedProcess
from juki.lookup.metrics import STAGES

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - memory-backed, which the index demands
AGENCY: Final = "bench"
LEAVER: Final = "leaver"
"""The body that is revoked meanwhile."""

BUILDING_SECONDS: Final = 600.0
METHODS: Final = ("BatchLookup", "Lookup")
_ASKING_SECONDS: Final = 2.0
"""How long the leaver asks before it is revoked, and when nobody should answer it any more."""

_REGISTERED: Final = """
[[agency]]
identity = "spiffe://agency.juki.example/{name}"
name = "{name}"
route = "national"

  [[agency.grant]]
  table = 1
  item = "77"
  individual_number = {{ item = "46" }}
  search_keys = ["INDIVIDUAL_NUMBER"]
"""


@dataclass(slots=True)
class LookupFigures:
    """What was measured; rates are medians over the rounds."""

    people: int
    machine: Machine
    calls_per_second: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    """By (method, server): one rate a round."""

    stages: dict[str, StageTimes] = field(default_factory=dict)
    """By method: what each stage of ours cost."""

    rotated: list[str] = field(default_factory=list)
    """Classes of keys that were rotated meanwhile, at every holder."""

    revocation: Refusals | None = None
    """What became of the calls of the body that was revoked meanwhile, if one was."""

    def rate(self, method: str, server: Kind) -> float:
        """Calls a second, median."""
        return median(self.calls_per_second[method, server])

    def ratio(self, method: str) -> float:
        """Ours to bare: the median of the rounds' own ratios."""
        pairs = zip(
            self.calls_per_second[method, Kind.OURS],
            self.calls_per_second[method, Kind.BARE],
            strict=True,
        )
        return median(ours / bare for ours, bare in pairs)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "people": self.people,
            "batch_size": BATCH,
            "rounds": len(self.calls_per_second["Lookup", Kind.OURS]),
            "batch_lookups_per_second": round(BATCH * self.rate("BatchLookup", Kind.OURS)),
            "batch_lookups_per_second_bare": round(BATCH * self.rate("BatchLookup", Kind.BARE)),
            "batch_ratio_to_bare": round(self.ratio("BatchLookup"), 3),
            "unary_lookups_per_second": round(self.rate("Lookup", Kind.OURS)),
            "unary_lookups_per_second_bare": round(self.rate("Lookup", Kind.BARE)),
            "unary_ratio_to_bare": round(self.ratio("Lookup"), 3),
            "microseconds_by_stage": {
                method: {
                    stage: round(times.microseconds(stage, BATCH if method == METHODS[0] else 1), 3)
                    for stage in STAGES
                }
                for method, times in self.stages.items()
            },
            "key_classes_rotated_meanwhile": self.rotated,
            "revoked_meanwhile": None if self.revocation is None else asdict(self.revocation),
            "index_built_from": "generated people, directly",
            "machine": self.machine.as_dict(),
        }


def measure_lookups(
    *,
    people: int,
    rounds: int,
    seconds: float,
    rotate_keys: bool = False,
    revoke: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> LookupFigures:
    """Provisions, starts everything, measures, and leaves nothing behind.

    `seconds` is the length of one measurement; each round has four. With `rotate_keys` every class
    of keys is rotated meanwhile, with `revoke` a second body that asks too is revoked; rounds go on
    until that is done. Raises JukiError where a part does not start or a call fails: calls are
    never repeated here.
    """
    figures = LookupFigures(people, Machine.this())
    for method in METHODS:
        for server in Kind:
            figures.calls_per_second[method, server] = []
    with ExitStack() as stack:
        memory = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="juki-bench-", dir=MEMORY))
        )
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="juki-bench-")))
        progress(f"{people:,} people are generated")
        write_people(memory / "people", people)
        progress("keys and certificates are made in the tokens")
        # A gateway too: it holds keys of a class that neither nation nor agencies have.
        prefectures = (Prefecture("22", ("221309",)),) if rotate_keys else ()
        plan = ProvisioningPlan(directory / "hosts", prefectures, (AGENCY, LEAVER))
        provision(plan)
        for host in ("national", f"agency-{AGENCY}", f"agency-{LEAVER}"):
            _start(stack, directory, host, "hsm", _custody_configuration(directory, host))
        progress("the servers build their indexes")
        registered = "".join(_REGISTERED.format(name=name) for name in (AGENCY, LEAVER))
        (directory / "agencies.toml").write_text(registered, encoding="utf-8")
        facts = {kind: _start_server(stack, directory, memory, kind) for kind in Kind}
        ports = {kind: int(facts[kind]["port"]) for kind in Kind}
        metrics = int(facts[Kind.OURS]["metrics_port"])
        client = stack.enter_context(
            _running_client("bench.lookup_client", directory, memory, ports, AGENCY)
        )

        def meanwhile() -> None:
            if revoke:
                figures.revocation = _revoke(directory, memory, ports)
            if rotate_keys:
                rotate_every_class(plan)

        background = stack.enter_context(Background.running(meanwhile))
        number = 0
        while number < rounds or background.is_running:
            number += 1
            for method in METHODS:
                # Who goes first alternates, too.
                for server in list(Kind)[:: 1 if number % 2 else -1]:
                    progress(f"round {number} of {rounds}: {method}, {server}")
                    order = {"server": server.value, "method": method, "seconds": seconds}
                    before = read_stages(metrics)
                    rate = float(_ordered(client, order)["calls_per_second"])
                    if server is Kind.OURS:
                        figures.stages.setdefault(method, StageTimes()).add(
                            before, read_stages(metrics)
                        )
                    figures.calls_per_second[method, server].append(rate)
        figures.rotated.extend(rotated_everywhere(plan))
    return figures


def _custody_configuration(directory: Path, host: str) -> Path:
    return host_files(directory / "hosts", host).configuration


def _start(
    stack: ExitStack, directory: Path, name: str, module: str, configuration: Path
) -> ManagedProcess:
    process = ManagedProcess(
        name,
        [sys.executable, "-m", module, "--config", str(configuration)],
        directory / f"{name}.log",
    )
    stack.callback(process.stop)
    process.launch()
    try:
        process.await_ready(BUILDING_SECONDS)
    except JukiError as error:
        # The log goes with the directory.
        words = process.log.read_text(encoding="utf-8").strip().splitlines()
        raise JukiError(error.reason, f"{name} did not start: {words[-1:]}") from None
    return process


def _start_server(stack: ExitStack, directory: Path, memory: Path, kind: Kind) -> dict[str, Any]:
    configuration = directory / f"{kind}.toml"
    _write(
        configuration,
        kind=kind.value,
        people=memory / "people",
        index_directory=memory / f"index-{kind}",
        audit_directory=directory / f"audit-{kind}",
        agencies=directory / "agencies.toml",
        custody_socket=host_files(directory / "hosts", "national").socket(SERVER_SOCKET),
        roots_pem=root_file(directory / "hosts"),
    )
    return _start(stack, directory, kind, "bench.lookup_server", configuration).facts


def _revoke(directory: Path, memory: Path, ports: dict[Kind, int]) -> Refusals:
    """Has the leaver ask for a while, revokes it, and hears how its calls ended."""
    with _running_client("bench.revoked_body", directory, memory, ports, LEAVER) as leaver:
        time.sleep(_ASKING_SECONDS)
        authority = host_files(directory / "hosts", "national").socket(AUTHORITY_SOCKET)
        with CustodyClient(authority) as custody:
            revoked_at = time.monotonic()
            custody.revoke(
                ISSUING_AUTHORITY,
                identity=f"spiffe://agency.juki.example/{LEAVER}",
                serial_numbers=(),
                reason="keyCompromise",
            )
        time.sleep(LIMIT_SECONDS + _ASKING_SECONDS)
        return Refusals(**_ordered(leaver, {"revoked_at": revoked_at}))


@contextmanager
def _running_client(
    module: str, directory: Path, memory: Path, ports: dict[Kind, int], agency: str
) -> Iterator[subprocess.Popen[str]]:
    configuration = directory / f"{module}.toml"
    _write(
        configuration,
        people=memory / "people",
        server_name="server.national.juki.example",
        custody_socket=host_files(directory / "hosts", f"agency-{agency}").socket(SERVER_SOCKET),
        roots_pem=root_file(directory / "hosts"),
    )
    with configuration.open("a", encoding="utf-8") as file:
        file.write("[ports]\n" + "".join(f"{kind} = {port}\n" for kind, port in ports.items()))
    with subprocess.Popen(
        [sys.executable, "-m", module, "--config", str(configuration)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as client:
        try:
            _answer_of(client)
            yield client
        finally:
            client.terminate()


def _ordered(client: subprocess.Popen[str], order: dict[str, Any]) -> dict[str, Any]:
    if client.stdin is None:
        raise JukiError(Reason.INTERNAL, "the bench's client has no standard input")
    client.stdin.write(json.dumps(order) + "\n")
    client.stdin.flush()
    return _answer_of(client)


def _answer_of(client: subprocess.Popen[str]) -> dict[str, Any]:
    line = client.stdout.readline() if client.stdout is not None else ""
    if not line:
        raise JukiError(Reason.UPSTREAM_UNAVAILABLE, "the bench's client has ended")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _write(path: Path, **values: object) -> None:
    """A flat TOML file; JSON's strings are TOML's."""
    path.write_text(
        "".join(f"{key} = {json.dumps(str(value))}\n" for key, value in values.items()),
        encoding="utf-8",
    )
