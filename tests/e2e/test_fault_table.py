"""Every fuse of a host blows in a running network: nothing is lost, health says so, all comes back.

Prints a table of what was seen; see `docs/faults.md`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hsm.host_files import host_files
from juki.domain.errors import Reason
from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan
from tests.e2e.fault_table import Row, report
from tests.e2e.fuses import Fuse, SmallDisk, custody_fuses, disk_fuse
from tests.e2e.watching import NetworkWatch, Watch, in_words
from tests.fault_module.faults import Faults, stand_before
from tests.network_fixtures import wait_until
from tests.planted_person import MUNICIPALITY, planted_birth

GATEWAY = f"cs-{MUNICIPALITY}"
NATION = "national"
PROMISED_RED_SECONDS = 5.0
_RED_SECONDS = 20.0
"""What the test allows on a busy machine; the table shows what it was."""
_WELL_SECONDS = 120.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small file system"),
]


@dataclass(frozen=True)
class World:
    """The network, its faults, and who watches it."""

    network: LocalNetwork
    watch: NetworkWatch
    faults: dict[str, Faults]
    disks: dict[str, SmallDisk]


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A nation, a prefecture and a gateway, watched, on disks that can be filled."""
    directory: Path = tmp_path_factory.mktemp("network")
    disks = {
        GATEWAY: SmallDisk(directory / GATEWAY / "data", megabytes=32),
        NATION: SmallDisk(directory / NATION / "audit", megabytes=8),
    }
    database = f"sqlite:///{disks[GATEWAY].directory / 'data.sqlite'}"
    plan = NetworkPlan(directory, {"22": (MUNICIPALITY,)}, databases={GATEWAY: database})
    try:
        with LocalNetwork(plan) as network:
            network.provision()
            faults = {host: stand_before(host_files(directory, host)) for host in (GATEWAY, NATION)}
            network.start()
            watch = NetworkWatch(network, MUNICIPALITY)
            try:
                watch.register.record(planted_birth())
                event = watch.register.event
                wait_until(lambda: bool(event("planted-1").outcome.individual_number))
                watch.individual_number = event("planted-1").outcome.individual_number
                watch.start()
                yield World(network, watch, faults, disks)
            finally:
                watch.close()
    finally:
        for disk in disks.values():
            disk.unmount()


def is_well(world: World, since: float) -> bool:
    """Whether everything works, judged by what was asked since then."""
    watch = world.watch
    taken = any(not one.refusal for one in watch.intake.since(since))
    told = any(not one.refusal for one in watch.lookups.since(since))
    green = all(
        any(not one.refusal and not one.facts for one in found.since(since)[-1:])
        for found in watch.health.values()
    )
    known = watch.register.progress.nation >= max(watch.acknowledged, default=0) - 2
    return taken and told and green and known


def blow(world: World, host: str, fuse: Fuse) -> Row:
    """Blow the fuse, watch, mend it, and wait until all is well."""
    watch = world.watch
    wait_until(lambda: is_well(world, time.monotonic() - 2), _WELL_SECONDS)
    blown = time.monotonic()
    fuse.blow()
    over = blown + fuse.holds_seconds
    if fuse.lasts:
        wait_until(lambda: watch.red_since(host, blown) is not None, _RED_SECONDS)
        wait_until(lambda: time.monotonic() > over, fuse.holds_seconds + 30)
    taken, told = watch.intake.since(blown), watch.lookups.since(blown)
    mended = time.monotonic() if fuse.lasts else blown
    fuse.mend()
    wait_until(lambda: is_well(world, mended), _WELL_SECONDS)
    well = time.monotonic()
    if not fuse.lasts:
        wait_until(lambda: time.monotonic() > over, fuse.holds_seconds + 30)
        taken, told = watch.intake.since(blown), watch.lookups.since(blown)
    red = watch.red_since(host, blown)
    failing = red[1] if red else frozenset()
    row = Row(
        fuse=fuse.name,
        host=host,
        red_seconds=red[0] - blown if red else None,
        failing=", ".join(sorted(failing)),
        intake=in_words(taken, "taken"),
        lookups=in_words(told, "answered"),
        well_seconds=well - mended,
    )
    print(row.line())
    other = NATION if host == GATEWAY else GATEWAY
    assert watch.red_since(other, blown) is None, f"{other} is not concerned"
    assert failing <= fuse.failing
    assert not fuse.lasts or failing
    return row


def refusals(watch: Watch, since: float) -> set[str]:
    """Why anything was refused."""
    return {one.refusal for one in watch.since(since) if one.refusal}


def test_every_fuse_shows_and_mends_itself_and_nothing_is_lost(world: World) -> None:
    watch, rows = world.watch, []
    for host in (GATEWAY, NATION):
        begin = time.monotonic()
        for fuse in custody_fuses(world.network, host, world.faults[host]):
            rows.append(blow(world, host, fuse))
        # No look-up needs a key; an event does, at its own gateway only.
        assert refusals(watch.lookups, begin) == set()
        signs = {Reason.CUSTODY_UNAVAILABLE.value} if host == GATEWAY else set()
        assert refusals(watch.intake, begin) == signs

    begin = time.monotonic()
    disk = disk_fuse("disk of the database full", world.disks[GATEWAY], "write")
    rows.append(blow(world, GATEWAY, disk))
    assert refusals(watch.lookups, begin) == set()
    assert refusals(watch.intake, begin) <= {Reason.STORE_UNAVAILABLE.value}

    begin = time.monotonic()
    disk = disk_fuse("disk of the audit log full", world.disks[NATION], "audit")
    rows.append(blow(world, NATION, disk))
    assert refusals(watch.lookups, begin) == {Reason.AUDIT_UNAVAILABLE.value}
    assert refusals(watch.intake, begin) == set()

    watch.intake.stop()
    wait_until(lambda: watch.register.progress.nation >= max(watch.acknowledged), _WELL_SECONDS)
    assert len(watch.acknowledged) == len(set(watch.acknowledged))
    late = [row for row in rows if (row.red_seconds or 0) > PROMISED_RED_SECONDS]
    print(f"\n{report(rows)}\nlater than promised: {[row.fuse for row in late]}")
