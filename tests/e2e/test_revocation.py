"""Revocation in a running network: the revoked are refused within five seconds, nobody else is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner

from hsm.cli import app
from hsm.host_files import host_files
from hsm.plan import AUTHORITY_SOCKET
from juki.custody.client import CustodyClient
from juki.custody.port import ISSUING_AUTHORITY
from juki.demo.checks import NATIONAL_PENSION
from juki.demo.gateway import Register
from juki.domain.change import ChangeReason
from juki.domain.errors import Reason
from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan
from juki.rpc.errors import reason_of
from juki.v1 import (
    health_pb2,
    health_pb2_grpc,
    intake_pb2,
    intake_pb2_grpc,
    lookup_pb2,
    lookup_pb2_grpc,
    revocation_pb2,
    revocation_pb2_grpc,
)
from tests.network_fixtures import metric, running_network, wait_until
from tests.planted_person import planted_birth
from tests.stream import Stream as SignedStream
from tests.stream import information

REFUSED_AFTER_SECONDS = 5.0
HERE, ELSEWHERE = "221309", "221007"
REVOKED_HERE = 'juki_crl_revoked_certificates{authority="pref22.juki.example"}'
NEXT_UPDATE = 'juki_crl_next_update_seconds{authority="national.juki.example"}'
PASSPORTS = lookup_pb2.AffairReference(table=1, item="41")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    prefectures = {"22": (HERE, ELSEWHERE), "13": ()}
    with running_network(tmp_path_factory.mktemp("network"), prefectures) as network:
        yield network


def revoke(network: LocalNetwork, authority: str, *arguments: str) -> str:
    """Runs `juki hsm revoke` on the host of an authority."""
    socket = host_files(network.plan.directory, authority).socket(AUTHORITY_SOCKET)
    result = CliRunner().invoke(app, ["revoke", "--socket", str(socket), *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def number_lookup(name: str) -> lookup_pb2.LookupRequest:
    """The pension office asks for a number that nobody has."""
    return lookup_pb2.LookupRequest(
        context=lookup_pb2.LookupContext(
            affair=NATIONAL_PENSION,
            request_id=name,
            office="office",
            operator="operator",
            fields=[lookup_pb2.FIELD_ADDRESS],
        ),
        individual_number="123456789018",
    )


def passport_lookup(name: str) -> lookup_pb2.LookupRequest:
    """The passport office asks for somebody who does not exist."""
    return lookup_pb2.LookupRequest(
        context=lookup_pb2.LookupContext(
            affair=PASSPORTS,
            request_id=name,
            office="office",
            operator="operator",
            fields=[lookup_pb2.FIELD_ADDRESS],
        ),
        four_items=planted_birth().four_items,
    )


class Stream:
    """An open stream of a caller, and how it ended."""

    def __init__(self, responses: Any) -> None:
        self.answered = 0
        self.ended: grpc.StatusCode | None = None
        self.reason: Reason | None = None
        self._responses = responses
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            for _ in self._responses:
                self.answered += 1
            self.ended = grpc.StatusCode.OK
        except grpc.RpcError as error:
            self.reason = reason_of(error)
            self.ended = error.code()

    def close(self) -> None:
        self._responses.cancel()
        self._thread.join()


class Questions:
    """What a body sends on an `ExchangeLookup`: as much as it is let, then silence."""

    def __init__(self, *, silent_after: int | None) -> None:
        self._left = silent_after
        self._silence = threading.Event()

    def __iter__(self) -> Iterator[lookup_pb2.ExchangeLookupRequest]:
        for number in range(1_000_000):
            if number == self._left or self._silence.wait(0.05):
                self._silence.wait()
                return
            asked = passport_lookup(f"exchange-{number:06d}")
            batch = lookup_pb2.BatchLookupRequest(
                context=asked.context,
                four_items=lookup_pb2.FourItemsKeys(values=[asked.four_items]),
            )
            yield lookup_pb2.ExchangeLookupRequest(chunk_id=number, batch=batch)

    def close(self) -> None:
        self._silence.set()


@dataclass
class Load:
    """One caller that calls again and again, and remembers how each call ended."""

    call: Callable[[str], object]
    ends: list[tuple[float, Reason | None]] = field(default_factory=list)
    """When each call began, and why it was refused."""
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            began, reason = time.monotonic(), None
            try:
                self.call(f"load-{len(self.ends):08d}")
            except grpc.RpcError as error:
                reason = reason_of(error) or Reason.UPSTREAM_UNAVAILABLE
            self.ends.append((began, reason))

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def since(self, moment: float) -> set[Reason | None]:
        """How calls that began after the moment ended."""
        return {reason for began, reason in list(self.ends) if began >= moment}

    def wait_for_calls(self, count: int) -> None:
        """Until so many more have ended."""
        until = len(self.ends) + count
        wait_until(lambda: len(self.ends) >= until)


def test_a_revoked_agency_is_refused_and_cut_off_while_lookups_of_others_go_on(
    network: LocalNetwork,
) -> None:
    with (
        network.channel("agency-nenkin", "national") as pension,
        network.channel("agency-gaimu", "national") as passports,
    ):
        pension_stub = lookup_pb2_grpc.LookupServiceStub(pension)
        passport_stub = lookup_pb2_grpc.LookupServiceStub(passports)
        asking, silent = Questions(silent_after=None), Questions(silent_after=1)
        streams = [Stream(passport_stub.ExchangeLookup(iter(one))) for one in (asking, silent)]
        unaffected = Load(lambda name: pension_stub.Lookup(number_lookup(name), timeout=30))
        revoked = Load(lambda name: passport_stub.Lookup(passport_lookup(name), timeout=30))
        try:
            unaffected.wait_for_calls(20)
            revoked.wait_for_calls(20)
            wait_until(lambda: all(stream.answered for stream in streams))
            assert revoked.since(0) == {None}
            assert all(stream.ended is None for stream in streams)
            told = revoke(network, "national", "--identity", "spiffe://agency.juki.example/gaimu")
            assert "1 certificates revoked" in told
            moment = time.monotonic()
            wait_until(lambda: time.monotonic() > moment + REFUSED_AFTER_SECONDS)
            ended = [stream.ended for stream in streams]
            revoked.wait_for_calls(20)
            unaffected.wait_for_calls(20)
        finally:
            unaffected.stop()
            revoked.stop()
            for closing in (asking, silent, *streams):
                closing.close()
    assert revoked.since(moment + REFUSED_AFTER_SECONDS) == {Reason.IDENTITY_REVOKED}
    assert revoked.since(0) == {None, Reason.IDENTITY_REVOKED}
    assert unaffected.since(0) == {None}
    # Who talks is told why; who is silent is cut off all the same.
    assert ended == [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.CANCELLED]
    assert streams[0].reason is Reason.IDENTITY_REVOKED
    assert metric(network, "national", 'juki_streams_cut_total{reason="IDENTITY_REVOKED"}') == 2


def numbers_of_list(network: LocalNetwork, servers: list[str], authority: str) -> set[float]:
    """The list numbers of an authority that these servers act on."""
    sample = f'juki_crl_number{{authority="{authority}.juki.example"}}'
    return {metric(network, server, sample) for server in servers}


def test_a_revoked_gateway_is_refused_in_every_tier_and_its_neighbour_goes_on(
    network: LocalNetwork,
) -> None:
    servers = ["national", "pref22", "pref13", f"cs-{HERE}"]
    everyone = [*servers, f"cs-{ELSEWHERE}"]
    wait_until(lambda: len(numbers_of_list(network, everyone, "pref22")) == 1)
    (number_before,) = numbers_of_list(network, everyone, "pref22")
    intake = intake_pb2_grpc.NotificationIntakeServiceStub
    with (
        network.channel(f"cs-{ELSEWHERE}", "pref22") as gateway,
        network.channel("pref22", "national") as prefecture,
        network.channel(f"cs-{HERE}", "pref22") as neighbour,
    ):
        stolen = network.custody(f"cs-{ELSEWHERE}")
        stream = intake_stream(stolen)
        head = intake_pb2.GetStreamHeadRequest(municipality=ELSEWHERE)
        revoked = Load(lambda _: intake(gateway).GetStreamHead(head, timeout=30))
        here = intake_pb2.GetStreamHeadRequest(municipality=HERE)
        unaffected = Load(lambda _: intake(neighbour).GetStreamHead(here, timeout=30))
        returns = Stream(intake(gateway).FollowReturns(intake_pb2.FollowReturnsRequest()))
        register = Register(network, HERE)
        try:
            revoked.wait_for_calls(20)
            told = revoke(
                network,
                "pref22",
                "--identity",
                f"spiffe://pref22.juki.example/cs/{ELSEWHERE}",
                "--reason",
                "keyCompromise",
            )
            moment = time.monotonic()
            assert "4 certificates revoked" in told
            wait_until(lambda: time.monotonic() > moment + REFUSED_AFTER_SECONDS)
            (number,) = numbers_of_list(network, servers, "pref22")
            assert number > number_before
            # Also what its key signs is refused, by whatever road it reaches the nation.
            with pytest.raises(grpc.RpcError) as refused:
                intake(prefecture).SubmitNotifications(
                    intake_pb2.SubmitNotificationsRequest(
                        notifications=stream.sent, certificates=stream.certificates
                    ),
                    timeout=30,
                )
            assert reason_of(refused.value) is Reason.SIGNER_REVOKED
            revoked.wait_for_calls(5)
            register.record(planted_birth())
            wait_until(lambda: register.progress.nation >= register.progress.issued >= 1)
        finally:
            for load in (revoked, unaffected):
                load.stop()
            returns.close()
            register.close()
    assert revoked.since(0) == {None, Reason.IDENTITY_REVOKED}
    assert revoked.since(moment + REFUSED_AFTER_SECONDS) == {Reason.IDENTITY_REVOKED}
    assert unaffected.since(0) == {None}
    assert (returns.ended, returns.reason) == (
        grpc.StatusCode.PERMISSION_DENIED,
        Reason.IDENTITY_REVOKED,
    )


def test_after_a_restart_the_revoked_are_still_refused_and_older_lists_are_not_taken(
    network: LocalNetwork,
) -> None:
    """Both servers come back without custody's or each other's help but for their own databases."""
    socket = host_files(network.plan.directory, "pref22").socket(AUTHORITY_SOCKET)
    with CustodyClient(socket) as custody:
        old = custody.revocation_list(ISSUING_AUTHORITY)
        custody.revoke(ISSUING_AUTHORITY, "", [7], "unspecified")
    servers = ["national", "pref22"]
    wait_until(lambda: metric(network, "national", REVOKED_HERE) == 5)
    network.processes["national"].kill()
    network.processes["national"].start()
    assert metric(network, "national", REVOKED_HERE) == 5
    with network.channel("pref13", "national") as channel:
        stub = revocation_pb2_grpc.RevocationServiceStub(channel)
        before = numbers_of_list(network, ["national"], "pref22")
        response = stub.ExchangeRevocationLists(
            revocation_pb2.ExchangeRevocationListsRequest(
                lists=[
                    revocation_pb2.SignedRevocationList(
                        list=old.list_der, certificates=old.certificates
                    )
                ]
            ),
            timeout=30,
        )
        assert len(response.lists) == 3
        assert numbers_of_list(network, ["national"], "pref22") == before
        assert metric(network, "national", 'juki_crl_refused_total{reason="CRL_REFUSED"}') == 1
    with network.channel("agency-gaimu", "national") as passports:
        with pytest.raises(grpc.RpcError) as refused:
            lookup_pb2_grpc.LookupServiceStub(passports).Lookup(
                passport_lookup("after-a-restart"), timeout=30
            )
        assert reason_of(refused.value) is Reason.IDENTITY_REVOKED
    wait_until(lambda: len(numbers_of_list(network, servers, "pref22")) == 1)


def test_a_revoked_prefecture_is_refused_by_the_nation_and_its_gateways_send_it_nothing(
    network: LocalNetwork,
) -> None:
    """The last test of this network: prefecture 22 has no successor here."""
    taken = 'juki_intake_notifications_total{outcome="accepted"}'
    before = metric(network, "pref22", taken)
    assert before > 0
    known = metric(network, "pref22", REVOKED_HERE)
    told = revoke(network, "pref22", "--identity", "spiffe://pref22.juki.example/server")
    assert "3 certificates revoked" in told
    revoked = 'reason="IDENTITY_REVOKED"'
    tiers = ("national", "pref22", f"cs-{HERE}")
    wait_until(lambda: {metric(network, tier, REVOKED_HERE) for tier in tiers} == {known + 3})
    with network.channel("pref22", "national") as channel:
        with pytest.raises(grpc.RpcError) as refused:
            intake_pb2_grpc.NotificationIntakeServiceStub(channel).GetStreamHead(
                intake_pb2.GetStreamHeadRequest(municipality=HERE), timeout=30
            )
        assert reason_of(refused.value) is Reason.IDENTITY_REVOKED
    event = planted_birth()
    event.event_id, event.record_id = "planted-2", "7777700002"
    register = Register(network, HERE)
    try:
        # The gateway takes it in, as it does whenever its prefecture is away, and keeps it.
        register.record(event)
    finally:
        register.close()
    failures = f"juki_gateway_worker_failures_total{{{revoked}}}"
    wait_until(lambda: metric(network, f"cs-{HERE}", failures) >= 3)
    assert metric(network, "pref22", taken) == before


@pytest.mark.slow
def test_a_list_that_is_not_renewed_refuses_everyone_under_it_and_says_so_before(
    tmp_path: Path,
) -> None:
    plan = NetworkPlan(tmp_path / "network", {"22": ()}, agencies=("nenkin",))
    with LocalNetwork(plan) as network:
        network.provision()
        shorten_lists(network, "national", validity=24, renewal=2)
        network.start()
        with (
            network.channel("agency-nenkin", "national") as channel,
            network.channel("pref22", "national") as prefecture,
        ):
            asked = health_pb2.GetHealthReportRequest()
            pension = Load(
                lambda _: health_pb2_grpc.HealthReportServiceStub(channel).GetHealthReport(
                    asked, timeout=30
                )
            )
            other = Load(
                lambda _: health_pb2_grpc.HealthReportServiceStub(prefecture).GetHealthReport(
                    asked, timeout=30
                )
            )
            try:
                pension.wait_for_calls(5)
                # Custody cannot sign the next list: its record cannot be written.
                record = host_files(plan.directory, "national").authority_record
                record.rename(record.with_name("kept"))
                record.mkdir()
                log = network.processes["national"].log
                wait_until(lambda: "revocation_list_not_renewed" in log.read_text(), 60)
                assert metric(network, "national", NEXT_UPDATE) > 0
                assert pension.since(0) == {None}
                wait_until(lambda: Reason.CRL_STALE in pension.since(0), 60)
                assert metric(network, "national", NEXT_UPDATE) < 0
                stale = time.monotonic()
                pension.wait_for_calls(3)
                record.rmdir()
                record.with_name("kept").rename(record)
                wait_until(lambda: None in pension.since(time.monotonic() - 1), 60)
            finally:
                pension.stop()
                other.stop()
        assert pension.since(0) == {None, Reason.CRL_STALE}
        assert None in other.since(stale)
        assert other.since(0) == {None}


def shorten_lists(network: LocalNetwork, host: str, *, validity: int, renewal: int) -> None:
    """Lets the lists of a host's authority last so many seconds."""
    file = host_files(network.plan.directory, host).configuration
    section = f"\n[revocation]\nvalidity_seconds = {validity}\nrenewal_seconds = {renewal}\n"
    file.write_text(file.read_text("utf-8") + section, "utf-8")


def intake_stream(custody: CustodyClient) -> SignedStream:
    """A notification of the municipality that is to be revoked."""
    stream = SignedStream(ELSEWHERE, custody)
    stream.add(information("24727059608", ChangeReason.BIRTH, municipality=ELSEWHERE))
    return stream
