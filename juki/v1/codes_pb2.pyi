from juki._vendor.buf.validate import validate_pb2 as _validate_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class AllotCodesRequest(_message.Message):
    __slots__ = ("municipality", "request_id", "count")
    MUNICIPALITY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    municipality: str
    request_id: str
    count: int
    def __init__(self, municipality: _Optional[str] = ..., request_id: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class AllotCodesResponse(_message.Message):
    __slots__ = ("resident_record_codes",)
    RESIDENT_RECORD_CODES_FIELD_NUMBER: _ClassVar[int]
    resident_record_codes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, resident_record_codes: _Optional[_Iterable[int]] = ...) -> None: ...

class GenerateIndividualNumbersRequest(_message.Message):
    __slots__ = ("municipality", "resident_record_codes")
    MUNICIPALITY_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_RECORD_CODES_FIELD_NUMBER: _ClassVar[int]
    municipality: str
    resident_record_codes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, municipality: _Optional[str] = ..., resident_record_codes: _Optional[_Iterable[int]] = ...) -> None: ...

class GenerateIndividualNumbersResponse(_message.Message):
    __slots__ = ("individual_numbers",)
    INDIVIDUAL_NUMBERS_FIELD_NUMBER: _ClassVar[int]
    individual_numbers: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, individual_numbers: _Optional[_Iterable[int]] = ...) -> None: ...
