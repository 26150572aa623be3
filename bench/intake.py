"""Sustained intake through all three tiers, with signatures verified at each.

The load generator is part of the figure: it shares the machine with every tier.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.machine import Machine
from juki.demo.gateway import Register
from juki.demo.towns import PREFECTURES
from juki.domain.codes import LocalGovernmentCode
from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan
from juki.population.residents import Resident, generate
from juki.v1 import identification_pb2, register_pb2
from juki.wire import four_items_to_proto

_CALL: Final = 250
"""Events a call of RecordEvents brings."""

_TIMEOUT_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class IntakeFigures:
    """What the benchmark measured."""

    notifications_per_second: float
    """Address changes: from the first call until the nation's receipts for all are back."""

    entries_per_second: float
    """First-time entries, each with its code from the pool and its Individual Number made."""

    propagation_p50_ms: float
    """Single events on an idle network, until the nation's receipt is back in the gateway."""

    propagation_p99_ms: float
    notifications: int
    entries: int
    single_events: int
    municipalities: int
    machine: Machine

    def as_dict(self) -> dict[str, Any]:
        """One JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class IntakeLoad:
    """How much to send."""

    entries: int = 8_000
    changes: int = 20_000
    single_events: int = 200
    seed: int = 1


def measure_intake(load: IntakeLoad, told: Callable[[str], None]) -> IntakeFigures:
    """Starts a network of its own, loads it and measures; `told` hears of each phase."""
    with tempfile.TemporaryDirectory(prefix="juki-bench-") as directory:
        plan = NetworkPlan(Path(directory), PREFECTURES)
        with LocalNetwork(plan) as network:
            told("provisioning and starting every tier")
            network.provision()
            network.start()
            registers = {code: Register(network, code) for code in plan.municipalities}
            try:
                return _measure(registers, load, told)
            finally:
                for register in registers.values():
                    register.close()


def _measure(
    registers: dict[str, Register], load: IntakeLoad, told: Callable[[str], None]
) -> IntakeFigures:
    codes = [LocalGovernmentCode(code) for code in registers]
    people: dict[str, list[Resident]] = {code: [] for code in registers}
    for resident in generate(codes, load.entries, load.seed):
        people[resident.register.digits].append(resident)
    told(f"{load.entries:,} first-time entries")
    entries = {code: list(_entries(residents)) for code, residents in people.items()}
    entry_seconds = _send_all(registers, entries)
    told(f"{load.changes:,} address changes")
    changes = {
        code: list(_changes(residents, load.changes * len(residents) // load.entries, "bulk"))
        for code, residents in people.items()
    }
    change_seconds = _send_all(registers, changes)
    sent = sum(map(len, changes.values()))
    told(f"{load.single_events} single events")
    times = _send_singly(registers, people, load.single_events)
    centiles = statistics.quantiles(times, n=100)
    return IntakeFigures(
        notifications_per_second=round(sent / change_seconds, 1),
        entries_per_second=round(load.entries / entry_seconds, 1),
        propagation_p50_ms=round(centiles[49], 2),
        propagation_p99_ms=round(centiles[98], 2),
        notifications=sent,
        entries=load.entries,
        single_events=len(times),
        municipalities=len(registers),
        machine=Machine.this(),
    )


def _send_all(
    registers: dict[str, Register], events: dict[str, list[register_pb2.RegisterEvent]]
) -> float:
    """Seconds from the first call until the nation's receipts cover everything."""
    last: dict[str, int] = {}

    def send(code: str) -> None:
        for start in range(0, len(events[code]), _CALL):
            outcomes = registers[code].record(*events[code][start : start + _CALL])
            last[code] = outcomes[-1].notification.sequence

    threads = [threading.Thread(target=send, args=(code,)) for code in registers]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(last) != len(registers):
        raise RuntimeError("a gateway refused its events; see its log")
    arrivals = [
        registers[code].wait_national(sequence, _TIMEOUT_SECONDS) for code, sequence in last.items()
    ]
    return max(arrivals) - started


def _send_singly(
    registers: dict[str, Register], people: dict[str, list[Resident]], count: int
) -> list[float]:
    """Milliseconds of each event, one at a time, over all gateways in turn."""
    streams = {code: _changes(residents, count, "single") for code, residents in people.items()}
    times = []
    for code in itertools.islice(itertools.cycle(registers), count):
        event = next(streams[code])
        started = time.monotonic()
        (outcome,) = registers[code].record(event)
        arrived = registers[code].wait_national(outcome.notification.sequence)
        times.append((arrived - started) * 1000)
    return times


def _entries(residents: Sequence[Resident]) -> Iterator[register_pb2.RegisterEvent]:
    for number, resident in enumerate(residents):
        yield register_pb2.RegisterEvent(
            event_id=f"entry-{number}",
            record_id=resident.record_id,
            reason=identification_pb2.CHANGE_REASON_EX_OFFICIO_ENTRY,
            event_date=_DAY,
            four_items=four_items_to_proto(resident.four_items),
        )


def _changes(
    residents: Sequence[Resident], count: int, label: str
) -> Iterator[register_pb2.RegisterEvent]:
    for number, resident in enumerate(itertools.islice(itertools.cycle(residents), count)):
        items = four_items_to_proto(resident.four_items)
        items.address.remainder = f"{number + 1}番地"
        yield register_pb2.RegisterEvent(
            event_id=f"{label}-{number}",
            record_id=resident.record_id,
            reason=identification_pb2.CHANGE_REASON_ADDRESS_CHANGE,
            event_date=_DAY,
            four_items=items,
        )


_DAY: Final = identification_pb2.CalendarDate(year=2026, month=11, day=1)
