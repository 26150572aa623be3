"""The nation and a prefecture as processes over PostgreSQL, chosen by configuration alone."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import grpc
import pytest
from sqlalchemy import create_engine, text

from juki.domain.change import ChangeReason
from juki.domain.errors import Reason
from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan
from juki.rpc.errors import details_of
from juki.v1 import codes_pb2, intake_pb2, notification_pb2
from tests.integration.test_notification_intake import Gateway, birth
from tests.postgres_fixture import make_database, postgres_server
from tests.stream import information

__all__ = ["postgres_server"]


@pytest.fixture(scope="module")
def network(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: str
) -> Iterator[LocalNetwork]:
    """The nation and prefecture 22, each with a database of its own."""
    plan = NetworkPlan(
        tmp_path_factory.mktemp("network"),
        {"22": ("221309", "221007")},
        databases={host: make_database(postgres_server) for host in ("national", "pref22")},
    )
    with LocalNetwork(plan) as running:
        running.provision()
        hosts = ("national", "pref22", "cs-221309", "cs-221007")
        running.start_some([f"hsm/{host}" for host in hosts])
        running.start_some(["national"])
        running.start_some(["pref22"])
        yield running


@pytest.fixture
def gateways(network: LocalNetwork) -> Iterator[tuple[Gateway, Gateway]]:
    """The gateways of 221309 and 221007."""
    pair = Gateway(network, "221309"), Gateway(network, "221007")
    yield pair
    for gateway in pair:
        gateway.channel.close()


def test_a_birth_reaches_the_nation_and_a_duplicate_gets_its_receipt_again(
    gateways: tuple[Gateway, Gateway], network: LocalNetwork
) -> None:
    gateway, _ = gateways
    signed = birth(gateway)
    first = gateway.submit(signed)
    assert gateway.nation_holds()
    assert gateway.submit(signed).receipts == first.receipts
    for host in ("national", "pref22"):
        engine = create_engine(network.plan.database(host))
        with engine.connect() as connection:
            held = connection.scalar(
                text("SELECT sequence FROM stream WHERE municipality='221309'")
            )
        engine.dispose()
        assert held == gateway.stream.sequence


def test_a_gap_and_a_conflict_are_refused(gateways: tuple[Gateway, Gateway]) -> None:
    gateway, _ = gateways
    stream = gateway.stream
    gateway.submit(birth(gateway))
    position = stream.sequence, stream.digest
    skipped = birth(gateway)
    with pytest.raises(grpc.RpcError) as gap:
        gateway.submit(birth(gateway))
    assert details_of(gap.value).reason is Reason.SEQUENCE_GAP
    gateway.submit(skipped)
    stream.sequence, stream.digest = position
    with pytest.raises(grpc.RpcError) as conflict:
        gateway.submit(birth(gateway))
    assert details_of(conflict.value).reason is Reason.SEQUENCE_CONFLICT


def test_two_claims_are_told_to_both_municipalities(gateways: tuple[Gateway, Gateway]) -> None:
    here, there = gateways
    code = here.code()
    here.submit(here.stream.add(information(code, ChangeReason.BIRTH)))
    there.submit(
        there.stream.add(information(code, ChangeReason.EX_OFFICIO_ENTRY, municipality="221007"))
    )
    for gateway in gateways:
        call = gateway.intake.FollowReturns(intake_pb2.FollowReturnsRequest(), timeout=30)
        reasons = (item.dispute.reason for item in call if item.HasField("dispute"))
        assert next(reasons) == notification_pb2.DISPUTE_REASON_TWO_CLAIMS
        call.cancel()


def test_nothing_acknowledged_is_lost_when_both_servers_are_killed(
    gateways: tuple[Gateway, Gateway], network: LocalNetwork
) -> None:
    gateway, _ = gateways
    request = codes_pb2.AllotCodesRequest(
        municipality="221309", request_id=secrets.token_hex(16), count=100
    )
    codes = gateway.codes.AllotCodes(request)
    gateway.submit(*(birth(gateway) for _ in range(20)))
    acknowledged = gateway.head()
    for name in ("pref22", "national"):
        network.processes[name].kill()
    network.start_some(["national"])
    network.start_some(["pref22"])
    again = Gateway(network, "221309")
    try:
        assert again.head() == acknowledged
        assert again.nation_holds()
        assert again.codes.AllotCodes(request) == codes
    finally:
        again.channel.close()
