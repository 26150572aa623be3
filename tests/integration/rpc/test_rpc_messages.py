"""A handler gets valid messages only, in every arity, and a refusal never repeats a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from juki.domain.errors import JukiError, Reason
from juki.rpc.errors import FieldViolation, InvalidFields, details_of, raise_from_rpc, reason_of

PREFECTURE = "spiffe://pref22.juki.example/server"
ARITIES = {
    "One": ("unary_unary", False),
    "Many": ("unary_stream", False),
    "Gather": ("stream_unary", True),
    "Exchange": ("stream_stream", True),
}


def _send(harness: Any, method: str, data: bytes) -> bytes | list[bytes]:
    """Sends raw bytes; a response stream is read to its end."""
    kind, streams = ARITIES[method]
    call = getattr(harness.channel(PREFECTURE), kind)(f"/juki.test.v1.ProbeService/{method}")
    response = call(iter([data]) if streams else data, timeout=10)
    return response if isinstance(response, bytes) else list(response)


def _refusal(harness: Any, method: str, data: bytes) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        _send(harness, method, data)
    return caught.value


def test_a_valid_message_passes_in_every_arity(harness: Any) -> None:
    stub = harness.stub()
    assert stub.One(harness.request("a")).word == "a"
    assert [r.word for r in stub.Many(harness.request("b"))] == ["first", "b"]
    requests = [harness.request("c"), harness.request("d")]
    assert stub.Gather(iter(requests)).word == "cd"
    assert [r.word for r in stub.Exchange(iter(requests))] == ["c", "d"]
    for method in ARITIES:
        assert harness.requests_counted(method, "OK", "") == 1


@pytest.mark.parametrize("method", ARITIES)
def test_bytes_that_are_no_message_are_malformed(harness: Any, method: str) -> None:
    error = _refusal(harness, method, b"\x0a\xff24727059608")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(error) is Reason.MALFORMED_MESSAGE
    assert "24727059608" not in repr(error)
    assert harness.requests_counted(method, "INVALID_ARGUMENT", "MALFORMED_MESSAGE") == 1


def test_text_that_is_not_utf_8_is_malformed(harness: Any) -> None:
    assert reason_of(_refusal(harness, "One", b"\x0a\x02\xff\xfe")) is Reason.MALFORMED_MESSAGE
    assert harness.probe.reached == 0


@pytest.mark.parametrize("method", ARITIES)
def test_a_message_above_the_limit_is_refused_with_a_reason(harness: Any, method: str) -> None:
    data = harness.request(filling=bytes(64 * 1024)).SerializeToString()
    error = _refusal(harness, method, data)
    assert reason_of(error) is Reason.MESSAGE_TOO_LARGE
    assert details_of(error).metadata == {"maximum_bytes": str(64 * 1024)}


def test_a_message_of_exactly_the_limit_passes(harness: Any) -> None:
    empty = len(harness.request(filling=bytes(60_000)).SerializeToString()) - 60_000
    data = harness.request(filling=bytes(64 * 1024 - empty)).SerializeToString()
    assert len(data) == 64 * 1024
    _send(harness, "One", data)
    assert harness.probe.reached == 1


@pytest.mark.parametrize("method", ARITIES)
def test_a_broken_rule_is_named_by_path_and_rule_never_by_value(harness: Any, method: str) -> None:
    parts = [harness.messages.Part(code="221309"), harness.messages.Part(code="24727059608")]
    data = harness.request("UPPER", parts=parts).SerializeToString()
    error = _refusal(harness, method, data)
    refusal = details_of(error)
    assert refusal.reason is Reason.INVALID_FIELD
    assert refusal.violations == (
        FieldViolation("word", "string.pattern"),
        FieldViolation("parts[1].code", "string.pattern"),
    )
    assert "24727059608" not in repr(error)
    assert "UPPER" not in repr(error)


def test_a_map_key_is_left_out_of_the_path(harness: Any) -> None:
    data = harness.request(counts={"Yamada Hanako": 10}).SerializeToString()
    error = _refusal(harness, "One", data)
    assert details_of(error).violations == (FieldViolation("counts[…]", "uint32.lte"),)
    assert "Yamada" not in repr(error)


def test_many_broken_rules_fit_into_the_answer(harness: Any) -> None:
    parts = [harness.messages.Part(code="x")] * 1000
    error = _refusal(harness, "One", harness.request(parts=parts).SerializeToString())
    assert len(details_of(error).violations) == 16


@pytest.mark.parametrize("method", ["Gather", "Exchange"])
def test_a_later_message_of_a_stream_is_checked_too(harness: Any, method: str) -> None:
    requests = iter([harness.request("good"), harness.request("BAD")])
    with pytest.raises(grpc.RpcError) as caught:
        list(getattr(harness.stub(), method)(requests))
    assert reason_of(caught.value) is Reason.INVALID_FIELD


def test_a_caller_gets_the_same_error_back_that_the_server_raised(harness: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        harness.stub().One(harness.request("BAD"))
    with pytest.raises(InvalidFields) as raised:
        raise_from_rpc(caught.value)
    assert raised.value.violations == (FieldViolation("word", "string.pattern"),)


def test_a_raw_method_gets_and_gives_bytes_but_keeps_the_size_limit(
    start: Callable[..., Any],
) -> None:
    harness = start(raw=frozenset({"juki.test.v1.ProbeService/One"}))
    assert _send(harness, "One", b"\xff\xff not a message") == b"\xff\xff not a message"
    assert reason_of(_refusal(harness, "One", bytes(64 * 1024 + 1))) is Reason.MESSAGE_TOO_LARGE
    assert reason_of(_refusal(harness, "Many", b"\xff\xff")) is Reason.MALFORMED_MESSAGE


def test_an_unparsed_method_that_nobody_declared_raw_is_refused(harness: Any) -> None:
    def handle(request: bytes, _: grpc.ServicerContext) -> bytes:
        harness.probe.reached += 1
        return request

    handlers = {"Raw": grpc.unary_unary_rpc_method_handler(handle)}
    generic = grpc.method_handlers_generic_handler("juki.test.v1.ProbeService", handlers)
    # Generic handlers may be added while a server runs; registered methods may not.
    harness.server.grpc_server.add_generic_rpc_handlers((generic,))
    call = harness.channel(PREFECTURE).unary_unary("/juki.test.v1.ProbeService/Raw")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"x")
    assert reason_of(caught.value) is Reason.CONFIGURATION_INVALID
    assert harness.probe.reached == 0


def test_errors_raised_while_responses_are_made_end_the_stream_with_a_reason(harness: Any) -> None:
    def refuse(_: grpc.ServicerContext) -> None:
        raise JukiError(Reason.SEQUENCE_GAP, "gap", {"expected_sequence": "42"})

    harness.probe.actions["gap"] = refuse
    responses: Iterator[Any] = harness.stub().Many(harness.request("gap"))
    assert next(responses).word == "first"
    with pytest.raises(grpc.RpcError) as caught:
        next(responses)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert details_of(caught.value).metadata == {"expected_sequence": "42"}
