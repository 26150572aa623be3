"""A prefecture's process counts what its gateways have told it, for its governor's statistics."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from juki.demo.gateway import Register
from juki.domain.errors import Reason
from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan
from juki.rpc.errors import reason_of
from juki.v1 import identification_pb2, statistics_pb2, statistics_pb2_grpc
from tests.network_fixtures import wait_until
from tests.people import memory_directory
from tests.planted_person import MUNICIPALITY, NAME, planted_birth

OFFICE = "shizuoka-tokei"
BODIES = f"""
[[agency]]
identity = "spiffe://agency.juki.example/{OFFICE}"
name = "静岡県知事 (統計)"
kind = "governor"
place = "22"
grant = [{{ provision = "30-15(1)(iv)" }}]
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    """A whole network whose prefecture answers registered bodies, by a registry of its own."""
    directory = tmp_path_factory.mktemp("network")
    plan = NetworkPlan(directory, {"22": (MUNICIPALITY,)}, agencies=("nenkin", OFFICE))
    with memory_directory() as memory, LocalNetwork(plan) as network:
        network.provision()
        host = plan.host_directory("pref22")
        (host / "agencies.toml").write_text(BODIES, encoding="utf-8")
        with (host / "server.toml").open("a", encoding="utf-8") as settings:
            settings.write(
                f"""
[lookups]
agencies = "{host / "agencies.toml"}"
audit_directory = "{host / "audit"}"
person_index_directory = "{host / "persons"}"
index_directory = "{memory / "index"}"
"""
            )
        network.start()
        yield network


def test_a_prefectures_process_gives_totals_to_its_governor_and_to_nobody_else(
    network: LocalNetwork,
) -> None:
    register = Register(network, MUNICIPALITY)
    try:
        for turn in range(5):
            event = planted_birth()
            event.event_id, event.record_id = f"planted-{turn}", f"777770000{turn}"
            register.record(event)
        wait_until(lambda: register.progress.nation >= register.progress.issued >= 5, 120.0)
    finally:
        register.close()
    request = statistics_pb2.CountResidentsRequest(
        request_id="census-0001",
        office="統計課",
        operator="operator-3",
        municipality=MUNICIPALITY,
    )
    with network.channel(f"agency-{OFFICE}", "pref22") as channel:
        answer = statistics_pb2_grpc.StatisticsServiceStub(channel).CountResidents(
            request, timeout=60
        )
    told = [(c.sex, c.youngest, c.residents) for c in answer.counts if not c.suppressed]
    assert told == [(identification_pb2.SEX_FEMALE, 0, 5)]
    with (
        network.channel("agency-nenkin", "pref22") as channel,
        pytest.raises(grpc.RpcError) as refused,
    ):
        statistics_pb2_grpc.StatisticsServiceStub(channel).CountResidents(request, timeout=60)
    assert reason_of(refused.value) is Reason.AGENCY_NOT_REGISTERED
    log = network.plan.host_directory("pref22") / "audit"
    written = b"".join(path.read_bytes() for path in log.rglob("*") if path.is_file())
    assert b"census-0001" in written
    assert NAME.encode() not in written
