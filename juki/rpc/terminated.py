"""Calls behind nginx, which has ended TLS: who calls is in the certificate that nginx passes on.

Only for calls over the server's unix socket, which nothing but nginx can open
(`juki.rpc.unix_listener`). What they tell has the form of grpcio's `auth_context`, so that whoever
reads that reads these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import grpc
from cryptography import x509

from juki.domain.errors import JukiError, Reason

PEER_CERTIFICATE: Final = "x-juki-peer-certificate"
"""Metadata key: the client's certificate in PEM, URL-encoded (nginx's `$ssl_client_escaped_cert`).

nginx sets it from the handshake alone; what a client sends under this name does not pass.
"""
_UNIX: Final = "unix:"
_UNREADABLE = (
    ValueError,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

Properties = Mapping[str, Iterable[bytes]]


def peer_properties(context: grpc.ServicerContext) -> Properties:
    """The `auth_context` of a call, for one behind nginx made from the certificate it passed on.

    Raises `JukiError(IDENTITY_NOT_PERMITTED)` where nginx names no certificate, or where a call
    over TCP names one: certificates are shown in the handshake there.
    """
    metadata: Any = context.invocation_metadata() or ()
    named = [value for key, value in metadata if key == PEER_CERTIFICATE]
    if context.peer().startswith(_UNIX):
        if len(named) != 1 or not named[0]:
            raise JukiError(Reason.IDENTITY_NOT_PERMITTED, "nginx names no client certificate")
        return _properties_of(named[0])
    if named:
        raise JukiError(
            Reason.IDENTITY_NOT_PERMITTED, "a certificate is shown in the handshake, not in a call"
        )
    properties: Any = context.auth_context()
    return properties  # type: ignore[no-any-return]


@lru_cache(maxsize=4096)
def _properties_of(escaped: str) -> Properties:
    pem = unquote_to_bytes(escaped)
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except _UNREADABLE:
        raise JukiError(
            Reason.IDENTITY_NOT_PERMITTED, "the client certificate that nginx names cannot be read"
        ) from None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return {
        "transport_security_type": (b"ssl",),
        "peer_uri": tuple(uri.encode() for uri in uris),
        "x509_pem_cert": (pem,),
    }
