"""What a handler raises becomes a status with a reason; nothing else of it leaves the server."""

from __future__ import annotations

import json
import threading
from typing import Any, NoReturn

import grpc
import pytest

from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.rpc.errors import details_of, reason_of

SECRET = "Yamada Hanako 24727059608"
METHODS = ("One", "Many", "Gather", "Exchange")


def _raising(error: Exception) -> Any:
    def act(_: grpc.ServicerContext) -> NoReturn:
        personal = SECRET  # a local that must not be logged
        raise error from ValueError(personal)

    return act


def _fail(harness: Any, method: str = "One", word: str = "fail") -> grpc.RpcError:
    request = harness.request(word)
    argument = request if method in ("One", "Many") else iter([request])
    with pytest.raises(grpc.RpcError) as caught:
        list(getattr(harness.stub(), method)(argument, timeout=10))
    return caught.value


@pytest.mark.parametrize("method", METHODS)
def test_an_unexpected_exception_is_answered_in_general_words(harness: Any, method: str) -> None:
    harness.probe.actions["fail"] = _raising(KeyError(SECRET))
    error = _fail(harness, method)
    assert error.code() is grpc.StatusCode.INTERNAL
    assert reason_of(error) is Reason.INTERNAL
    assert "Yamada" not in repr(error)
    assert "KeyError" not in repr(error)
    assert harness.requests_counted(method, "INTERNAL", "INTERNAL") == 1


def test_the_log_names_type_and_place_of_a_fault_and_its_request_id_but_no_contents(
    harness: Any,
) -> None:
    harness.probe.actions["fail"] = _raising(KeyError(SECRET))
    error = _fail(harness)
    text = harness.log.getvalue()
    lines = [json.loads(line) for line in text.splitlines()]
    (line,) = [line for line in lines if line["event"] == "call failed"]
    assert line["exception"] == "builtins.KeyError from builtins.ValueError"
    assert any(frame.endswith(" act") for frame in line["frames"])
    assert line["request_id"] == details_of(error).metadata["request_id"]
    assert line["method"] == "One"
    assert "Yamada" not in text
    assert "24727059608" not in text


def test_a_refusal_carries_its_reason_sentence_and_metadata(harness: Any) -> None:
    refusal = JukiError(Reason.SEQUENCE_GAP, "a gap", {"expected_sequence": "42"})
    harness.probe.actions["fail"] = _raising(refusal)
    received = details_of(_fail(harness))
    assert received.code is grpc.StatusCode.FAILED_PRECONDITION
    assert received.reason is Reason.SEQUENCE_GAP
    assert received.message == "a gap"
    assert received.metadata == {"expected_sequence": "42"}
    assert harness.log.getvalue() == ""


def test_an_impossible_domain_value_is_an_invalid_field(harness: Any) -> None:
    harness.probe.actions["fail"] = _raising(InvalidValue("wrong check digit"))
    assert reason_of(_fail(harness)) is Reason.INVALID_FIELD


def test_overload_says_when_to_come_back(harness: Any) -> None:
    overload = JukiError(Reason.OVERLOADED, "busy", {"retry_after_seconds": "2.5"})
    harness.probe.actions["fail"] = _raising(overload)
    assert details_of(_fail(harness)).retry_after_seconds == 2.5


def test_a_fault_of_ours_hides_its_own_sentence(harness: Any) -> None:
    fault = JukiError(Reason.TAMPERING_DETECTED, "row 17 of table residents", {"row": "17"})
    harness.probe.actions["fail"] = _raising(fault)
    received = details_of(_fail(harness))
    assert received.code is grpc.StatusCode.DATA_LOSS
    assert "17" not in received.message
    assert set(received.metadata) == {"request_id"}
    assert "TAMPERING_DETECTED" in harness.log.getvalue()


def test_a_status_set_by_a_handler_itself_stays_and_is_counted(harness: Any) -> None:
    def abort(context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.NOT_FOUND, "none")

    harness.probe.actions["fail"] = abort
    assert _fail(harness).code() is grpc.StatusCode.NOT_FOUND
    assert harness.requests_counted("One", "NOT_FOUND", "") == 1


def test_a_bare_exception_after_a_code_was_set_does_not_leak(harness: Any) -> None:
    def set_and_raise(context: grpc.ServicerContext) -> None:
        context.set_code(grpc.StatusCode.NOT_FOUND)
        raise Exception(SECRET)

    harness.probe.actions["fail"] = set_and_raise
    error = _fail(harness)
    assert reason_of(error) is Reason.INTERNAL
    assert "Yamada" not in repr(error)


def test_a_response_of_the_wrong_type_is_a_fault_of_ours(harness: Any) -> None:
    harness.probe._do = lambda request, context: SECRET
    error = _fail(harness)
    assert reason_of(error) is Reason.INTERNAL
    assert "Yamada" not in repr(error)
    assert "Yamada" not in harness.log.getvalue()


def test_a_peer_that_is_down_is_told_as_upstream_unavailable(harness: Any) -> None:
    def call_nobody(_: grpc.ServicerContext) -> None:
        with grpc.insecure_channel("127.0.0.1:1") as channel:
            channel.unary_unary("/x/y", None, None)(b"", timeout=5)

    harness.probe.actions["fail"] = call_nobody
    error = _fail(harness)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert reason_of(error) is Reason.UPSTREAM_UNAVAILABLE


def test_a_request_id_is_handed_on_only_if_well_formed(harness: Any) -> None:
    given = "0123456789abcdef0123456789abcdef"
    stub = harness.stub()
    response = stub.One(harness.request("id"), metadata=[("juki-request-id", given)])
    assert response.word == given
    response = stub.One(harness.request("id"), metadata=[("juki-request-id", "Yamada")])
    assert len(response.word) == 32


def test_a_client_that_leaves_a_stream_is_counted_as_cancelled(harness: Any) -> None:
    waiting = threading.Event()
    left = threading.Event()

    def wait_until_left(context: grpc.ServicerContext) -> None:
        waiting.set()
        if not context.add_callback(left.set):
            left.set()
        left.wait(10)

    harness.probe.actions["wait"] = wait_until_left
    responses = harness.stub().Many(harness.request("wait"))
    next(responses)
    assert waiting.wait(10)
    responses.cancel()
    assert left.wait(10)
    harness.finish()
    assert harness.requests_counted("Many", "CANCELLED", "") == 1


def test_a_client_that_leaves_while_its_requests_are_read_is_no_fault(harness: Any) -> None:
    first_read = threading.Event()
    end = threading.Event()
    harness.probe.actions["first"] = lambda _: first_read.set()

    def requests() -> Any:
        yield harness.request("first")
        end.wait(10)

    call = harness.stub().Gather.future(requests())
    assert first_read.wait(10)
    call.cancel()
    harness.finish()
    end.set()
    assert harness.requests_counted("Gather", "CANCELLED", "") == 1
    assert harness.log.getvalue() == ""
