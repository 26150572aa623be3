from juki._vendor.buf.validate import validate_pb2 as _validate_pb2
from juki.v1 import errors_pb2 as _errors_pb2
from juki.v1 import notification_pb2 as _notification_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubmitNotificationsRequest(_message.Message):
    __slots__ = ("notifications", "certificates")
    NOTIFICATIONS_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    notifications: _containers.RepeatedCompositeFieldContainer[_notification_pb2.SignedNotification]
    certificates: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, notifications: _Optional[_Iterable[_Union[_notification_pb2.SignedNotification, _Mapping]]] = ..., certificates: _Optional[_Iterable[bytes]] = ...) -> None: ...

class SubmitNotificationsResponse(_message.Message):
    __slots__ = ("receipts", "certificates", "refusal")
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    receipts: _containers.RepeatedCompositeFieldContainer[_notification_pb2.SignedReceipt]
    certificates: _containers.RepeatedScalarFieldContainer[bytes]
    refusal: Refusal
    def __init__(self, receipts: _Optional[_Iterable[_Union[_notification_pb2.SignedReceipt, _Mapping]]] = ..., certificates: _Optional[_Iterable[bytes]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("index", "reason", "expected_epoch", "expected_sequence")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_EPOCH_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    index: int
    reason: _errors_pb2.ErrorReason
    expected_epoch: int
    expected_sequence: int
    def __init__(self, index: _Optional[int] = ..., reason: _Optional[_Union[_errors_pb2.ErrorReason, str]] = ..., expected_epoch: _Optional[int] = ..., expected_sequence: _Optional[int] = ...) -> None: ...

class GetStreamHeadRequest(_message.Message):
    __slots__ = ("municipality",)
    MUNICIPALITY_FIELD_NUMBER: _ClassVar[int]
    municipality: str
    def __init__(self, municipality: _Optional[str] = ...) -> None: ...

class GetStreamHeadResponse(_message.Message):
    __slots__ = ("epoch", "sequence", "digest")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    sequence: int
    digest: bytes
    def __init__(self, epoch: _Optional[int] = ..., sequence: _Optional[int] = ..., digest: _Optional[bytes] = ...) -> None: ...

class FetchNotificationsRequest(_message.Message):
    __slots__ = ("municipality", "epoch", "first_sequence", "limit")
    MUNICIPALITY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    municipality: str
    epoch: int
    first_sequence: int
    limit: int
    def __init__(self, municipality: _Optional[str] = ..., epoch: _Optional[int] = ..., first_sequence: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class FetchNotificationsResponse(_message.Message):
    __slots__ = ("notifications",)
    NOTIFICATIONS_FIELD_NUMBER: _ClassVar[int]
    notifications: _containers.RepeatedCompositeFieldContainer[_notification_pb2.SignedNotification]
    def __init__(self, notifications: _Optional[_Iterable[_Union[_notification_pb2.SignedNotification, _Mapping]]] = ...) -> None: ...

class FollowReturnsRequest(_message.Message):
    __slots__ = ("after_cursor",)
    AFTER_CURSOR_FIELD_NUMBER: _ClassVar[int]
    after_cursor: int
    def __init__(self, after_cursor: _Optional[int] = ...) -> None: ...

class FollowReturnsResponse(_message.Message):
    __slots__ = ("cursor", "national_receipt", "dispute", "certificates")
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    NATIONAL_RECEIPT_FIELD_NUMBER: _ClassVar[int]
    DISPUTE_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    cursor: int
    national_receipt: _notification_pb2.SignedReceipt
    dispute: _notification_pb2.DisputeReport
    certificates: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, cursor: _Optional[int] = ..., national_receipt: _Optional[_Union[_notification_pb2.SignedReceipt, _Mapping]] = ..., dispute: _Optional[_Union[_notification_pb2.DisputeReport, _Mapping]] = ..., certificates: _Optional[_Iterable[bytes]] = ...) -> None: ...
