"""Individual Numbers a second, over the network's own processes: prefecture, nation, token.

One gateway's identity asks, over mutual TLS, as a gateway does; every number costs an HMAC in the
token and rows in the permanent registry, durable before the answer.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable, Sequence
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


@dataclass(frozen=True, slots=True)
class NumberFigures:
    """What the benchmark measured; rates are numbers a second."""

    batched_per_second: float
    single_per_second: float
    """One code a call, one call at a time."""

    remade_per_second: float
    """One number re-made a call, one call at a time."""

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
    codes = _allot(stub, numbers + singles)
    told(f"{numbers:,} numbers in batches of {_BATCH:,}")
    started = time.perf_counter()
    for start in range(0, numbers, _BATCH):
        _make(stub, codes[start : min(start + _BATCH, numbers)])
    batched = numbers / (time.perf_counter() - started)
    told(f"{singles:,} numbers one by one")
    started = time.perf_counter()
    made = [_make(stub, [code])[0] for code in codes[numbers:]]
    single = singles / (time.perf_counter() - started)
    told(f"{singles:,} numbers re-made")
    started = time.perf_counter()
    for code, former in zip(codes[numbers:], made, strict=True):
        stub.RemakeIndividualNumber(
            codes_pb2.RemakeIndividualNumberRequest(
                municipality=_MUNICIPALITY,
                request_id=secrets.token_hex(16),
                resident_record_code=code,
                former_individual_number=former,
            ),
            timeout=_CALL_SECONDS,
        )
    remade = singles / (time.perf_counter() - started)
    return NumberFigures(
        batched_per_second=round(batched, 1),
        single_per_second=round(single, 1),
        remade_per_second=round(remade, 1),
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
