from juki.v1 import lookup_pb2 as _lookup_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AuditSearchKey(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUDIT_SEARCH_KEY_UNSPECIFIED: _ClassVar[AuditSearchKey]
    AUDIT_SEARCH_KEY_INDIVIDUAL_NUMBER: _ClassVar[AuditSearchKey]
    AUDIT_SEARCH_KEY_RESIDENT_RECORD_CODE: _ClassVar[AuditSearchKey]
    AUDIT_SEARCH_KEY_FOUR_ITEMS: _ClassVar[AuditSearchKey]
AUDIT_SEARCH_KEY_UNSPECIFIED: AuditSearchKey
AUDIT_SEARCH_KEY_INDIVIDUAL_NUMBER: AuditSearchKey
AUDIT_SEARCH_KEY_RESIDENT_RECORD_CODE: AuditSearchKey
AUDIT_SEARCH_KEY_FOUR_ITEMS: AuditSearchKey

class AuditRecord(_message.Message):
    __slots__ = ("time_unix_nanos", "body_identity", "office", "operator", "affair_table", "affair_item", "article", "request_id", "search_key", "requested_fields", "granted_fields", "refusal_reason", "pseudonyms", "outcomes")
    TIME_UNIX_NANOS_FIELD_NUMBER: _ClassVar[int]
    BODY_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    OFFICE_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    AFFAIR_TABLE_FIELD_NUMBER: _ClassVar[int]
    AFFAIR_ITEM_FIELD_NUMBER: _ClassVar[int]
    ARTICLE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SEARCH_KEY_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_FIELDS_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELDS_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_REASON_FIELD_NUMBER: _ClassVar[int]
    PSEUDONYMS_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    time_unix_nanos: int
    body_identity: str
    office: str
    operator: str
    affair_table: int
    affair_item: str
    article: str
    request_id: str
    search_key: AuditSearchKey
    requested_fields: _containers.RepeatedScalarFieldContainer[_lookup_pb2.Field]
    granted_fields: _containers.RepeatedScalarFieldContainer[_lookup_pb2.Field]
    refusal_reason: str
    pseudonyms: bytes
    outcomes: bytes
    def __init__(self, time_unix_nanos: _Optional[int] = ..., body_identity: _Optional[str] = ..., office: _Optional[str] = ..., operator: _Optional[str] = ..., affair_table: _Optional[int] = ..., affair_item: _Optional[str] = ..., article: _Optional[str] = ..., request_id: _Optional[str] = ..., search_key: _Optional[_Union[AuditSearchKey, str]] = ..., requested_fields: _Optional[_Iterable[_Union[_lookup_pb2.Field, str]]] = ..., granted_fields: _Optional[_Iterable[_Union[_lookup_pb2.Field, str]]] = ..., refusal_reason: _Optional[str] = ..., pseudonyms: _Optional[bytes] = ..., outcomes: _Optional[bytes] = ...) -> None: ...
