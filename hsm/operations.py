"""What custody does for a request, in small slices so that a long batch delays nobody."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from pkcs11.exceptions import PKCS11Error

from hsm.authority import Authority, Issuer, Names, names_for, names_of, public_key_of, subject_of
from hsm.generations import Generations
from hsm.hpke import open_sealed, sealed_message
from hsm.permissions import TOKEN, Operation, Permissions
from hsm.profiles import CERTIFIABLE, SERVER_LEAF
from hsm.refusing import error_response
from hsm.revocation import MadeList, RevocationDesk
from hsm.token import TOKEN_LOST, Token
from hsm.wrapping import rewrap_data_key, unwrap_data_key, wrap_new_data_key
from juki.custody.naming import KeyName
from juki.custody.port import MAXIMUM_ITEMS
from juki.custody.verify import verify_signature
from juki.domain.errors import JukiError, Reason
from juki.v1 import custody_pb2 as pb

SLICE_ITEMS = 32
"""Items handled before other callers get their turn: about 2 ms of signing in SoftHSM."""
MAXIMUM_RANDOM_BYTES = 65_536
_KEY_FIELDS = {
    Operation.SIGN: "key",
    Operation.MAC: "key",
    Operation.RANDOM: None,
    Operation.NEW_DATA_KEY: "wrapping_key",
    Operation.UNWRAP_DATA_KEY: "wrapping_key",
    Operation.OPEN: "key",
    Operation.CERTIFICATE_CHAIN: "key",
    Operation.CERTIFY_SERVER_LEAF: "issuer_key",
    Operation.CERTIFY: "issuer_key",
    Operation.HEALTH: None,
    Operation.GENERATIONS: "key",
    Operation.REWRAP_DATA_KEY: "wrapping_key",
    Operation.REVOKE: "issuer_key",
    Operation.REVOCATION_LIST: "issuer_key",
}
"""Where each request names its key, so that permission is asked in one place for all."""

_log = structlog.get_logger(__name__)

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
        *,
        token: Token,
        authority: Authority,
        generations: Generations,
        server_leaf: ServerLeafNames | None,
        health_key: str,
        revocation: RevocationDesk | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token = token
        self._authority = authority
        self._generations = generations
        self._server_leaf = server_leaf
        self._health_key = health_key
        self._revocation = revocation
        self._monotonic = monotonic
        self._started = monotonic()
        self._at_once: dict[Operation, Callable[[Any], pb.CustodyResponse]] = {
            Operation.RANDOM: self._random,
            Operation.NEW_DATA_KEY: self._new_data_key,
            Operation.UNWRAP_DATA_KEY: self._unwrap_data_key,
            Operation.OPEN: self._open,
            Operation.CERTIFICATE_CHAIN: self._certificate_chain,
            Operation.CERTIFY_SERVER_LEAF: self._certify_server_leaf,
            Operation.CERTIFY: self._certify,
            Operation.HEALTH: self._health,
            Operation.GENERATIONS: self._describe,
            Operation.REWRAP_DATA_KEY: self._rewrap_data_key,
            Operation.REVOKE: self._revoke,
            Operation.REVOCATION_LIST: self._revocation_list,
        }

    def perform(self, request: pb.CustodyRequest, permissions: Permissions) -> Job:
        """The job that answers a request; a refusal is a response with an error.

        Raises what `TOKEN_LOST` lists: then custody is to end and be started again. Any other
        failure is this request's alone.
        """
        try:
            response = yield from self._dispatch(request, permissions)
        except JukiError as error:
            response = error_response(error)
        except TOKEN_LOST:
            raise
        except PKCS11Error as error:
            _log.error("token failed", failure=type(error).__name__)
            response = error_response(JukiError(Reason.CUSTODY_UNAVAILABLE, "the token failed"))
        except Exception as error:  # a request must never end custody for all others
            _log.error("request failed", failure=type(error).__name__)
            response = error_response(JukiError(Reason.INTERNAL, "custody failed at this request"))
        response.request_id = request.request_id
        return response

    def _dispatch(self, request: pb.CustodyRequest, permissions: Permissions) -> Job:
        name = request.WhichOneof("operation")
        if name is None or request.request_id == 0:
            raise JukiError(Reason.MALFORMED_MESSAGE, "a request names an operation and has an id")
        operation = Operation(name)
        asked = getattr(request, name)
        key_field = _KEY_FIELDS[operation]
        key = KeyName.parse(getattr(asked, key_field)).key_class if key_field else TOKEN
        permissions.require(key, operation)
        if operation is Operation.SIGN:
            return (yield from self._each(self._token.sign, self._label(asked.key), asked.digests))
        if operation is Operation.MAC:
            return (yield from self._each(self._token.mac, self._label(asked.key), asked.messages))
        return self._at_once[operation](asked)

    def _each(self, act: Callable[[str, bytes], bytes], key: str, items: Sequence[bytes]) -> Job:
        if not 1 <= len(items) <= MAXIMUM_ITEMS:
            raise JukiError(Reason.INVALID_FIELD, f"a request holds 1 to {MAXIMUM_ITEMS} items")
        results: list[bytes] = []
        for start in range(0, len(items), SLICE_ITEMS):
            if start:
                yield
            results += [act(key, item) for item in items[start : start + SLICE_ITEMS]]
        return pb.CustodyResponse(items=pb.CustodyItems(items=results))

    def _random(self, asked: pb.CustodyRandomRequest) -> pb.CustodyResponse:
        if not 1 <= asked.length <= MAXIMUM_RANDOM_BYTES:
            raise JukiError(
                Reason.INVALID_FIELD, f"1 to {MAXIMUM_RANDOM_BYTES} random bytes at a time"
            )
        return _value(self._token.random(asked.length))

    def _new_data_key(self, asked: pb.CustodyNewDataKeyRequest) -> pb.CustodyResponse:
        plaintext, wrapped = wrap_new_data_key(self._token, self._generations, asked.wrapping_key)
        return pb.CustodyResponse(data_key=pb.CustodyDataKey(plaintext=plaintext, wrapped=wrapped))

    def _unwrap_data_key(self, asked: pb.CustodyUnwrapDataKeyRequest) -> pb.CustodyResponse:
        token, wrapping_key = self._token, asked.wrapping_key
        return _value(unwrap_data_key(token, self._generations, wrapping_key, asked.wrapped))

    def _rewrap_data_key(self, asked: pb.CustodyRewrapDataKeyRequest) -> pb.CustodyResponse:
        token, wrapping_key = self._token, asked.wrapping_key
        return _value(rewrap_data_key(token, self._generations, wrapping_key, asked.wrapped))

    def _describe(self, asked: pb.CustodyGenerationsRequest) -> pb.CustodyResponse:
        found = self._generations.describe(asked.key)
        return pb.CustodyResponse(
            generations=pb.CustodyGenerations(
                current=found.current, usable=found.usable, certified=found.certified
            )
        )

    def _open(self, asked: pb.CustodyOpenRequest) -> pb.CustodyResponse:
        label = self._label(asked.key)
        return _value(
            open_sealed(
                sealed_message(asked),
                self._token.public_key(label),
                lambda point: self._token.agreed_secret(label, point),
            )
        )

    def _certificate_chain(self, asked: pb.CustodyCertificateChainRequest) -> pb.CustodyResponse:
        name, chain = self._generations.chain(KeyName.parse(asked.key))
        response = _certificates(chain)
        response.certificates.key = str(name)
        return response

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
        if self._revocation is not None:
            self._revocation.certified(issuer, certificate, requested.uris[0])
        return _certificates((certificate, *issuer.chain))

    def _revoke(self, asked: pb.CustodyRevokeRequest) -> pb.CustodyResponse:
        issuers = self._issuers(asked.issuer_key)
        made = self._desk().revoke_under(
            issuers, asked.identity, asked.serial_numbers, asked.reason
        )
        _log.warning("certificates revoked", count=len(made.newly_revoked), reason=asked.reason)
        return _list(issuers[-1], made)

    def _revocation_list(self, asked: pb.CustodyRevocationListRequest) -> pb.CustodyResponse:
        issuer = self._issuer(asked.issuer_key)
        return _list(issuer, self._desk().current(issuer))

    def _desk(self) -> RevocationDesk:
        if self._revocation is None:
            raise JukiError(Reason.CONFIGURATION_INVALID, "this host has no issuing authority")
        return self._revocation

    def prove_token(self) -> float:
        """Sign something with the health key and verify it; the seconds the signature took.

        Raises CUSTODY_UNAVAILABLE where it does not verify, PKCS11Error where the token fails.
        """
        digest = sha256(self._token.random(32)).digest()
        label = self._label(self._health_key)
        begin = self._monotonic()
        signature = self._token.sign(label, digest)
        seconds = self._monotonic() - begin
        if not verify_signature(self._token.public_key(label), digest, signature):
            raise JukiError(Reason.CUSTODY_UNAVAILABLE, "the token's signature does not verify")
        return seconds

    def _health(self, _asked: pb.CustodyHealthRequest) -> pb.CustodyResponse:
        return pb.CustodyResponse(
            health=pb.CustodyHealth(
                key=self._health_key,
                sign_microseconds=round(self.prove_token() * 1e6),
                token_label=self._token.label,
                manufacturer=self._token.manufacturer,
                model=self._token.model,
                uptime_seconds=int(self._monotonic() - self._started),
            )
        )

    def _label(self, key: str) -> str:
        return self._generations.label(KeyName.parse(key))

    def _issuers(self, key: str) -> list[Issuer]:
        """Every generation of an issuer that can still sign, the one in use last."""
        name = KeyName.parse(key)
        if name.generation is not None:
            return [self._issuer(key)]
        return [self._issuer(one) for one in self._generations.describe(name.key_class).usable]

    def _issuer(self, key: str) -> Issuer:
        name, chain = self._generations.chain(KeyName.parse(key))
        return Issuer(self._token.signing_key(self._generations.label(name)), chain)


def _value(value: bytes) -> pb.CustodyResponse:
    return pb.CustodyResponse(value=pb.CustodyValue(value=value))


def _certificates(chain: Sequence[x509.Certificate]) -> pb.CustodyResponse:
    ders = [certificate.public_bytes(serialization.Encoding.DER) for certificate in chain]
    return pb.CustodyResponse(certificates=pb.CustodyCertificates(certificates=ders))


def _list(issuer: Issuer, made: MadeList) -> pb.CustodyResponse:
    return pb.CustodyResponse(
        revocation_list=pb.CustodyRevocationList(
            list=made.list_der,
            certificates=[one.public_bytes(serialization.Encoding.DER) for one in issuer.chain],
            newly_revoked=[
                serial.to_bytes((serial.bit_length() + 7) // 8) for serial in made.newly_revoked
            ],
        )
    )
