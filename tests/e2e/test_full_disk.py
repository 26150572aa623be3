"""No answer without a record (invariant 1), and no health without answers (invariant 8)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from juki.audit.verify import verify
from juki.demo.checks import PensionBody
from juki.demo.gateway import Register
from juki.domain.errors import Reason
from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan
from juki.rpc.errors import details_of
from juki.v1 import health_pb2, health_pb2_grpc
from tests.e2e.test_nothing_personal_at_rest import planted_birth
from tests.network_fixtures import metric, wait_until

MUNICIPALITY = "221309"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small file system")


@pytest.fixture
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of 300 KiB."""
    directory = tmp_path_factory.mktemp("network") / "national" / "audit"
    directory.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(directory)]
    subprocess.run(command, check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)


@pytest.fixture
def network(small_disk: Path) -> Iterator[LocalNetwork]:
    """A network whose audit log lies on the small disk."""
    plan = NetworkPlan(small_disk.parents[1], {"22": (MUNICIPALITY,)})
    with LocalNetwork(plan) as network:
        network.provision()
        network.start()
        yield network


def national_health(network: LocalNetwork) -> health_pb2.GetHealthReportResponse:
    with network.channel("agency-nenkin", "national") as channel:
        stub = health_pb2_grpc.HealthReportServiceStub(channel)
        return stub.GetHealthReport(health_pb2.GetHealthReportRequest(), timeout=20)


def test_on_a_full_disk_nothing_is_given_and_with_room_again_the_nation_goes_on_by_itself(
    network: LocalNetwork, small_disk: Path
) -> None:
    register, body = Register(network, MUNICIPALITY), PensionBody(network)
    try:
        register.record(planted_birth())
        wait_until(lambda: bool(register.event("planted-1").outcome.individual_number))
        wait_until(lambda: register.progress.nation >= register.progress.issued >= 2)
        number = register.event("planted-1").outcome.individual_number
        assert national_health(network).serving

        answered = 0

        def ask_for_ever(people: int) -> None:
            nonlocal answered
            while True:
                answered += len(body.batch([number] * people).results)

        # First no room for a large record, then none for the smallest.
        for people in (100, 1):
            with pytest.raises(grpc.RpcError) as refused:
                ask_for_ever(people)
            assert details_of(refused.value).reason is Reason.AUDIT_UNAVAILABLE
            assert answered > 0

        verified = verify(small_disk)
        assert verified.problem is None
        assert verified.entries == answered
        wait_until(lambda: metric(network, "national", 'juki_health{check="audit"}') == 0)
        wait_until(lambda: not national_health(network).serving)
        failed = [one.name for one in national_health(network).checks if not one.passed]
        assert failed == ["audit"]

        make_room = ["mount", "-o", "remount,size=4m", str(small_disk)]
        subprocess.run(make_room, check=True)
        wait_until(lambda: national_health(network).serving)
        answered += len(body.batch([number] * 100).results)
        verified = verify(small_disk)
        assert verified.problem is None
        assert verified.entries == answered
    finally:
        body.close()
        register.close()
