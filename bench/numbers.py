"""Individual Numbers a second, over the network's own processes: prefecture, nation, token.

One gateway's identity asks, over mutual TLS, as a gateway does; every number costs an HMAC in the
token and rows in the permanent registry, durable before the answer.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.machine import Machine
from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan
from juki.v1 import codes_pb2, codes_pb2_grpc

_MUNICIPALITY: Final = "221309"
_BATCH: Final = 500
_CALL_SECONDS: Final = 60.0
CALLERS: Final = 8


@dataclass(frozen=True, slots=True)
class NumberFigures:
    """What the benchmark measured; rates are numbers a second."""

    batched_per_second: float
    single_per_second: float
    """One code a call, one call at a time."""

    remade_per_second: float
    """One number re-made a call, one call at a time."""

    single_by_many_per_second: float
    """One code a call, by `CALLERS` callers at once."""

    remade_by_many_per_second: float
    """One number re-made a call, by `CALLERS` callers at once."""

    batch: int
    numbers: int
    singles: int
    machine: Machine

    def as_dict(self) -> dict[str, Any]:
        """One JSON object."""
        return asdict(self)


def measure_numbers(numbers: int, singles: int, told: Callable[[str], None]) -> NumberFigures:
    """Starts a nation and a prefecture, and has `numbers` made; `told` hears of each phase."""
    with tempfile.TemporaryDirectory(prefix="juki-bench-") as directory:
        plan = NetworkPlan(Path(directory), {"22": (_MUNICIPALITY,)})
        with LocalNetwork(plan) as network:
            told("provisioning and starting the nation and a prefecture")
            network.provision()
            gateway = f"cs-{_MUNICIPALITY}"
            network.start_some([f"hsm/{host}" for host in ("national", "pref22", gateway)])
            network.start_some(["national"])
            network.start_some(["pref22"])
            channel = network.channel(gateway, "pref22")
            try:
                return _measure(codes_pb2_grpc.CodeServiceStub(channel), numbers, singles, told)
            finally:
                channel.close()


def _measure(
    stub: codes_pb2_grpc.CodeServiceStub,
    numbers: int,
    singles: int,
    told: Callable[[str], None],
) -> NumberFigures:
    codes = _allot(stub, numbers + 2 * singles)
    alone, together = codes[numbers : numbers + singles], codes[numbers + singles :]

    def timed(what: str, count: int, work: Callable[[], list[int]]) -> tuple[float, list[int]]:
        told(f"{count:,} numbers {what}")
        started = time.perf_counter()
        made = work()
        return round(count / (time.perf_counter() - started), 1), made

    def make_one(code: int) -> int:
        return _make(stub, [code])[0]

    def remake_one(code: int, former: int) -> int:
        return _remake(stub, code, former)

    batched, _ = timed(
        f"in batches of {_BATCH:,}",
        numbers,
        lambda: [
            number
            for start in range(0, numbers, _BATCH)
            for number in _make(stub, codes[start : min(start + _BATCH, numbers)])
        ],
    )
    single, made = timed("one by one", singles, lambda: list(map(make_one, alone)))
    remade, _ = timed("re-made", singles, lambda: list(map(remake_one, alone, made)))
    with ThreadPoolExecutor(CALLERS) as callers:
        many, made = timed(
            f"one by one by {CALLERS} callers",
            singles,
            lambda: list(callers.map(make_one, together)),
        )
        remade_by_many, _ = timed(
            f"re-made by {CALLERS} callers",
            singles,
            lambda: list(callers.map(remake_one, together, made)),
        )
    return NumberFigures(
        batched_per_second=batched,
        single_per_second=single,
        remade_per_second=remade,
        single_by_many_per_second=many,
        remade_by_many_per_second=remade_by_many,
        batch=_BATCH,
        numbers=numbers,
        singles=singles,
        machine=Machine.this(),
    )


def _allot(stub: codes_pb2_grpc.CodeServiceStub, count: int) -> list[int]:
    codes: list[int] = []
    while len(codes) < count:
        request = codes_pb2.AllotCodesRequest(
            municipality=_MUNICIPALITY,
            request_id=secrets.token_hex(16),
            count=min(10_000, count - len(codes)),
        )
        codes += stub.AllotCodes(request, timeout=_CALL_SECONDS).resident_record_codes
    return codes


def _make(stub: codes_pb2_grpc.CodeServiceStub, codes: Sequence[int]) -> list[int]:
    request = codes_pb2.GenerateIndividualNumbersRequest(
        municipality=_MUNICIPALITY, resident_record_codes=codes
    )
    response = stub.GenerateIndividualNumbers(request, timeout=_CALL_SECONDS)
    return list(response.individual_numbers)


def _remake(stub: codes_pb2_grpc.CodeServiceStub, code: int, former: int) -> int:
    request = codes_pb2.RemakeIndividualNumberRequest(
        municipality=_MUNICIPALITY,
        request_id=secrets.token_hex(16),
        resident_record_code=code,
        former_individual_number=former,
    )
    return stub.RemakeIndividualNumber(request, timeout=_CALL_SECONDS).individual_number
