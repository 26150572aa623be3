from juki._vendor.buf.validate import validate_pb2 as _validate_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Sex(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEX_UNSPECIFIED: _ClassVar[Sex]
    SEX_MALE: _ClassVar[Sex]
    SEX_FEMALE: _ClassVar[Sex]
    SEX_NOT_RECORDED: _ClassVar[Sex]

class ChangeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANGE_KIND_UNSPECIFIED: _ClassVar[ChangeKind]
    CHANGE_KIND_ENTRY: _ClassVar[ChangeKind]
    CHANGE_KIND_DELETION: _ClassVar[ChangeKind]
    CHANGE_KIND_CORRECTION: _ClassVar[ChangeKind]
    CHANGE_KIND_CODE_CHANGE: _ClassVar[ChangeKind]
    CHANGE_KIND_NUMBER_CHANGE: _ClassVar[ChangeKind]

class ChangeReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANGE_REASON_UNSPECIFIED: _ClassVar[ChangeReason]
    CHANGE_REASON_MOVING_IN: _ClassVar[ChangeReason]
    CHANGE_REASON_BIRTH: _ClassVar[ChangeReason]
    CHANGE_REASON_EX_OFFICIO_ENTRY: _ClassVar[ChangeReason]
    CHANGE_REASON_MOVING_OUT: _ClassVar[ChangeReason]
    CHANGE_REASON_DEATH: _ClassVar[ChangeReason]
    CHANGE_REASON_EX_OFFICIO_DELETION: _ClassVar[ChangeReason]
    CHANGE_REASON_ADDRESS_CHANGE: _ClassVar[ChangeReason]
    CHANGE_REASON_MINOR_CORRECTION: _ClassVar[ChangeReason]
    CHANGE_REASON_EX_OFFICIO_CORRECTION: _ClassVar[ChangeReason]
    CHANGE_REASON_CODE_CHANGE_REQUEST: _ClassVar[ChangeReason]
    CHANGE_REASON_EX_OFFICIO_CODE_ENTRY: _ClassVar[ChangeReason]
    CHANGE_REASON_NUMBER_DESIGNATION: _ClassVar[ChangeReason]
    CHANGE_REASON_NUMBER_CHANGE_REQUEST: _ClassVar[ChangeReason]
    CHANGE_REASON_EX_OFFICIO_NUMBER_CHANGE: _ClassVar[ChangeReason]
SEX_UNSPECIFIED: Sex
SEX_MALE: Sex
SEX_FEMALE: Sex
SEX_NOT_RECORDED: Sex
CHANGE_KIND_UNSPECIFIED: ChangeKind
CHANGE_KIND_ENTRY: ChangeKind
CHANGE_KIND_DELETION: ChangeKind
CHANGE_KIND_CORRECTION: ChangeKind
CHANGE_KIND_CODE_CHANGE: ChangeKind
CHANGE_KIND_NUMBER_CHANGE: ChangeKind
CHANGE_REASON_UNSPECIFIED: ChangeReason
CHANGE_REASON_MOVING_IN: ChangeReason
CHANGE_REASON_BIRTH: ChangeReason
CHANGE_REASON_EX_OFFICIO_ENTRY: ChangeReason
CHANGE_REASON_MOVING_OUT: ChangeReason
CHANGE_REASON_DEATH: ChangeReason
CHANGE_REASON_EX_OFFICIO_DELETION: ChangeReason
CHANGE_REASON_ADDRESS_CHANGE: ChangeReason
CHANGE_REASON_MINOR_CORRECTION: ChangeReason
CHANGE_REASON_EX_OFFICIO_CORRECTION: ChangeReason
CHANGE_REASON_CODE_CHANGE_REQUEST: ChangeReason
CHANGE_REASON_EX_OFFICIO_CODE_ENTRY: ChangeReason
CHANGE_REASON_NUMBER_DESIGNATION: ChangeReason
CHANGE_REASON_NUMBER_CHANGE_REQUEST: ChangeReason
CHANGE_REASON_EX_OFFICIO_NUMBER_CHANGE: ChangeReason

class PersonName(_message.Message):
    __slots__ = ("written", "reading", "alphabet", "common_name", "former_surname")
    WRITTEN_FIELD_NUMBER: _ClassVar[int]
    READING_FIELD_NUMBER: _ClassVar[int]
    ALPHABET_FIELD_NUMBER: _ClassVar[int]
    COMMON_NAME_FIELD_NUMBER: _ClassVar[int]
    FORMER_SURNAME_FIELD_NUMBER: _ClassVar[int]
    written: str
    reading: str
    alphabet: str
    common_name: str
    former_surname: str
    def __init__(self, written: _Optional[str] = ..., reading: _Optional[str] = ..., alphabet: _Optional[str] = ..., common_name: _Optional[str] = ..., former_surname: _Optional[str] = ...) -> None: ...

class BirthDate(_message.Message):
    __slots__ = ("year", "month", "day")
    YEAR_FIELD_NUMBER: _ClassVar[int]
    MONTH_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    year: int
    month: int
    day: int
    def __init__(self, year: _Optional[int] = ..., month: _Optional[int] = ..., day: _Optional[int] = ...) -> None: ...

class CalendarDate(_message.Message):
    __slots__ = ("year", "month", "day")
    YEAR_FIELD_NUMBER: _ClassVar[int]
    MONTH_FIELD_NUMBER: _ClassVar[int]
    DAY_FIELD_NUMBER: _ClassVar[int]
    year: int
    month: int
    day: int
    def __init__(self, year: _Optional[int] = ..., month: _Optional[int] = ..., day: _Optional[int] = ...) -> None: ...

class Address(_message.Message):
    __slots__ = ("municipality", "town", "remainder")
    MUNICIPALITY_FIELD_NUMBER: _ClassVar[int]
    TOWN_FIELD_NUMBER: _ClassVar[int]
    REMAINDER_FIELD_NUMBER: _ClassVar[int]
    municipality: str
    town: str
    remainder: str
    def __init__(self, municipality: _Optional[str] = ..., town: _Optional[str] = ..., remainder: _Optional[str] = ...) -> None: ...

class FourItems(_message.Message):
    __slots__ = ("name", "birth_date", "sex", "address")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BIRTH_DATE_FIELD_NUMBER: _ClassVar[int]
    SEX_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    name: PersonName
    birth_date: BirthDate
    sex: Sex
    address: Address
    def __init__(self, name: _Optional[_Union[PersonName, _Mapping]] = ..., birth_date: _Optional[_Union[BirthDate, _Mapping]] = ..., sex: _Optional[_Union[Sex, str]] = ..., address: _Optional[_Union[Address, _Mapping]] = ...) -> None: ...

class ChangeInformation(_message.Message):
    __slots__ = ("kind", "reason", "event_date", "former_resident_record_code", "former_individual_number")
    KIND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVENT_DATE_FIELD_NUMBER: _ClassVar[int]
    FORMER_RESIDENT_RECORD_CODE_FIELD_NUMBER: _ClassVar[int]
    FORMER_INDIVIDUAL_NUMBER_FIELD_NUMBER: _ClassVar[int]
    kind: ChangeKind
    reason: ChangeReason
    event_date: CalendarDate
    former_resident_record_code: str
    former_individual_number: str
    def __init__(self, kind: _Optional[_Union[ChangeKind, str]] = ..., reason: _Optional[_Union[ChangeReason, str]] = ..., event_date: _Optional[_Union[CalendarDate, _Mapping]] = ..., former_resident_record_code: _Optional[str] = ..., former_individual_number: _Optional[str] = ...) -> None: ...

class IdentificationInformation(_message.Message):
    __slots__ = ("name", "birth_date", "sex", "address", "resident_record_code", "individual_number", "change")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BIRTH_DATE_FIELD_NUMBER: _ClassVar[int]
    SEX_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_RECORD_CODE_FIELD_NUMBER: _ClassVar[int]
    INDIVIDUAL_NUMBER_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    name: PersonName
    birth_date: BirthDate
    sex: Sex
    address: Address
    resident_record_code: str
    individual_number: str
    change: ChangeInformation
    def __init__(self, name: _Optional[_Union[PersonName, _Mapping]] = ..., birth_date: _Optional[_Union[BirthDate, _Mapping]] = ..., sex: _Optional[_Union[Sex, str]] = ..., address: _Optional[_Union[Address, _Mapping]] = ..., resident_record_code: _Optional[str] = ..., individual_number: _Optional[str] = ..., change: _Optional[_Union[ChangeInformation, _Mapping]] = ...) -> None: ...
