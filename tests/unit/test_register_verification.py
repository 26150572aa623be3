"""An envelope's content is checked by hand; the checks agree with the contract's rules.

What stands inside a record change is not among them: impossible content takes its sequence and is
held as disputed.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from protovalidate import Validator

from juki.domain.errors import JukiError
from juki.register.verification import parse_notification
from juki.v1 import notification_pb2

VALIDATOR = Validator()
REGISTERS = ("221309", "221007")

counters = st.sampled_from([0, 1, 2, 2**31 - 1, 2**31, 2**32 - 1])
sequences = st.sampled_from([0, 1, 2, 2**63 - 1, 2**63, 2**64 - 1])
digests = st.sampled_from([b"", bytes(31), bytes(32), bytes(33)])
words = st.sampled_from(["", "x", "x" * 200, "字" * 200, "x" * 201, "字" * 100])


@st.composite
def notifications(draw: st.DrawFn) -> notification_pb2.Notification:
    notification = notification_pb2.Notification(
        municipality=draw(st.sampled_from(REGISTERS)),
        epoch=draw(counters),
        sequence=draw(sequences),
        predecessor_digest=draw(st.one_of(st.just(bytes(32)), digests)),
    )
    if draw(st.integers(0, 5)):
        notification.issued_at.seconds = 1
    match draw(st.sampled_from(["record change", "epoch start", "nothing"])):
        case "record change":
            notification.record_change.moved_to = "anything"
        case "epoch start":
            start = notification.epoch_start
            start.previous_epoch = draw(
                st.one_of(st.just(max(notification.epoch - 1, 0)), counters)
            )
            start.last_known_sequence = draw(sequences)
            start.last_known_digest = draw(digests)
            start.reason, start.declared_by = draw(words), draw(words)
    return notification


def breaks_the_contract(notification: notification_pb2.Notification) -> bool:
    """Whether protovalidate refuses anything outside of a record change."""
    paths = [
        [element.field_name for element in violation.proto.field.elements]
        for violation in VALIDATOR.collect_violations(notification)
    ]
    return any(path[:1] != ["record_change"] for path in paths)


@given(notifications())
def test_the_hand_checks_refuse_exactly_what_the_contract_refuses(
    notification: notification_pb2.Notification,
) -> None:
    starts = notification.HasField("epoch_start")
    follows = notification.epoch_start.previous_epoch == notification.epoch - 1
    refused = breaks_the_contract(notification) or (starts and not follows)
    try:
        parse_notification(notification.SerializeToString())
    except JukiError:
        assert refused
    else:
        assert not refused
