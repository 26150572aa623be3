"""Well-formed requests with values at the edges of their types: a reason, never a fault of ours.

Bytes that are no message are in `test_bad_input`; these parse, and one field of an otherwise right
request is as large, as small or as odd as its type allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from juki.domain.errors import Reason
from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan
from juki.rpc.errors import details_of
from juki.v1 import (
    codes_pb2,
    identification_pb2,
    intake_pb2,
    lookup_pb2,
    notification_pb2,
    register_pb2,
)
from tests.integration.test_bad_input import Target, targets
from tests.postgres_fixture import make_database, postgres_server

__all__ = ["postgres_server"]

MUNICIPALITY = "221309"
_INTEGERS = (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
_TEXTS = ("", "\0", "\0" * 16, "0" * 6, "0" * 11, "0" * 12, "x" * 20, "\n" * 8, "9" * 64, "字" * 65)
_BYTES = (b"", b"\0", bytes(32), bytes(64), b"\xff" * 40)
_ENDLESS = frozenset({"FollowReturns", "FollowProgress"})
_ENDLESS_SECONDS = 0.3
"""An endless stream that was not refused in this time is open, which is a right answer."""

_RANGES = {
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (0, 2**31 - 1),
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def network(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalNetwork]:
    databases: dict[str, str] = {}
    if request.param == "postgresql":
        server: str = request.getfixturevalue("postgres_server")
        hosts = ("national", "pref22", f"cs-{MUNICIPALITY}")
        databases = {host: make_database(server) for host in hosts}
    plan = NetworkPlan(
        tmp_path_factory.mktemp("network"), {"22": (MUNICIPALITY,)}, databases=databases
    )
    with LocalNetwork(plan) as network:
        network.provision()
        network.start()
        yield network


def right_request(target: Target) -> Message:
    """A request of the method that breaks no rule."""
    context = lookup_pb2.LookupContext(
        affair=lookup_pb2.AffairReference(table=1, item="77"),
        request_id="request-1",
        office="office",
        operator="operator",
        fields=[lookup_pb2.FIELD_NAME],
    )
    batch = lookup_pb2.BatchLookupRequest(
        context=context,
        individual_numbers=lookup_pb2.IndividualNumberKeys(values=[123456789018]),
    )
    birth = register_pb2.RegisterEvent(
        event_id="e-1",
        record_id="r-1",
        reason=identification_pb2.CHANGE_REASON_BIRTH,
        event_date=identification_pb2.CalendarDate(year=2026, month=4, day=1),
        four_items=identification_pb2.FourItems(
            name=identification_pb2.PersonName(written="山田　太郎"),
            birth_date=identification_pb2.BirthDate(year=2026, month=4, day=1),
            sex=identification_pb2.SEX_MALE,
            address=identification_pb2.Address(municipality=MUNICIPALITY, town="元城町"),
        ),
    )
    messages: dict[str, Message] = {
        "SubmitNotifications": intake_pb2.SubmitNotificationsRequest(
            notifications=[
                notification_pb2.SignedNotification(
                    notification=b"\x0a", key_id=bytes(32), signature=bytes(64)
                )
            ]
        ),
        "GetStreamHead": intake_pb2.GetStreamHeadRequest(municipality=MUNICIPALITY),
        "FetchNotifications": intake_pb2.FetchNotificationsRequest(
            municipality=MUNICIPALITY, epoch=1, first_sequence=1, limit=10
        ),
        "FollowReturns": intake_pb2.FollowReturnsRequest(),
        "AllotCodes": codes_pb2.AllotCodesRequest(
            municipality=MUNICIPALITY, request_id="0" * 16, count=1
        ),
        "GenerateIndividualNumbers": codes_pb2.GenerateIndividualNumbersRequest(
            municipality=MUNICIPALITY, resident_record_codes=[24727059608]
        ),
        "RemakeIndividualNumber": codes_pb2.RemakeIndividualNumberRequest(
            municipality=MUNICIPALITY,
            request_id="0" * 16,
            resident_record_code=24727059608,
            former_individual_number=123456789018,
        ),
        "RecordEvents": register_pb2.RecordEventsRequest(events=[birth]),
        "GetEvent": register_pb2.GetEventRequest(event_id="e-1"),
        "ListDisputes": register_pb2.ListDisputesRequest(),
        "Lookup": lookup_pb2.LookupRequest(context=context, four_items=birth.four_items),
        "BatchLookup": batch,
        "StreamLookup": lookup_pb2.StreamLookupRequest(batch=batch),
        "ExchangeLookup": lookup_pb2.ExchangeLookupRequest(batch=batch),
    }
    found = messages.get(target.method.name)
    return lookup_pb2.LookupRequest() if found is None else found


def extremes_of(field: FieldDescriptor) -> tuple[Any, ...]:
    if field.cpp_type in _RANGES:
        least, most = _RANGES[field.cpp_type]
        return tuple(value for value in (least, *_INTEGERS) if least <= value <= most)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return _BYTES if field.type == FieldDescriptor.TYPE_BYTES else _TEXTS
    return ()


def leaves_of(message: Message) -> Iterator[tuple[Message, Any]]:
    """Every field, set or not, that is no message, of the message and of those set in it."""
    for field in message.DESCRIPTOR.fields:
        if field.message_type is None:
            yield message, field
        elif field.is_repeated:
            for one in getattr(message, field.name):
                yield from leaves_of(one)
        elif message.HasField(field.name):
            yield from leaves_of(getattr(message, field.name))


def changed(request: Message) -> Iterator[Message]:
    """Every copy of the request with one field at an extreme of its type."""
    for position, (_, field) in enumerate(leaves_of(request)):
        for value in extremes_of(field):
            copy = type(request)()
            copy.CopyFrom(request)
            parent, _ = list(leaves_of(copy))[position]
            if field.is_repeated:
                del getattr(parent, field.name)[:]
                getattr(parent, field.name).append(value)
            else:
                setattr(parent, field.name, value)
            yield copy


def reason_for(channel: grpc.Channel, target: Target, data: bytes) -> Reason | None:
    """Why the request is refused; None when it is answered."""
    endless = target.method.name in _ENDLESS
    timeout = _ENDLESS_SECONDS if endless else 20
    try:
        if target.method.client_streaming:
            list(channel.stream_stream(target.path, None, None)(iter([data]), timeout=timeout))
        elif target.method.server_streaming:
            list(channel.unary_stream(target.path, None, None)(data, timeout=timeout))
        else:
            channel.unary_unary(target.path, None, None)(data, timeout=timeout)
    except grpc.RpcError as error:
        refusal = details_of(error)
        if endless and refusal.code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return None
        assert refusal.reason is not None, refusal.code
        return refusal.reason
    return None


@pytest.mark.parametrize(
    "target", [one for one in targets() if "Health" not in str(one.path)], ids=str
)
def test_a_value_at_the_edge_of_its_type_is_answered_or_refused_with_a_reason(
    network: LocalNetwork, target: Target
) -> None:
    faults = []
    request = right_request(target)
    with network.channel(target.caller, target.server) as channel:
        for message in changed(request):
            reason = reason_for(channel, target, message.SerializeToString())
            if reason is Reason.INTERNAL:
                faults.append(str(message).splitlines())
    assert faults == []
