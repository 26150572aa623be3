"""A governor's server passes nothing on before that is durable in its own audit log."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from prometheus_client import CollectorRegistry

from juki.audit.log import FileAuditLog
from juki.audit.port import AuditRecord
from juki.custody.tls import channel_credentials, server_credentials
from juki.domain.errors import JukiError, Reason
from juki.domain.residency import ResidencyStatus
from juki.index.port import PersonState
from juki.policy.evaluator import Policy
from juki.rpc.channel import ChannelSettings, open_channel
from juki.rpc.errors import reason_of
from juki.rpc.health import HealthMonitor
from juki.rpc.identity import IdentityKind
from juki.rpc.server import JukiServer, ServerSettings
from juki.v1 import lookup_pb2, lookup_pb2_grpc, relay_pb2, relay_pb2_grpc
from pref_server.governor_relay import RELAY_SERVICE, GovernorRelay
from tests.custody_fixtures import RunningCustody, TrustDomain, running_custody
from tests.e2e.asking import records_of
from tests.lookup_fixtures import PENSION, SERVER_NAME, LookupServer, running_lookup_server
from tests.people import four_items_of, person
from tests.revocation_fixtures import NothingRevoked

NATION = "spiffe://national.juki.example/server"
TOKYO = "spiffe://pref13.juki.example/server"
SHIBUYA = f"""
[[agency]]
identity = "{PENSION}"
name = "渋谷区長"
kind = "mayor"
place = "131130"
governor = "{TOKYO}"
grant = [{{ table = 4, item = "1-2", search_keys = ["FOUR_ITEMS"] }}]
"""


@dataclass
class Governor:
    """Tokyo's server, whose disk fails when it is told to, and the nation above it."""

    nation: LookupServer
    log_directory: Path
    port: int
    failure: int = 0
    """The errno of every write to be made durable; 0: it works."""
    unregistered: set[str] = field(default_factory=set)
    """Operators that nobody has registered."""

    def sync(self, descriptor: int) -> None:
        if self.failure:
            raise OSError(self.failure, os.strerror(self.failure))
        os.fdatasync(descriptor)

    def admit(self, identity: str, office: str, operator: str) -> None:
        if operator in self.unregistered:
            raise JukiError(Reason.OPERATOR_NOT_REGISTERED, "no such operator")

    def records(self) -> list[AuditRecord]:
        return list(records_of(self.log_directory))

    @contextmanager
    def stub(self) -> Iterator[relay_pb2_grpc.GovernorRelayServiceStub]:
        agency = self.nation.agency.client
        channel = open_channel(
            f"127.0.0.1:{self.port}",
            "server.pref13.juki.example",
            channel_credentials(agency, self.nation.roots_pem),
            ChannelSettings(attempts=1),
        )
        try:
            yield relay_pb2_grpc.GovernorRelayServiceStub(channel)
        finally:
            channel.close()


@pytest.fixture(scope="module")
def tokyo_custody(trust_domain: TrustDomain) -> Iterator[RunningCustody]:
    """The running custody of prefecture 13."""
    with running_custody(trust_domain.files("pref13")) as custody:
        yield custody


@pytest.fixture
def governor(
    trust_domain: TrustDomain,
    national_custody: RunningCustody,
    pension_custody: RunningCustody,
    tokyo_custody: RunningCustody,
    tmp_path: Path,
) -> Iterator[Governor]:
    """Servers of the nation and of prefecture 13; one person, who lives in prefecture 22."""
    with running_lookup_server(
        trust_domain,
        national_custody.client,
        pension_custody,
        tmp_path,
        bodies=SHIBUYA,
        revocation=NothingRevoked(),  # the list of prefecture 13's authority is not the matter here
    ) as nation:
        information = person(1).SerializeToString()
        nation.index.apply([PersonState(1, ResidencyStatus.RESIDENT, information)], [])
        running = Governor(nation, tmp_path / "governor", 0)
        registry = CollectorRegistry()
        server = JukiServer(
            ServerSettings("127.0.0.1:0"),
            server_credentials(tokyo_custody.client, trust_domain.roots_pem),
            {RELAY_SERVICE: frozenset({IdentityKind.AGENCY})},
            health_servicer=HealthMonitor({"always": lambda: None}, registry=registry).servicer,
            revocation=NothingRevoked(),
            registry=registry,
        )
        to_nation = open_channel(
            f"127.0.0.1:{nation.port}",
            SERVER_NAME,
            channel_credentials(tokyo_custody.client, trust_domain.roots_pem),
            ChannelSettings(attempts=1),
        )
        with FileAuditLog(running.log_directory, sync=running.sync) as audit:
            relay_pb2_grpc.add_GovernorRelayServiceServicer_to_server(
                GovernorRelay(
                    identity=TOKYO,
                    policy=Policy.load(tmp_path / "agencies.toml"),
                    audit=audit,
                    answerers={"": (NATION, lookup_pb2_grpc.LookupServiceStub(to_nation))},
                    clock=time.time_ns,
                    admit=running.admit,
                ),
                server.grpc_server,
            )
            server.start()
            running.port = server.port
            try:
                yield running
            finally:
                server.stop(0)
                to_nation.close()


def context(operator: str = "operator-7") -> lookup_pb2.LookupContext:
    return lookup_pb2.LookupContext(
        affair=lookup_pb2.AffairReference(table=4, item="1-2"),
        request_id="request-0001",
        office="住民課",
        operator=operator,
        fields=lookup_pb2.Field.values()[1:],
    )


def single(operator: str = "operator-7") -> relay_pb2.RelayLookupRequest:
    return relay_pb2.RelayLookupRequest(
        lookup=lookup_pb2.LookupRequest(
            context=context(operator), four_items=four_items_of(person(1))
        )
    )


def batch() -> relay_pb2.RelayBatchLookupRequest:
    items = lookup_pb2.FourItemsKeys(values=[four_items_of(person(1))] * 3)
    return relay_pb2.RelayBatchLookupRequest(
        batch=lookup_pb2.BatchLookupRequest(context=context(), four_items=items)
    )


@pytest.mark.parametrize("failure", [errno.ENOSPC, errno.EIO])
def test_nothing_is_passed_on_when_the_governors_own_record_cannot_be_made_durable(
    governor: Governor, failure: int
) -> None:
    with governor.stub() as stub:
        answer = stub.RelayLookup(single()).answer
        assert answer.result.outcome == lookup_pb2.LOOKUP_OUTCOME_FOUND
        governor.failure = failure
        for call in (lambda: stub.RelayLookup(single()), lambda: stub.RelayBatchLookup(batch())):
            with pytest.raises(grpc.RpcError) as refused:
                call()
            assert reason_of(refused.value) is Reason.AUDIT_UNAVAILABLE
    (answered,) = governor.nation.records()  # the first alone has reached the nation
    assert (answered.body_identity, answered.via) == (PENSION, TOKYO)


def test_nothing_comes_back_when_the_nation_cannot_record_it(governor: Governor) -> None:
    governor.nation.audit.close()
    with governor.stub() as stub, pytest.raises(grpc.RpcError) as refused:
        stub.RelayLookup(single())
    assert reason_of(refused.value) is Reason.AUDIT_UNAVAILABLE
    assert governor.nation.records() == []
    (passed_on,) = governor.records()
    assert passed_on.passed_on_to == NATION


def test_an_operator_nobody_has_registered_is_refused_before_anything_is_passed_on(
    governor: Governor,
) -> None:
    governor.unregistered.add("operator-9")
    with governor.stub() as stub, pytest.raises(grpc.RpcError) as refused:
        stub.RelayLookup(single("operator-9"))
    assert reason_of(refused.value) is Reason.OPERATOR_NOT_REGISTERED
    assert governor.nation.records() == []
    (record,) = governor.records()
    assert (record.refusal, record.passed_on_to) == (Reason.OPERATOR_NOT_REGISTERED, "")
    assert record.operator == "operator-9"


def test_who_is_no_body_that_asks_is_passed_on_to_nobody(
    governor: Governor, provisioned_host: RunningCustody
) -> None:
    governor.nation.agency = provisioned_host  # a gateway
    with governor.stub() as stub, pytest.raises(grpc.RpcError) as refused:
        stub.RelayLookup(single())
    assert reason_of(refused.value) is Reason.IDENTITY_NOT_PERMITTED
    assert governor.nation.records() == []
