"""The table of reasons is complete and agrees with the contract."""

from __future__ import annotations

import grpc
import pytest

from juki.domain.errors import JukiError, Reason
from juki.rpc.errors import (
    STATUS_OF_REASON,
    details_of,
    raise_from_rpc,
    reason_of,
    status_of,
)
from juki.v1 import errors_pb2


def test_every_reason_has_a_status() -> None:
    assert set(STATUS_OF_REASON) == set(Reason)


def test_no_refusal_is_answered_as_success_or_unknown() -> None:
    meaningless = {grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED}
    assert meaningless.isdisjoint(STATUS_OF_REASON.values())


def test_only_our_own_unavailability_is_answered_so_that_channels_retry() -> None:
    retried = {r for r, code in STATUS_OF_REASON.items() if code is grpc.StatusCode.UNAVAILABLE}
    # A fresh revocation list may arrive at any moment, too.
    lists = {Reason.CRL_UNKNOWN, Reason.CRL_STALE}
    assert lists <= retried
    assert {one.value.rpartition("_")[2] for one in retried - lists} == {"UNAVAILABLE"}


def test_the_reasons_are_those_of_the_contract() -> None:
    prefix = "ERROR_REASON_"
    names = {name.removeprefix(prefix) for name, _ in errors_pb2.ErrorReason.items()}
    assert names - {"UNSPECIFIED"} == {reason.value for reason in Reason}


@pytest.mark.parametrize("reason", Reason)
def test_a_status_names_its_reason_and_has_the_tables_code(reason: Reason) -> None:
    status = status_of(JukiError(reason, "sentence"), "0123456789abcdef")
    assert status.code == STATUS_OF_REASON[reason].value[0]
    assert reason.value.encode() in status.SerializeToString()


def test_a_failure_without_a_reason_has_none() -> None:
    assert reason_of(grpc.RpcError()) is None
    assert details_of(grpc.RpcError()).code is grpc.StatusCode.UNKNOWN
    with pytest.raises(JukiError) as caught:
        raise_from_rpc(grpc.RpcError())
    assert caught.value.reason is Reason.INTERNAL


def test_an_unreachable_peer_becomes_upstream_unavailable() -> None:
    with (
        grpc.insecure_channel("127.0.0.1:1") as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        channel.unary_unary("/x/y", None, None)(b"", timeout=5)
    with pytest.raises(JukiError) as raised:
        raise_from_rpc(caught.value)
    assert raised.value.reason is Reason.UPSTREAM_UNAVAILABLE
