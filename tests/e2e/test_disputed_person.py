"""Two municipalities claim one person (Act Art. 30-8): both are told, nobody is given an answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from juki.demo.checks import PensionBody
from juki.demo.gateway import Register
from juki.localnet.network import LocalNetwork
from juki.v1 import (
    identification_pb2,
    lookup_pb2,
    notification_pb2,
    register_pb2,
    register_pb2_grpc,
)
from tests.network_fixtures import running_network, wait_until
from tests.planted_person import planted_birth

FIRST, SECOND = "221309", "131016"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    with running_network(
        tmp_path_factory.mktemp("network"), {"22": (FIRST,), "13": (SECOND,)}
    ) as network:
        yield network


def disputes_at(
    network: LocalNetwork, municipality: str, *, resolved: bool
) -> list[notification_pb2.DisputeReport]:
    with network.channel(f"cs-{municipality}-register", f"cs-{municipality}") as channel:
        stub = register_pb2_grpc.ResidentRegisterServiceStub(channel)
        request = register_pb2.ListDisputesRequest(include_resolved=resolved)
        return list(stub.ListDisputes(request, timeout=20).disputes)


def test_a_person_claimed_twice_is_disputed_until_one_claim_ends(network: LocalNetwork) -> None:
    first, second = Register(network, FIRST), Register(network, SECOND)
    body = PensionBody(network)
    try:
        first.record(planted_birth())
        wait_until(lambda: bool(first.event("planted-1").outcome.individual_number))
        wait_until(lambda: first.progress.nation >= first.progress.issued >= 2)
        held = first.event("planted-1").outcome
        assert body.batch([held.individual_number]).results[0].outcome == (
            lookup_pb2.LOOKUP_OUTCOME_FOUND
        )

        entry = planted_birth()
        entry.event_id, entry.record_id = "claim", "0000000001"
        entry.reason = identification_pb2.CHANGE_REASON_EX_OFFICIO_ENTRY
        entry.four_items.address.municipality = SECOND
        entry.resident_record_code = held.resident_record_code
        (claimed,) = second.record(entry)
        second.wait_national(claimed.notification.sequence)
        for municipality in (FIRST, SECOND):
            wait_until(lambda m=municipality: bool(disputes_at(network, m, resolved=False)))  # type: ignore[misc]
            (report,) = disputes_at(network, municipality, resolved=False)
            assert report.reason == notification_pb2.DISPUTE_REASON_TWO_CLAIMS
            assert list(report.municipalities) == sorted([FIRST, SECOND])
        answer = body.batch([held.individual_number]).results[0]
        assert answer.outcome == lookup_pb2.LOOKUP_OUTCOME_DISPUTED
        assert not answer.HasField("information")

        deletion = register_pb2.RegisterEvent(
            event_id="correction",
            record_id="0000000001",
            reason=identification_pb2.CHANGE_REASON_EX_OFFICIO_DELETION,
            event_date=entry.event_date,
        )
        (deleted,) = second.record(deletion)
        second.wait_national(deleted.notification.sequence)
        for municipality in (FIRST, SECOND):
            wait_until(lambda m=municipality: not disputes_at(network, m, resolved=False))  # type: ignore[misc]
            (report,) = disputes_at(network, municipality, resolved=True)
            assert report.HasField("resolved_at")
        again = body.batch([held.individual_number]).results[0]
        assert again.outcome == lookup_pb2.LOOKUP_OUTCOME_FOUND
        assert again.information.address.municipality == FIRST
    finally:
        body.close()
        first.close()
        second.close()
