from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CustodyRequest(_message.Message):
    __slots__ = ("request_id", "sign", "mac", "random", "new_data_key", "unwrap_data_key", "certificate_chain", "certify_server_leaf", "certify", "health")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SIGN_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    RANDOM_FIELD_NUMBER: _ClassVar[int]
    NEW_DATA_KEY_FIELD_NUMBER: _ClassVar[int]
    UNWRAP_DATA_KEY_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_CHAIN_FIELD_NUMBER: _ClassVar[int]
    CERTIFY_SERVER_LEAF_FIELD_NUMBER: _ClassVar[int]
    CERTIFY_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    sign: CustodySignRequest
    mac: CustodyMacRequest
    random: CustodyRandomRequest
    new_data_key: CustodyNewDataKeyRequest
    unwrap_data_key: CustodyUnwrapDataKeyRequest
    certificate_chain: CustodyCertificateChainRequest
    certify_server_leaf: CustodyCertifyServerLeafRequest
    certify: CustodyCertifyRequest
    health: CustodyHealthRequest
    def __init__(self, request_id: _Optional[int] = ..., sign: _Optional[_Union[CustodySignRequest, _Mapping]] = ..., mac: _Optional[_Union[CustodyMacRequest, _Mapping]] = ..., random: _Optional[_Union[CustodyRandomRequest, _Mapping]] = ..., new_data_key: _Optional[_Union[CustodyNewDataKeyRequest, _Mapping]] = ..., unwrap_data_key: _Optional[_Union[CustodyUnwrapDataKeyRequest, _Mapping]] = ..., certificate_chain: _Optional[_Union[CustodyCertificateChainRequest, _Mapping]] = ..., certify_server_leaf: _Optional[_Union[CustodyCertifyServerLeafRequest, _Mapping]] = ..., certify: _Optional[_Union[CustodyCertifyRequest, _Mapping]] = ..., health: _Optional[_Union[CustodyHealthRequest, _Mapping]] = ...) -> None: ...

class CustodyResponse(_message.Message):
    __slots__ = ("request_id", "error", "items", "data_key", "value", "certificates", "health")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    DATA_KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    error: CustodyError
    items: CustodyItems
    data_key: CustodyDataKey
    value: CustodyValue
    certificates: CustodyCertificates
    health: CustodyHealth
    def __init__(self, request_id: _Optional[int] = ..., error: _Optional[_Union[CustodyError, _Mapping]] = ..., items: _Optional[_Union[CustodyItems, _Mapping]] = ..., data_key: _Optional[_Union[CustodyDataKey, _Mapping]] = ..., value: _Optional[_Union[CustodyValue, _Mapping]] = ..., certificates: _Optional[_Union[CustodyCertificates, _Mapping]] = ..., health: _Optional[_Union[CustodyHealth, _Mapping]] = ...) -> None: ...

class CustodySignRequest(_message.Message):
    __slots__ = ("key", "digests")
    KEY_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    key: str
    digests: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, key: _Optional[str] = ..., digests: _Optional[_Iterable[bytes]] = ...) -> None: ...

class CustodyMacRequest(_message.Message):
    __slots__ = ("key", "messages")
    KEY_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    key: str
    messages: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, key: _Optional[str] = ..., messages: _Optional[_Iterable[bytes]] = ...) -> None: ...

class CustodyRandomRequest(_message.Message):
    __slots__ = ("length",)
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    length: int
    def __init__(self, length: _Optional[int] = ...) -> None: ...

class CustodyNewDataKeyRequest(_message.Message):
    __slots__ = ("wrapping_key",)
    WRAPPING_KEY_FIELD_NUMBER: _ClassVar[int]
    wrapping_key: str
    def __init__(self, wrapping_key: _Optional[str] = ...) -> None: ...

class CustodyUnwrapDataKeyRequest(_message.Message):
    __slots__ = ("wrapping_key", "wrapped")
    WRAPPING_KEY_FIELD_NUMBER: _ClassVar[int]
    WRAPPED_FIELD_NUMBER: _ClassVar[int]
    wrapping_key: str
    wrapped: bytes
    def __init__(self, wrapping_key: _Optional[str] = ..., wrapped: _Optional[bytes] = ...) -> None: ...

class CustodyCertificateChainRequest(_message.Message):
    __slots__ = ("key",)
    KEY_FIELD_NUMBER: _ClassVar[int]
    key: str
    def __init__(self, key: _Optional[str] = ...) -> None: ...

class CustodyCertifyServerLeafRequest(_message.Message):
    __slots__ = ("issuer_key", "signing_request")
    ISSUER_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNING_REQUEST_FIELD_NUMBER: _ClassVar[int]
    issuer_key: str
    signing_request: bytes
    def __init__(self, issuer_key: _Optional[str] = ..., signing_request: _Optional[bytes] = ...) -> None: ...

class CustodyCertifyRequest(_message.Message):
    __slots__ = ("issuer_key", "signing_request", "profile")
    ISSUER_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNING_REQUEST_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    issuer_key: str
    signing_request: bytes
    profile: str
    def __init__(self, issuer_key: _Optional[str] = ..., signing_request: _Optional[bytes] = ..., profile: _Optional[str] = ...) -> None: ...

class CustodyHealthRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CustodyError(_message.Message):
    __slots__ = ("reason", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class CustodyItems(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, items: _Optional[_Iterable[bytes]] = ...) -> None: ...

class CustodyDataKey(_message.Message):
    __slots__ = ("plaintext", "wrapped")
    PLAINTEXT_FIELD_NUMBER: _ClassVar[int]
    WRAPPED_FIELD_NUMBER: _ClassVar[int]
    plaintext: bytes
    wrapped: bytes
    def __init__(self, plaintext: _Optional[bytes] = ..., wrapped: _Optional[bytes] = ...) -> None: ...

class CustodyValue(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: bytes
    def __init__(self, value: _Optional[bytes] = ...) -> None: ...

class CustodyCertificates(_message.Message):
    __slots__ = ("certificates",)
    CERTIFICATES_FIELD_NUMBER: _ClassVar[int]
    certificates: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, certificates: _Optional[_Iterable[bytes]] = ...) -> None: ...

class CustodyHealth(_message.Message):
    __slots__ = ("key", "sign_microseconds", "token_label", "manufacturer", "model", "uptime_seconds")
    KEY_FIELD_NUMBER: _ClassVar[int]
    SIGN_MICROSECONDS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_LABEL_FIELD_NUMBER: _ClassVar[int]
    MANUFACTURER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    UPTIME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    key: str
    sign_microseconds: int
    token_label: str
    manufacturer: str
    model: str
    uptime_seconds: int
    def __init__(self, key: _Optional[str] = ..., sign_microseconds: _Optional[int] = ..., token_label: _Optional[str] = ..., manufacturer: _Optional[str] = ..., model: _Optional[str] = ..., uptime_seconds: _Optional[int] = ...) -> None: ...
