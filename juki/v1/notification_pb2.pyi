import datetime

from juki._vendor.buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from juki.v1 import identification_pb2 as _identification_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DisputeReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DISPUTE_REASON_UNSPECIFIED: _ClassVar[DisputeReason]
    DISPUTE_REASON_SECOND_ENTRY: _ClassVar[DisputeReason]
    DISPUTE_REASON_NO_ENTRY: _ClassVar[DisputeReason]
    DISPUTE_REASON_AFTER_DELETION: _ClassVar[DisputeReason]
    DISPUTE_REASON_CODE_NOT_ALLOTTED: _ClassVar[DisputeReason]
    DISPUTE_REASON_CODE_TAKEN: _ClassVar[DisputeReason]
    DISPUTE_REASON_NUMBER_TAKEN: _ClassVar[DisputeReason]
    DISPUTE_REASON_NUMBER_NOT_GENERATED: _ClassVar[DisputeReason]
    DISPUTE_REASON_TWO_CLAIMS: _ClassVar[DisputeReason]
    DISPUTE_REASON_IMPOSSIBLE_VALUE: _ClassVar[DisputeReason]
    DISPUTE_REASON_CLAIM_AFTER_DEATH: _ClassVar[DisputeReason]
DISPUTE_REASON_UNSPECIFIED: DisputeReason
DISPUTE_REASON_SECOND_ENTRY: DisputeReason
DISPUTE_REASON_NO_ENTRY: DisputeReason
DISPUTE_REASON_AFTER_DELETION: DisputeReason
DISPUTE_REASON_CODE_NOT_ALLOTTED: DisputeReason
DISPUTE_REASON_CODE_TAKEN: DisputeReason
DISPUTE_REASON_NUMBER_TAKEN: DisputeReason
DISPUTE_REASON_NUMBER_NOT_GENERATED: DisputeReason
DISPUTE_REASON_TWO_CLAIMS: DisputeReason
DISPUTE_REASON_IMPOSSIBLE_VALUE: DisputeReason
DISPUTE_REASON_CLAIM_AFTER_DEATH: DisputeReason

class RecordChange(_message.Message):
    __slots__ = ("information", "person_predecessor_digest", "moved_from", "moved_to")
    INFORMATION_FIELD_NUMBER: _ClassVar[int]
    PERSON_PREDECESSOR_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MOVED_FROM_FIELD_NUMBER: _ClassVar[int]
    MOVED_TO_FIELD_NUMBER: _ClassVar[int]
    information: _identification_pb2.IdentificationInformation
    person_predecessor_digest: bytes
    moved_from: str
    moved_to: str
    def __init__(self, information: _Optional[_Union[_identification_pb2.IdentificationInformation, _Mapping]] = ..., person_predecessor_digest: _Optional[bytes] = ..., moved_from: _Optional[str] = ..., moved_to: _Optional[str] = ...) -> None: ...

class EpochStart(_message.Message):
    __slots__ = ("previous_epoch", "last_known_sequence", "last_known_digest", "reason", "declared_by")
    PREVIOUS_EPOCH_FIELD_NUMBER: _ClassVar[int]
    LAST_KNOWN_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LAST_KNOWN_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DECLARED_BY_FIELD_NUMBER: _ClassVar[int]
    previous_epoch: int
    last_known_sequence: int
    last_known_digest: bytes
    reason: str
    declared_by: str
    def __init__(self, previous_epoch: _Optional[int] = ..., last_known_sequence: _Optional[int] = ..., last_known_digest: _Optional[bytes] = ..., reason: _Optional[str] = ..., declared_by: _Optional[str] = ...) -> None: ...

class Notification(_message.Message):
    __slots__ = ("municipality", "epoch", "sequence", "predecessor_digest", "issued_at", "record_change", "epoch_start")
    MUNICIPALITY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PREDECESSOR_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ISSUED_AT_FIELD_NUMBER: _ClassVar[int]
    RECORD_CHANGE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_START_FIELD_NUMBER: _ClassVar[int]
    municipality: str
    epoch: int
    sequence: int
    predecessor_digest: bytes
    issued_at: _timestamp_pb2.Timestamp
    record_change: RecordChange
    epoch_start: EpochStart
    def __init__(self, municipality: _Optional[str] = ..., epoch: _Optional[int] = ..., sequence: _Optional[int] = ..., predecessor_digest: _Optional[bytes] = ..., issued_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., record_change: _Optional[_Union[RecordChange, _Mapping]] = ..., epoch_start: _Optional[_Union[EpochStart, _Mapping]] = ...) -> None: ...

class SignedNotification(_message.Message):
    __slots__ = ("notification", "key_id", "signature")
    NOTIFICATION_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    notification: bytes
    key_id: bytes
    signature: bytes
    def __init__(self, notification: _Optional[bytes] = ..., key_id: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class DisputedNotification(_message.Message):
    __slots__ = ("sequence", "reason")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    reason: DisputeReason
    def __init__(self, sequence: _Optional[int] = ..., reason: _Optional[_Union[DisputeReason, str]] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("issuer", "municipality", "epoch", "first_sequence", "last_sequence", "last_digest", "received_at", "disputed")
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    MUNICIPALITY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LAST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    DISPUTED_FIELD_NUMBER: _ClassVar[int]
    issuer: str
    municipality: str
    epoch: int
    first_sequence: int
    last_sequence: int
    last_digest: bytes
    received_at: _timestamp_pb2.Timestamp
    disputed: _containers.RepeatedCompositeFieldContainer[DisputedNotification]
    def __init__(self, issuer: _Optional[str] = ..., municipality: _Optional[str] = ..., epoch: _Optional[int] = ..., first_sequence: _Optional[int] = ..., last_sequence: _Optional[int] = ..., last_digest: _Optional[bytes] = ..., received_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., disputed: _Optional[_Iterable[_Union[DisputedNotification, _Mapping]]] = ...) -> None: ...

class SignedReceipt(_message.Message):
    __slots__ = ("receipt", "key_id", "signature")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    receipt: bytes
    key_id: bytes
    signature: bytes
    def __init__(self, receipt: _Optional[bytes] = ..., key_id: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class DisputeReport(_message.Message):
    __slots__ = ("dispute_id", "reason", "municipalities", "notifications", "found_at", "resolved_at")
    DISPUTE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MUNICIPALITIES_FIELD_NUMBER: _ClassVar[int]
    NOTIFICATIONS_FIELD_NUMBER: _ClassVar[int]
    FOUND_AT_FIELD_NUMBER: _ClassVar[int]
    RESOLVED_AT_FIELD_NUMBER: _ClassVar[int]
    dispute_id: str
    reason: DisputeReason
    municipalities: _containers.RepeatedScalarFieldContainer[str]
    notifications: _containers.RepeatedCompositeFieldContainer[NotificationReference]
    found_at: _timestamp_pb2.Timestamp
    resolved_at: _timestamp_pb2.Timestamp
    def __init__(self, dispute_id: _Optional[str] = ..., reason: _Optional[_Union[DisputeReason, str]] = ..., municipalities: _Optional[_Iterable[str]] = ..., notifications: _Optional[_Iterable[_Union[NotificationReference, _Mapping]]] = ..., found_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., resolved_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class NotificationReference(_message.Message):
    __slots__ = ("municipality", "epoch", "sequence")
    MUNICIPALITY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    municipality: str
    epoch: int
    sequence: int
    def __init__(self, municipality: _Optional[str] = ..., epoch: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...
