"""Revocation in a running network: the revoked are refused within five seconds, nobody else is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner

from hsm.cli import app
from hsm.host_files import host_files
from hsm.plan import AUTHORITY_SOCKET
from juki.demo.checks import NATIONAL_PENSION
from juki.domain.errors import Reason
from juki.localnet.network import LocalNetwork
from juki.rpc.errors import reason_of
from juki.v1 import lookup_pb2, lookup_pb2_grpc
from tests.network_fixtures import metric, running_network, wait_until
from tests.planted_person import planted_birth

REFUSED_AFTER_SECONDS = 5.0
HERE, ELSEWHERE = "221309", "221007"
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
