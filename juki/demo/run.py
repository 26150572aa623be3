"""Runs the demo: provisions, starts, loads, plays, looks up, verifies, and says what held."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from juki.audit.verify import verify
from juki.custody.port import SIGNING
from juki.demo import report
from juki.demo.checks import Check, PensionBody, check_lookups
from juki.demo.gateway import Register
from juki.demo.keep import keep_running
from juki.demo.load import LoadedPerson, codes_and_numbers, wait_loaded, write_drop_files
from juki.demo.result import DemoResult
from juki.demo.story import Story
from juki.demo.towns import HAMAMATSU, NAMES, PREFECTURES
from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan

OFFICERS: Final = ("sato", "suzuki")
"""Who register the demo's bodies by a signed act: one proposes it, the other approves."""


class Demo:
    """One run of the demo in a directory of its own."""

    def __init__(
        self, console: Console, directory: Path, residents: int, seed: int, events: int
    ) -> None:
        self._console = console
        self._residents = residents
        self._seed = seed
        self._events = events
        self.network = LocalNetwork(NetworkPlan(directory, PREFECTURES, officers=OFFICERS))
        self.result = DemoResult()
        self.numbers: list[str] = []

    def run(self) -> DemoResult:
        """Plays everything; the network still runs afterwards."""
        started = time.monotonic()
        self._start()
        municipalities = self.network.plan.municipalities
        registers = {code: Register(self.network, code) for code in municipalities}
        body = PensionBody(self.network)
        try:
            people = self._load(registers)
            self._play(registers, people, body)
        finally:
            body.close()
            for register in registers.values():
                register.close()
        self._verify_log(body)
        self.result.total_seconds = time.monotonic() - started
        return self.result

    def _start(self) -> None:
        with self._progress() as progress:
            task = progress.add_task("Provisioning tokens, keys and certificates", total=None)
            self.network.provision()
            progress.update(task, total=1, completed=1)
            names = [name for group in self.network.start_order for name in group]
            task = progress.add_task("Starting custody and servers", total=len(names))
            self.network.start(lambda _: progress.advance(task))

    def _load(self, registers: dict[str, Register]) -> dict[str, list[LoadedPerson]]:
        started = time.monotonic()
        with self._progress() as progress:
            task = progress.add_task("Making synthetic residents", total=None)
            people = write_drop_files(self.network.plan, self._residents, self._seed)
            progress.update(task, total=self._residents, completed=self._residents)
            tasks = {
                code: progress.add_task(f"Known nationally: {NAMES[code]}", total=len(people[code]))
                for code in registers
            }
            wait_loaded(
                registers,
                people,
                lambda code, done, _: progress.update(tasks[code], completed=done),
            )
        self.result.loaded = sum(len(one) for one in people.values())
        self.result.load_seconds = time.monotonic() - started
        return people

    def _play(
        self,
        registers: dict[str, Register],
        people: dict[str, list[LoadedPerson]],
        body: PensionBody,
    ) -> None:
        story = Story(registers, people)
        with self._progress() as progress:
            task = progress.add_task("Playing a birth, a move and a death", total=None)
            subjects = story.play()
            progress.update(task, total=1, completed=1)
            task = progress.add_task("Timing single events", total=self._events)
            self.result.propagation_ms = story.propagation(
                self._events, lambda: progress.advance(task)
            )
            self.result.steps = story.steps
            task = progress.add_task("A pension body looks up a cohort", total=None)
            outcomes = codes_and_numbers(registers[HAMAMATSU], people[HAMAMATSU][2:999])
            self.numbers = [one.individual_number for one in outcomes]
            self.result.checks.append(
                Check(
                    "every loaded resident has a code and an Individual Number",
                    all(one.resident_record_code and one.individual_number for one in outcomes),
                    f"{len(outcomes)} asked",
                )
            )
            self.result.checks += check_lookups(body, subjects, self.numbers)
            progress.update(task, total=1, completed=1)

    def _verify_log(self, body: PensionBody) -> None:
        verified = verify(
            self.network.plan.host_directory("national") / "audit",
            keys=[self._signing_key_of_the_nation()],
        )
        self.result.checks.append(
            Check(
                "the audit log, its tree and its signed checkpoint verify, first record to last",
                verified.problem is None,
                f"{verified.records} records, {verified.entries} persons",
            )
        )
        self.result.checks.append(
            Check(
                "every person looked up is in the log, and the refusal too",
                verified.entries == body.looked_up and verified.refused == 1,
                f"{verified.entries} of {body.looked_up} persons, {verified.refused} refused call",
            )
        )

    def _signing_key_of_the_nation(self) -> ec.EllipticCurvePublicKey:
        (leaf, *_) = self.network.custody("national").certificate_chain(SIGNING)
        key = x509.load_der_x509_certificate(leaf).public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey), "signing keys are on P-256"
        return key

    @contextmanager
    def _progress(self) -> Iterator[Progress]:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
        ) as progress:
            yield progress


def run_demo(console: Console, residents: int, seed: int, events: int, *, keep: bool) -> bool:
    """Runs the demo, shows the result; with `keep` it waits for Ctrl-C with the network running.

    Returns whether everything held.
    """
    with tempfile.TemporaryDirectory(prefix="juki-demo-") as directory:
        demo = Demo(console, Path(directory), residents, seed, events)
        with demo.network:
            result = demo.run()
            report.show(console, result)
            if keep:
                keep_running(console, demo.network, demo.numbers)
        return result.held
