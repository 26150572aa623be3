import datetime

from juki._vendor.buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from juki.v1 import errors_pb2 as _errors_pb2
from juki.v1 import identification_pb2 as _identification_pb2
from juki.v1 import notification_pb2 as _notification_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RegisterEvent(_message.Message):
    __slots__ = ("event_id", "record_id", "reason", "event_date", "four_items", "resident_record_code", "individual_number", "moved_from", "moved_to")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVENT_DATE_FIELD_NUMBER: _ClassVar[int]
    FOUR_ITEMS_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_RECORD_CODE_FIELD_NUMBER: _ClassVar[int]
    INDIVIDUAL_NUMBER_FIELD_NUMBER: _ClassVar[int]
    MOVED_FROM_FIELD_NUMBER: _ClassVar[int]
    MOVED_TO_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    record_id: str
    reason: _identification_pb2.ChangeReason
    event_date: _identification_pb2.CalendarDate
    four_items: _identification_pb2.FourItems
    resident_record_code: str
    individual_number: str
    moved_from: str
    moved_to: str
    def __init__(self, event_id: _Optional[str] = ..., record_id: _Optional[str] = ..., reason: _Optional[_Union[_identification_pb2.ChangeReason, str]] = ..., event_date: _Optional[_Union[_identification_pb2.CalendarDate, _Mapping]] = ..., four_items: _Optional[_Union[_identification_pb2.FourItems, _Mapping]] = ..., resident_record_code: _Optional[str] = ..., individual_number: _Optional[str] = ..., moved_from: _Optional[str] = ..., moved_to: _Optional[str] = ...) -> None: ...

class RecordEventsRequest(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[RegisterEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[RegisterEvent, _Mapping]]] = ...) -> None: ...

class RecordEventsResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[EventOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[EventOutcome, _Mapping]]] = ...) -> None: ...

class EventOutcome(_message.Message):
    __slots__ = ("event_id", "notification", "resident_record_code", "individual_number", "refusal")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    NOTIFICATION_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_RECORD_CODE_FIELD_NUMBER: _ClassVar[int]
    INDIVIDUAL_NUMBER_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    notification: _notification_pb2.NotificationReference
    resident_record_code: str
    individual_number: str
    refusal: _errors_pb2.ErrorReason
    def __init__(self, event_id: _Optional[str] = ..., notification: _Optional[_Union[_notification_pb2.NotificationReference, _Mapping]] = ..., resident_record_code: _Optional[str] = ..., individual_number: _Optional[str] = ..., refusal: _Optional[_Union[_errors_pb2.ErrorReason, str]] = ...) -> None: ...

class GetEventRequest(_message.Message):
    __slots__ = ("event_id",)
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    def __init__(self, event_id: _Optional[str] = ...) -> None: ...

class GetEventResponse(_message.Message):
    __slots__ = ("outcome", "known_to_prefecture", "known_nationally")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    KNOWN_TO_PREFECTURE_FIELD_NUMBER: _ClassVar[int]
    KNOWN_NATIONALLY_FIELD_NUMBER: _ClassVar[int]
    outcome: EventOutcome
    known_to_prefecture: bool
    known_nationally: bool
    def __init__(self, outcome: _Optional[_Union[EventOutcome, _Mapping]] = ..., known_to_prefecture: _Optional[bool] = ..., known_nationally: _Optional[bool] = ...) -> None: ...

class FollowProgressRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FollowProgressResponse(_message.Message):
    __slots__ = ("epoch", "issued_through", "prefecture_through", "nation_through", "nation_receipt_at", "numbers_pending", "codes_available")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ISSUED_THROUGH_FIELD_NUMBER: _ClassVar[int]
    PREFECTURE_THROUGH_FIELD_NUMBER: _ClassVar[int]
    NATION_THROUGH_FIELD_NUMBER: _ClassVar[int]
    NATION_RECEIPT_AT_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_PENDING_FIELD_NUMBER: _ClassVar[int]
    CODES_AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    issued_through: int
    prefecture_through: int
    nation_through: int
    nation_receipt_at: _timestamp_pb2.Timestamp
    numbers_pending: int
    codes_available: int
    def __init__(self, epoch: _Optional[int] = ..., issued_through: _Optional[int] = ..., prefecture_through: _Optional[int] = ..., nation_through: _Optional[int] = ..., nation_receipt_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., numbers_pending: _Optional[int] = ..., codes_available: _Optional[int] = ...) -> None: ...

class ListDisputesRequest(_message.Message):
    __slots__ = ("include_resolved", "page_size", "page_token")
    INCLUDE_RESOLVED_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    include_resolved: bool
    page_size: int
    page_token: str
    def __init__(self, include_resolved: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDisputesResponse(_message.Message):
    __slots__ = ("disputes", "next_page_token")
    DISPUTES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    disputes: _containers.RepeatedCompositeFieldContainer[_notification_pb2.DisputeReport]
    next_page_token: str
    def __init__(self, disputes: _Optional[_Iterable[_Union[_notification_pb2.DisputeReport, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
