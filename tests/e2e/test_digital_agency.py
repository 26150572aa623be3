"""The Digital Agency is given a code, and told when it changes (Art. 30-9-2), over processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from juki.demo.gateway import Register
from juki.domain.errors import Reason
from juki.domain.outcome import Outcome
from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan
from juki.rpc.errors import reason_of
from juki.v1 import (
    digital_agency_pb2,
    digital_agency_pb2_grpc,
    identification_pb2,
    lookup_pb2,
    lookup_pb2_grpc,
    register_pb2,
)
from tests.e2e.asking import records_of
from tests.network_fixtures import wait_until
from tests.planted_person import MUNICIPALITY, planted_birth

DIGITAL = "spiffe://agency.juki.example/digital"
BODIES = f"""
[[agency]]
identity = "{DIGITAL}"
name = "デジタル庁"
kind = "digital_agency"
grant = [
  {{ provision = "30-9-2(1)", affair = "number-21.2", search_keys = ["FOUR_ITEMS"] }},
  {{ provision = "30-9-2(2)" }},
]

[[agency]]
identity = "spiffe://agency.juki.example/gaimu"
name = "外務省"
kind = "national_agency"
grant = [{{ table = 1, item = "41", search_keys = ["FOUR_ITEMS"] }}]
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    directory = tmp_path_factory.mktemp("network")
    bodies: Path = directory / "bodies.toml"
    bodies.write_text(BODIES, encoding="utf-8")
    plan = NetworkPlan(
        directory, {"22": (MUNICIPALITY,)}, agencies=("digital", "gaimu"), agencies_file=bodies
    )
    with LocalNetwork(plan) as network:
        network.provision()
        network.start()
        yield network


def code_of(network: LocalNetwork, request_id: str) -> int:
    """The code that the nation gives the Digital Agency of the planted person."""
    context = lookup_pb2.LookupContext(
        basis=lookup_pb2.LegalBasisReference(provision="30-9-2(1)", affair="number-21.2"),
        request_id=request_id,
        office="情報連携班",
        operator="batch-1",
        fields=lookup_pb2.Field.values()[1:],
    )
    request = lookup_pb2.LookupRequest(context=context, four_items=planted_birth().four_items)
    with network.channel("agency-digital", "national") as channel:
        answer = lookup_pb2_grpc.LookupServiceStub(channel).Lookup(request, timeout=60)
    information = answer.result.information
    assert not information.individual_number
    assert not information.HasField("name")
    return int(information.resident_record_code)


def followed(channel: grpc.Channel, request_id: str) -> grpc.Call:
    return digital_agency_pb2_grpc.DigitalAgencyServiceStub(channel).FollowCodeChanges(
        digital_agency_pb2.FollowCodeChangesRequest(
            request_id=request_id, office="情報連携班", operator="batch-1"
        ),
        timeout=120,
    )


def test_a_code_that_was_given_and_has_changed_is_told_until_acknowledged(
    network: LocalNetwork,
) -> None:
    register = Register(network, MUNICIPALITY)
    try:
        register.record(planted_birth())
        wait_until(lambda: register.progress.nation >= register.progress.issued >= 1, 120)
        wait_until(lambda: bool(register.event("planted-1").outcome.individual_number), 120)
        former = code_of(network, "given-0001")
        with network.channel("agency-digital", "national") as channel:
            stream = followed(channel, "follow-0001")
            changed = register_pb2.RegisterEvent(
                event_id="planted-2",
                record_id=planted_birth().record_id,
                reason=identification_pb2.CHANGE_REASON_CODE_CHANGE_REQUEST,
                event_date=identification_pb2.CalendarDate(year=2026, month=5, day=2),
            )
            (outcome,) = register.record(changed)
            (told,) = next(stream).changes
            stream.cancel()
        assert told.former_resident_record_code == former
        assert told.resident_record_code == int(outcome.resident_record_code) != former
    finally:
        register.close()

    with network.channel("agency-digital", "national") as channel:
        # What was not acknowledged comes again.
        stream = followed(channel, "follow-0002")
        (again,) = next(stream).changes
        assert again == told
        digital_agency_pb2_grpc.DigitalAgencyServiceStub(channel).AcknowledgeCodeChanges(
            digital_agency_pb2.AcknowledgeCodeChangesRequest(
                deduplication_keys=[told.deduplication_key]
            ),
            timeout=60,
        )
        stream.cancel()
    records = [
        record
        for record in records_of(network.plan.host_directory("national") / "audit")
        if record.article == "30-9-2(2)"
    ]
    assert [one.request_id for one in records] == ["follow-0001", "follow-0002"]
    assert {bytes(one.outcomes) for one in records} == {bytes([Outcome.FOUND])}
    assert len({bytes(one.pseudonyms) for one in records}) == 1


def test_another_body_follows_nothing_and_that_is_recorded(network: LocalNetwork) -> None:
    with network.channel("agency-gaimu", "national") as channel:
        with pytest.raises(grpc.RpcError) as refused:
            next(followed(channel, "follow-gaimu"))
        assert reason_of(refused.value) is Reason.AFFAIR_NOT_GRANTED
    (record,) = [
        one
        for one in records_of(network.plan.host_directory("national") / "audit")
        if one.request_id == "follow-gaimu"
    ]
    assert record.refusal is Reason.AFFAIR_NOT_GRANTED
