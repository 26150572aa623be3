"""Whatever bytes arrive at whatever method of a real server: a reason comes back, no more."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from juki.domain.errors import Reason
from juki.localnet.network import LocalNetwork
from juki.rpc.errors import details_of
from juki.v1 import codes_pb2, health_pb2, health_pb2_grpc, intake_pb2, lookup_pb2, register_pb2
from tests.network_fixtures import running_network, wait_until

LIMIT = 4 * 1024 * 1024
SECRET = "鬼灯　露草"

SERVED: dict[str, tuple[str, tuple[ServiceDescriptor, ...]]] = {
    "national": (
        "pref22",
        (
            intake_pb2.DESCRIPTOR.services_by_name["NotificationIntakeService"],
            codes_pb2.DESCRIPTOR.services_by_name["CodeService"],
            health_pb2.DESCRIPTOR.services_by_name["HealthReportService"],
        ),
    ),
    "pref22": (
        "cs-221309",
        (
            intake_pb2.DESCRIPTOR.services_by_name["NotificationIntakeService"],
            codes_pb2.DESCRIPTOR.services_by_name["CodeService"],
            health_pb2.DESCRIPTOR.services_by_name["HealthReportService"],
        ),
    ),
    "cs-221309": (
        "cs-221309-register",
        (
            register_pb2.DESCRIPTOR.services_by_name["ResidentRegisterService"],
            health_pb2.DESCRIPTOR.services_by_name["HealthReportService"],
        ),
    ),
}
LOOKUP = lookup_pb2.DESCRIPTOR.services_by_name["LookupService"]


@dataclass(frozen=True)
class Target:
    """One method of one server, and who may call it."""

    server: str
    caller: str
    method: MethodDescriptor

    def __str__(self) -> str:
        return f"{self.server} {self.method.full_name.rpartition('.')[2]}"

    @property
    def path(self) -> str:
        return f"/{self.method.containing_service.full_name}/{self.method.name}"


def targets() -> list[Target]:
    found = [
        Target(server, caller, method)
        for server, (caller, services) in SERVED.items()
        for service in services
        for method in service.methods
    ]
    return found + [Target("national", "agency-nenkin", method) for method in LOOKUP.methods]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    with running_network(tmp_path_factory.mktemp("network"), {"22": ("221309",)}) as network:
        yield network


def send(channel: grpc.Channel, target: Target, data: bytes) -> None:
    """Sends the bytes as they are and reads whatever comes back."""
    if target.method.client_streaming:
        list(channel.stream_stream(target.path, None, None)(iter([data]), timeout=20))
    elif target.method.server_streaming:
        list(channel.unary_stream(target.path, None, None)(data, timeout=20))
    else:
        channel.unary_unary(target.path, None, None)(data, timeout=20)


def refusal_of(network: LocalNetwork, target: Target, data: bytes) -> grpc.RpcError:
    """How the server refuses the bytes."""
    with network.channel(target.caller, target.server) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            send(channel, target, data)
        return caught.value


def malformed() -> list[bytes]:
    """Bytes that are no message of any kind: a cut-off field, a wrong wire type, noise."""
    noise = random.Random(20260401)
    personal = SECRET.encode()
    return [
        b"\x0a\xff",
        b"\x0a" + bytes([len(personal) + 5]) + personal,
        b"\xff" * 32,
        noise.randbytes(64) + b"\xff",
    ]


@pytest.mark.parametrize("target", targets(), ids=str)
def test_bytes_that_are_no_message_are_refused_with_a_reason(
    network: LocalNetwork, target: Target
) -> None:
    for data in malformed():
        error = refusal_of(network, target, data)
        refusal = details_of(error)
        assert refusal.reason in (Reason.MALFORMED_MESSAGE, Reason.INVALID_FIELD)
        assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
        assert not any(part in str(error) for part in SECRET.split("\u3000"))


@pytest.mark.parametrize("size", [LIMIT + 1, 2 * LIMIT, 4 * LIMIT - 16])
@pytest.mark.parametrize("target", targets(), ids=str)
def test_a_message_over_the_stated_limit_is_refused_with_a_reason(
    network: LocalNetwork, target: Target, size: int
) -> None:
    # An unknown field of a well-formed message.
    padding = bytes(size)
    length = len(padding)
    varint = bytearray()
    while length > 0x7F:
        varint.append(length & 0x7F | 0x80)
        length >>= 7
    varint.append(length)
    data = b"\xfa\x7f" + bytes(varint) + padding
    assert details_of(refusal_of(network, target, data)).reason is Reason.MESSAGE_TOO_LARGE


def test_the_servers_are_healthy_after_all_that(network: LocalNetwork) -> None:
    for server, (caller, _) in SERVED.items():
        with network.channel(caller, server) as channel:
            stub = health_pb2_grpc.HealthReportServiceStub(channel)
            wait_until(
                lambda stub=stub: (
                    stub.GetHealthReport(  # type: ignore[misc]
                        health_pb2.GetHealthReportRequest(), timeout=20
                    ).serving
                )
            )


def test_no_log_repeats_what_was_sent(network: LocalNetwork) -> None:
    for log in (network.plan.directory / "logs").iterdir():
        text = log.read_text(encoding="utf-8")
        assert not any(part in text for part in SECRET.split("\u3000")), log.name
