from juki._vendor.buf.validate import validate_pb2 as _validate_pb2
from juki.v1 import identification_pb2 as _identification_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Field(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FIELD_UNSPECIFIED: _ClassVar[Field]
    FIELD_NAME: _ClassVar[Field]
    FIELD_BIRTH_DATE: _ClassVar[Field]
    FIELD_SEX: _ClassVar[Field]
    FIELD_ADDRESS: _ClassVar[Field]
    FIELD_RESIDENT_RECORD_CODE: _ClassVar[Field]
    FIELD_INDIVIDUAL_NUMBER: _ClassVar[Field]
    FIELD_CHANGE: _ClassVar[Field]

class LookupOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOOKUP_OUTCOME_UNSPECIFIED: _ClassVar[LookupOutcome]
    LOOKUP_OUTCOME_FOUND: _ClassVar[LookupOutcome]
    LOOKUP_OUTCOME_NOT_FOUND: _ClassVar[LookupOutcome]
    LOOKUP_OUTCOME_DISPUTED: _ClassVar[LookupOutcome]
    LOOKUP_OUTCOME_AMBIGUOUS: _ClassVar[LookupOutcome]
FIELD_UNSPECIFIED: Field
FIELD_NAME: Field
FIELD_BIRTH_DATE: Field
FIELD_SEX: Field
FIELD_ADDRESS: Field
FIELD_RESIDENT_RECORD_CODE: Field
FIELD_INDIVIDUAL_NUMBER: Field
FIELD_CHANGE: Field
LOOKUP_OUTCOME_UNSPECIFIED: LookupOutcome
LOOKUP_OUTCOME_FOUND: LookupOutcome
LOOKUP_OUTCOME_NOT_FOUND: LookupOutcome
LOOKUP_OUTCOME_DISPUTED: LookupOutcome
LOOKUP_OUTCOME_AMBIGUOUS: LookupOutcome

class AffairReference(_message.Message):
    __slots__ = ("table", "item")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    table: int
    item: str
    def __init__(self, table: _Optional[int] = ..., item: _Optional[str] = ...) -> None: ...

class LookupContext(_message.Message):
    __slots__ = ("affair", "request_id", "office", "operator", "fields")
    AFFAIR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OFFICE_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    affair: AffairReference
    request_id: str
    office: str
    operator: str
    fields: _containers.RepeatedScalarFieldContainer[Field]
    def __init__(self, affair: _Optional[_Union[AffairReference, _Mapping]] = ..., request_id: _Optional[str] = ..., office: _Optional[str] = ..., operator: _Optional[str] = ..., fields: _Optional[_Iterable[_Union[Field, str]]] = ...) -> None: ...

class LookupResult(_message.Message):
    __slots__ = ("outcome", "information")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    INFORMATION_FIELD_NUMBER: _ClassVar[int]
    outcome: LookupOutcome
    information: _identification_pb2.IdentificationInformation
    def __init__(self, outcome: _Optional[_Union[LookupOutcome, str]] = ..., information: _Optional[_Union[_identification_pb2.IdentificationInformation, _Mapping]] = ...) -> None: ...

class WithheldField(_message.Message):
    __slots__ = ("field", "article")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    ARTICLE_FIELD_NUMBER: _ClassVar[int]
    field: Field
    article: str
    def __init__(self, field: _Optional[_Union[Field, str]] = ..., article: _Optional[str] = ...) -> None: ...

class LookupRequest(_message.Message):
    __slots__ = ("context", "individual_number", "resident_record_code", "four_items")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    INDIVIDUAL_NUMBER_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_RECORD_CODE_FIELD_NUMBER: _ClassVar[int]
    FOUR_ITEMS_FIELD_NUMBER: _ClassVar[int]
    context: LookupContext
    individual_number: str
    resident_record_code: str
    four_items: _identification_pb2.FourItems
    def __init__(self, context: _Optional[_Union[LookupContext, _Mapping]] = ..., individual_number: _Optional[str] = ..., resident_record_code: _Optional[str] = ..., four_items: _Optional[_Union[_identification_pb2.FourItems, _Mapping]] = ...) -> None: ...

class LookupResponse(_message.Message):
    __slots__ = ("result", "withheld")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    WITHHELD_FIELD_NUMBER: _ClassVar[int]
    result: LookupResult
    withheld: _containers.RepeatedCompositeFieldContainer[WithheldField]
    def __init__(self, result: _Optional[_Union[LookupResult, _Mapping]] = ..., withheld: _Optional[_Iterable[_Union[WithheldField, _Mapping]]] = ...) -> None: ...

class IndividualNumberKeys(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, values: _Optional[_Iterable[int]] = ...) -> None: ...

class ResidentRecordCodeKeys(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, values: _Optional[_Iterable[int]] = ...) -> None: ...

class FourItemsKeys(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedCompositeFieldContainer[_identification_pb2.FourItems]
    def __init__(self, values: _Optional[_Iterable[_Union[_identification_pb2.FourItems, _Mapping]]] = ...) -> None: ...

class BatchLookupRequest(_message.Message):
    __slots__ = ("context", "individual_numbers", "resident_record_codes", "four_items")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    INDIVIDUAL_NUMBERS_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_RECORD_CODES_FIELD_NUMBER: _ClassVar[int]
    FOUR_ITEMS_FIELD_NUMBER: _ClassVar[int]
    context: LookupContext
    individual_numbers: IndividualNumberKeys
    resident_record_codes: ResidentRecordCodeKeys
    four_items: FourItemsKeys
    def __init__(self, context: _Optional[_Union[LookupContext, _Mapping]] = ..., individual_numbers: _Optional[_Union[IndividualNumberKeys, _Mapping]] = ..., resident_record_codes: _Optional[_Union[ResidentRecordCodeKeys, _Mapping]] = ..., four_items: _Optional[_Union[FourItemsKeys, _Mapping]] = ...) -> None: ...

class BatchLookupResponse(_message.Message):
    __slots__ = ("results", "withheld")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    WITHHELD_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[LookupResult]
    withheld: _containers.RepeatedCompositeFieldContainer[WithheldField]
    def __init__(self, results: _Optional[_Iterable[_Union[LookupResult, _Mapping]]] = ..., withheld: _Optional[_Iterable[_Union[WithheldField, _Mapping]]] = ...) -> None: ...

class StreamLookupRequest(_message.Message):
    __slots__ = ("batch", "chunk_size")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    CHUNK_SIZE_FIELD_NUMBER: _ClassVar[int]
    batch: BatchLookupRequest
    chunk_size: int
    def __init__(self, batch: _Optional[_Union[BatchLookupRequest, _Mapping]] = ..., chunk_size: _Optional[int] = ...) -> None: ...

class StreamLookupResponse(_message.Message):
    __slots__ = ("offset", "chunk")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    offset: int
    chunk: BatchLookupResponse
    def __init__(self, offset: _Optional[int] = ..., chunk: _Optional[_Union[BatchLookupResponse, _Mapping]] = ...) -> None: ...

class ExchangeLookupRequest(_message.Message):
    __slots__ = ("chunk_id", "batch")
    CHUNK_ID_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    chunk_id: int
    batch: BatchLookupRequest
    def __init__(self, chunk_id: _Optional[int] = ..., batch: _Optional[_Union[BatchLookupRequest, _Mapping]] = ...) -> None: ...

class ExchangeLookupResponse(_message.Message):
    __slots__ = ("chunk_id", "chunk")
    CHUNK_ID_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk_id: int
    chunk: BatchLookupResponse
    def __init__(self, chunk_id: _Optional[int] = ..., chunk: _Optional[_Union[BatchLookupResponse, _Mapping]] = ...) -> None: ...
