"""Kills processes of a running network at seeded points of a stream, and starts them again."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import OperationalError

from cs_gateway.tables import GATEWAY_STATE
from juki.demo.gateway import Register
from juki.localnet.network import LocalNetwork
from national_server.tables import metadata as national_tables
from tests.custody_fixtures import workers_of
from tests.e2e.feeder import Feeder, wait_for
from tests.e2e.postgres_process import PostgresProcess
from tests.e2e.register_events import LARGEST_CALL, lanes_of_calls
from tests.network_fixtures import wait_until

HAMAMATSU = "221309"
SHIZUOKA = "221007"
MUNICIPALITIES = (HAMAMATSU, SHIZUOKA)
NOTIFICATIONS = 2000
"""Events of one stream, over both municipalities; designations of numbers come on top."""

_LANES = 4
_WINDOW = 40
"""Events of a municipality that may be handed in past a kill point before the kill is done."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is killed, how, and how it comes back."""

    name: str
    kill: Callable[[Random], None]
    restart: Callable[[], None]
    takes_events: bool = False
    """Whether 221309's events cannot be acknowledged without it; otherwise the way to the nation
    is what it cuts."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill as it was."""

    target: str
    in_flight: int
    """Events without the acknowledgement in question when the process was dead."""

    late: bool
    """Whether it was started again only once the others had run into its absence."""

    seconds: float | None
    """From the kill until all that was in flight was acknowledged; None when the next kill did not
    wait for it."""


class World:
    """The network, its database server, and the two registers' side of it."""

    def __init__(self, network: LocalNetwork, postgres: PostgresProcess) -> None:
        self.network = network
        self.postgres = postgres
        self.registers = {m: Register(network, m) for m in MUNICIPALITIES}
        # Pooled, so that looking takes less time than a notification takes to the nation.
        self._nation = create_engine(network.plan.database("national"), pool_pre_ping=True)
        self.finished: dict[str, list[Feeder]] = {m: [] for m in MUNICIPALITIES}

    def close(self) -> None:
        """Ends the registers' side."""
        for register in self.registers.values():
            register.close()
        self._nation.dispose()

    def targets(self) -> dict[str, Target]:
        """Everything that is killed, by name."""
        cutting = ("pref22", "national", "hsm/pref22", "hsm/national")
        taking = (f"cs-{HAMAMATSU}", f"hsm/cs-{HAMAMATSU}")
        found = [self._process(name, name in taking) for name in (*taking, *cutting)]
        found += [
            self._worker(name, name in taking)
            for name in (*taking, *cutting)
            if name.startswith("hsm/")
        ]
        postgres = self.postgres
        found.append(
            Target("postgres postmaster", lambda _: postgres.kill_postmaster(), postgres.start)
        )
        found.append(
            Target(
                "postgres backend",
                lambda random: postgres.kill_backend(random.choice(("national", "pref22")), random),
                postgres.start,
            )
        )
        return {target.name: target for target in found}

    def _process(self, name: str, takes_events: bool) -> Target:
        process = self.network.processes[name]
        return Target(name, lambda _: process.kill(), process.start, takes_events)

    def _worker(self, name: str, takes_events: bool) -> Target:
        """A custody's worker, which the custody itself starts again."""
        custody = self.network.processes[name]

        def kill(_: Random) -> None:
            # There is none for a moment after the last kill.
            wait_until(lambda: bool(workers_of(custody.pid)))
            for worker in workers_of(custody.pid):
                os.kill(worker, signal.SIGKILL)

        return Target(f"{name} worker", kill, lambda: None, takes_events)

    def nation_heads(self) -> dict[str, int] | None:
        """The last sequence of each stream in the nation's database; None while it is down."""
        stream = national_tables.tables["stream"]
        try:
            with self._nation.connect() as connection:
                rows = connection.execute(select(stream.c.municipality, stream.c.sequence)).all()
        except OperationalError:
            return None
        return {row.municipality: row.sequence for row in rows}


class Campaign:
    """One stream of `NOTIFICATIONS` events with a row of kills at seeded points of it."""

    def __init__(self, world: World, label: str, seed: int) -> None:
        self._world = world
        self._random = Random(f"{seed}/{label}/kills")
        changed = threading.Condition()
        share = NOTIFICATIONS // len(MUNICIPALITIES)
        self._feeders = {
            m: Feeder(world.registers[m], lanes_of_calls(m, label, seed, share, _LANES), changed)
            for m in MUNICIPALITIES
        }
        self._all = list(self._feeders.values())
        self._lead = self._feeders[HAMAMATSU]
        self._other = self._feeders[SHIZUOKA]

    def run(self, targets: Sequence[Target]) -> list[Kill]:
        """Kills the targets in this order, then lets the stream come to its end at the gateways."""
        points = sorted(self._random.uniform(0.02, 0.9) for _ in targets)
        try:
            for feeder in self._all:
                feeder.start()
            kills = [
                self._kill(target, point) for target, point in zip(targets, points, strict=True)
            ]
            for feeder in self._all:
                feeder.allow(feeder.total)
            wait_for(
                self._all, lambda: all(f.is_done for f in self._all), "every event acknowledged"
            )
        except AssertionError as error:
            error.add_note(standing(self._world))
            raise
        finally:
            for feeder in self._all:
                feeder.stop()
        for municipality, feeder in self._feeders.items():
            self._world.finished[municipality].append(feeder)
        return kills

    def _kill(self, target: Target, point: float) -> Kill:
        position = int(point * self._lead.total)
        for feeder in self._all:
            feeder.allow(int(point * feeder.total) + _WINDOW)
        in_flight: set[str] = set()
        while not in_flight:
            wait_for(
                self._all,
                lambda: len(self._lead.acknowledged) >= position and self._has_work(target),
                f"work in flight at {target.name}",
            )
            started = time.monotonic()
            target.kill(self._random)
            in_flight = self._in_flight(target)
            if not in_flight:
                # The last of it was acknowledged while we killed: this one does not count.
                target.restart()
        late = self._random.random() < 0.3
        if late:
            wait_for(self._all, lambda: self._has_been_missed(target), f"{target.name} missed")
        target.restart()
        seconds = None
        if self._random.random() < 0.8:
            wait_for(
                self._all,
                lambda: not in_flight & self._in_flight(target),
                f"acknowledgement of what was in flight when {target.name} was killed",
            )
            seconds = time.monotonic() - started
        return Kill(target.name, len(in_flight), late, seconds)

    def _has_work(self, target: Target) -> bool:
        """Whether the target has something to lose now; lets more in when it has nothing."""
        if target.takes_events:
            found = bool(self._lead.pending)
        else:
            heads = self._world.nation_heads()
            found = heads is not None and any(
                one.sequence > heads.get(municipality, 0)
                for municipality, feeder in self._feeders.items()
                for one in list(feeder.acknowledged.values())[-_WINDOW:]
            )
        if not found and all(feeder.is_spent for feeder in self._all):
            for feeder in self._all:
                feeder.allow_more(LARGEST_CALL)
        return found

    def _in_flight(self, target: Target) -> set[str]:
        """Events handed in without acknowledgement, or without the nation's receipt."""
        with self._lead.changed:
            if target.takes_events:
                return set(self._lead.pending)
            return {
                event_id
                for feeder in self._all
                for event_id, one in feeder.acknowledged.items()
                if one.sequence > feeder.register.progress.nation
            }

    def _has_been_missed(self, target: Target) -> bool:
        """Whether the stream can go no further without the target."""
        if target.takes_events:
            return self._other.is_spent
        return self._lead.is_spent and self._other.is_spent


def standing(world: World) -> str:
    """How far each stream is at each tier, and what the database is busy with: for a failure."""
    lines = []
    for municipality in MUNICIPALITIES:
        gateway = create_engine(world.network.plan.database(f"cs-{municipality}"))
        with gateway.connect() as connection:
            for row in connection.execute(select(GATEWAY_STATE)).mappings():
                hidden = ("digest",)
                lines.append(f"gateway { ({k: v for k, v in row.items() if k not in hidden}) }")
        gateway.dispose()
    for database in ("pref22", "national"):
        with world.postgres.engine(database).connect() as connection:
            for statement in (
                "SELECT municipality, epoch, sequence, relayed_epoch, relayed_sequence FROM stream",
                "SELECT recipient, count(*), max(cursor) FROM return_item GROUP BY recipient",
                (
                    "SELECT pid, state, wait_event_type, wait_event, left(query, 60)"
                    " FROM pg_stat_activity WHERE datname = current_database()"
                ),
            ):
                lines += [f"{database} {tuple(row)}" for row in connection.execute(text(statement))]
    return "\n".join(lines)


def report(kills: Sequence[Kill]) -> str:
    """A table: for each target its kills, what was in flight, and how soon it went on."""
    by_target: dict[str, list[Kill]] = defaultdict(list)
    for kill in kills:
        by_target[kill.target].append(kill)
    lines = [
        (
            "| killed | kills | in flight (least, median, most) | late restarts"
            " | seconds until that was acknowledged, restarted at once (median, longest) |"
        ),
        "|---|---|---|---|---|",
    ]
    for name, found in by_target.items():
        flights = sorted(kill.in_flight for kill in found)
        times = sorted(k.seconds for k in found if k.seconds is not None and not k.late)
        waited = f"{median(times):.1f}, {times[-1]:.1f}" if times else "not waited for"
        lines.append(
            f"| {name} | {len(found)} | {flights[0]}, {median(flights):.0f}, {flights[-1]} "
            f"| {sum(k.late for k in found)} | {waited} |"
        )
    text = "\n".join(lines)
    path = os.environ.get("JUKI_KILL_REPORT")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text + "\n\n")
    return text
