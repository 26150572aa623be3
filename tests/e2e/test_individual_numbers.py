"""Individual Numbers over real processes: one leaks and is re-made, and none is given twice."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from juki.demo.checks import PensionBody
from juki.demo.gateway import Register
from juki.domain.change import ChangeReason
from juki.domain.errors import Reason
from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan
from juki.rpc.errors import reason_of
from juki.v1 import codes_pb2, codes_pb2_grpc, identification_pb2, lookup_pb2
from tests.gateway_fixtures import MUNICIPALITY, register_event
from tests.network_fixtures import wait_until

_KILLS = 6
_BATCH = 25
_ASKERS = 3


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    """One municipality, its prefecture, the nation and the pension body."""
    directory: Path = tmp_path_factory.mktemp("network")
    plan = NetworkPlan(directory, {"22": (MUNICIPALITY,)}, agencies=("nenkin", "gaimu"))
    with LocalNetwork(plan) as running:
        running.provision()
        running.start()
        yield running


def test_a_leaked_number_is_re_made_and_finds_nobody_any_more(network: LocalNetwork) -> None:
    register = Register(network, MUNICIPALITY)
    body = PensionBody(network)
    try:
        register.record(register_event("leak-1", "person-1", ChangeReason.BIRTH))
        wait_until(lambda: bool(register.event("leak-1").outcome.individual_number))
        former = register.event("leak-1").outcome.individual_number
        wait_until(lambda: _outcomes(body, former) == [lookup_pb2.LOOKUP_OUTCOME_FOUND])
        event = register_event("leak-2", "person-1", ChangeReason.NUMBER_CHANGE_REQUEST)
        [outcome] = register.record(event)
        number = outcome.individual_number
        assert number != former
        assert register.record(event)[0] == outcome
        register.wait_national(outcome.notification.sequence)
        wait_until(lambda: _outcomes(body, number) == [lookup_pb2.LOOKUP_OUTCOME_FOUND])
        answer = body.batch([former, number])
        assert answer.results[0].outcome == lookup_pb2.LOOKUP_OUTCOME_NOT_FOUND
        found = answer.results[1].information
        assert found.individual_number == number
        assert found.change.reason == identification_pb2.CHANGE_REASON_NUMBER_CHANGE_REQUEST
        # The pension body may use numbers, so it is told which of them the new one replaces.
        assert found.change.former_individual_number == former
    finally:
        body.close()
        register.close()


def _outcomes(body: PensionBody, *numbers: str) -> list[int]:
    return [result.outcome for result in body.batch(list(numbers)).results]


class _Asker:
    """Asks the nation for numbers, as the prefecture does, however often it dies meanwhile."""

    def __init__(self, stub: codes_pb2_grpc.CodeServiceStub, given: dict[int, set[int]]) -> None:
        self._stub = stub
        self.given = given
        """Every number that an answer gave, by the code."""

        self.replaced: dict[int, set[int]] = {}
        """Every number given in another's place, by that other."""

    def run(self, codes: list[int], answered: threading.Semaphore) -> None:
        """The numbers of all codes, each batch asked for once more; then one of each re-made."""
        for start in range(0, len(codes), _BATCH):
            batch = codes[start : start + _BATCH]
            for _ in range(2):
                for code, number in zip(batch, self._numbers(batch), strict=True):
                    self.given.setdefault(code, set()).add(number)
                answered.release()
            (former,) = self.given[batch[0]]
            for request_id in ("a" * 16, "b" * 16):
                number = self._remade(f"{request_id}{former}", batch[0], former)
                self.replaced.setdefault(former, set()).add(number)
            answered.release()

    def _numbers(self, codes: list[int]) -> list[int]:
        request = codes_pb2.GenerateIndividualNumbersRequest(
            municipality=MUNICIPALITY, resident_record_codes=codes
        )
        while True:
            try:
                response = self._stub.GenerateIndividualNumbers(
                    request, timeout=60, wait_for_ready=True
                )
            except grpc.RpcError as error:
                _raise_unless_it_passes(error)
            else:
                return list(response.individual_numbers)

    def _remade(self, request_id: str, code: int, former: int) -> int:
        request = codes_pb2.RemakeIndividualNumberRequest(
            municipality=MUNICIPALITY,
            request_id=request_id,
            resident_record_code=code,
            former_individual_number=former,
        )
        while True:
            try:
                return self._stub.RemakeIndividualNumber(
                    request, timeout=60, wait_for_ready=True
                ).individual_number
            except grpc.RpcError as error:
                _raise_unless_it_passes(error)


def _raise_unless_it_passes(error: grpc.RpcError) -> None:
    """A nation that was killed is away, then waits until the prefecture has said what it holds."""
    if reason_of(error) is Reason.GRANTS_NOT_CONFIRMED:
        time.sleep(0.05)
    elif error.code() is not grpc.StatusCode.UNAVAILABLE:
        raise error


def test_a_nation_killed_while_it_makes_numbers_gives_none_twice(network: LocalNetwork) -> None:
    channel = network.channel("pref22", "national")
    stub = codes_pb2_grpc.CodeServiceStub(channel)
    codes = list(
        stub.AllotCodes(
            codes_pb2.AllotCodesRequest(
                municipality=MUNICIPALITY, request_id=secrets.token_hex(16), count=1_500
            ),
            timeout=60,
        ).resident_record_codes
    )
    askers = [_Asker(stub, {}) for _ in range(_ASKERS)]
    answered = threading.Semaphore(0)
    with ThreadPoolExecutor(_ASKERS) as pool:
        runs = [
            pool.submit(asker.run, codes[n::_ASKERS], answered) for n, asker in enumerate(askers)
        ]
        for _ in range(_KILLS):
            # Some answers have come and the next calls are under way.
            for _ in range(20):
                assert answered.acquire(timeout=60)
            assert not all(run.done() for run in runs)
            network.processes["national"].kill()
            network.processes["national"].start()
        for run in runs:
            run.result()
    # Nothing that was answered before a kill is answered differently after it.
    for asker in askers:
        asker_codes = list(asker.given)
        again = asker._numbers(asker_codes)
        for code, number in zip(asker_codes, again, strict=True):
            (given,) = asker.given[code]
            (expected,) = asker.replaced.get(given, {given})
            assert number == expected
    everything = [
        number
        for asker in askers
        for found in (*asker.given.values(), *asker.replaced.values())
        for number in found
    ]
    assert len(everything) == len(set(everything)) == 1_500 + 1_500 // _BATCH
    channel.close()
