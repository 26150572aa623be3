"""What custody does for a request, in small slices so that a long batch delays nobody."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from pkcs11.exceptions import PKCS11Error

from hsm.authority import Authority, Issuer, Names, names_for, names_of, public_key_of, subject_of
from hsm.permissions import TOKEN, Operation, Permissions
from hsm.profiles import CERTIFIABLE, SERVER_LEAF
from hsm.token import Token
from juki.custody.port import MAXIMUM_ITEMS
from juki.custody.verify import verify_signature
from juki.domain.errors import JukiError, Reason
from juki.v1 import custody_pb2 as pb

SLICE_ITEMS = 32
"""Items handled before other callers get their turn: about 2 ms of signing in SoftHSM."""
MAXIMUM_RANDOM_BYTES = 65_536

Job = Generator[None, None, pb.CustodyResponse]
"""Yields between slices, returns the response."""


@dataclass(frozen=True)
class ServerLeafNames:
    """The names of this host's server: the only ones its leaves may bear."""

    identity: str
    """For example `spiffe://pref22.juki.example/server`."""
    dns: tuple[str, ...]


class Operations:
    """Performs requests on one token."""

    def __init__(
        self,
        token: Token,
        authority: Authority,
        chains: Mapping[str, tuple[x509.Certificate, ...]],
        server_leaf: ServerLeafNames | None,
        health_key: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token = token
        self._authority = authority
        self._chains = chains
        self._server_leaf = server_leaf
        self._health_key = health_key
        self._monotonic = monotonic
        self._started = monotonic()

    def perform(self, request: pb.CustodyRequest, permissions: Permissions) -> Job:
        """The job that answers a request; a refusal is a response with an error."""
        try:
            response = yield from self._dispatch(request, permissions)
        except JukiError as error:
            response = error_response(error)
        except PKCS11Error as error:
            # The token's own words stay here; the kind of failure names no data.
            response = error_response(
                JukiError(Reason.CUSTODY_UNAVAILABLE, f"the token failed: {type(error).__name__}")
            )
        response.request_id = request.request_id
        return response

    def _dispatch(self, request: pb.CustodyRequest, permissions: Permissions) -> Job:
        name = request.WhichOneof("operation")
        if name is None or request.request_id == 0:
            raise JukiError(Reason.MALFORMED_MESSAGE, "a request names an operation and has an id")
        operation = Operation(name)
        if operation is Operation.SIGN:
            permissions.require(request.sign.key, operation)
            return (yield from self._each(self._token.sign, request.sign.key, request.sign.digests))
        if operation is Operation.MAC:
            permissions.require(request.mac.key, operation)
            return (yield from self._each(self._token.mac, request.mac.key, request.mac.messages))
        return self._at_once(operation, request, permissions)

    def _each(self, act: Callable[[str, bytes], bytes], key: str, items: Sequence[bytes]) -> Job:
        if not 1 <= len(items) <= MAXIMUM_ITEMS:
            raise JukiError(Reason.INVALID_FIELD, f"a request holds 1 to {MAXIMUM_ITEMS} items")
        results: list[bytes] = []
        for start in range(0, len(items), SLICE_ITEMS):
            if start:
                yield
            results += [act(key, item) for item in items[start : start + SLICE_ITEMS]]
        return pb.CustodyResponse(items=pb.CustodyItems(items=results))

    def _at_once(
        self, operation: Operation, request: pb.CustodyRequest, permissions: Permissions
    ) -> pb.CustodyResponse:
        match operation:
            case Operation.RANDOM:
                permissions.require(TOKEN, operation)
                return self._random(request.random.length)
            case Operation.NEW_DATA_KEY:
                key = request.new_data_key.wrapping_key
                permissions.require(key, operation)
                plaintext, wrapped = self._token.new_data_key(key)
                made = pb.CustodyDataKey(plaintext=plaintext, wrapped=wrapped)
                return pb.CustodyResponse(data_key=made)
            case Operation.UNWRAP_DATA_KEY:
                key = request.unwrap_data_key.wrapping_key
                permissions.require(key, operation)
                return _value(self._token.unwrap_data_key(key, request.unwrap_data_key.wrapped))
            case Operation.CERTIFICATE_CHAIN:
                key = request.certificate_chain.key
                permissions.require(key, operation)
                return _certificates(self._chain(key))
            case Operation.CERTIFY_SERVER_LEAF:
                permissions.require(request.certify_server_leaf.issuer_key, operation)
                return self._certify_server_leaf(request.certify_server_leaf)
            case Operation.CERTIFY:
                permissions.require(request.certify.issuer_key, operation)
                return self._certify(request.certify)
            case Operation.HEALTH:
                permissions.require(TOKEN, operation)
                return self._health()
            case _:
                raise JukiError(Reason.MALFORMED_MESSAGE, "custody has no such operation")

    def _random(self, length: int) -> pb.CustodyResponse:
        if not 1 <= length <= MAXIMUM_RANDOM_BYTES:
            raise JukiError(
                Reason.INVALID_FIELD, f"1 to {MAXIMUM_RANDOM_BYTES} random bytes at a time"
            )
        return _value(self._token.random(length))

    def _certify_server_leaf(self, asked: pb.CustodyCertifyServerLeafRequest) -> pb.CustodyResponse:
        if self._server_leaf is None:
            raise JukiError(Reason.CONFIGURATION_INVALID, "this host has no server to certify")
        issuer = self._issuer(asked.issuer_key)
        leaf = self._authority.certify(
            issuer,
            public_key_of(asked.signing_request),
            self._server_leaf.dns[0],
            Names(uris=(self._server_leaf.identity,), dns=self._server_leaf.dns),
            SERVER_LEAF,
        )
        return _certificates((leaf, *issuer.chain))

    def _certify(self, asked: pb.CustodyCertifyRequest) -> pb.CustodyResponse:
        profile = CERTIFIABLE.get(asked.profile)
        if profile is None:
            raise JukiError(Reason.INVALID_FIELD, "no certificate profile has this name")
        issuer = self._issuer(asked.issuer_key)
        requested = names_of(asked.signing_request)
        certificate = self._authority.certify(
            issuer,
            public_key_of(asked.signing_request),
            subject_of(profile, requested),
            names_for(profile, requested),
            profile,
        )
        return _certificates((certificate, *issuer.chain))

    def _health(self) -> pb.CustodyResponse:
        digest = sha256(self._token.random(32)).digest()
        begin = self._monotonic()
        signature = self._token.sign(self._health_key, digest)
        seconds = self._monotonic() - begin
        if not verify_signature(self._token.public_key(self._health_key), digest, signature):
            raise JukiError(Reason.CUSTODY_UNAVAILABLE, "the token's signature does not verify")
        return pb.CustodyResponse(
            health=pb.CustodyHealth(
                key=self._health_key,
                sign_microseconds=round(seconds * 1e6),
                token_label=self._token.label,
                manufacturer=self._token.manufacturer,
                model=self._token.model,
                uptime_seconds=int(self._monotonic() - self._started),
            )
        )

    def _chain(self, key: str) -> tuple[x509.Certificate, ...]:
        chain = self._chains.get(key)
        if chain is None:
            raise JukiError(Reason.CONFIGURATION_INVALID, "this key has no certificate")
        return chain

    def _issuer(self, key: str) -> Issuer:
        return Issuer(self._token.signing_key(key), self._chain(key))


def error_response(error: JukiError) -> pb.CustodyResponse:
    """A refusal as a response, without a request id."""
    return pb.CustodyResponse(error=pb.CustodyError(reason=error.reason, message=error.message))


def _value(value: bytes) -> pb.CustodyResponse:
    return pb.CustodyResponse(value=pb.CustodyValue(value=value))


def _certificates(chain: Sequence[x509.Certificate]) -> pb.CustodyResponse:
    ders = [certificate.public_bytes(serialization.Encoding.DER) for certificate in chain]
    return pb.CustodyResponse(certificates=pb.CustodyCertificates(certificates=ders))
