"""Who is calling: the identity that a verified client certificate carries as its URI name.

The forms follow SPIFFE-ID (a `spiffe` URI of trust domain and path), with one host per prefecture
because X.509 name constraints on URIs reach only the host (RFC 5280, 4.2.1.10). So the authority
of prefecture 22 can never certify a gateway of prefecture 23.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Self

import grpc

from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.rpc.terminated import Properties, peer_properties

DEFAULT_TRUST_DOMAIN = "juki.example"

# `\Z`, not `$`: `$` would let a line feed follow.
_PREFECTURE = re.compile(r"(0[1-9]|[1-3][0-9]|4[0-7])\Z")
_AGENCY_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_URI = re.compile(r"spiffe://([a-z0-9-]+)\.([a-z0-9.-]+)((?:/[a-z0-9-]+)+)\Z")
_HOST_OF_PREFECTURE = re.compile(r"pref([0-9]{2})\Z")


class IdentityKind(StrEnum):
    """What kind of caller it is; allow-lists name these."""

    NATIONAL_SERVER = "NATIONAL_SERVER"
    PREFECTURE_SERVER = "PREFECTURE_SERVER"
    CS_GATEWAY = "CS_GATEWAY"
    RESIDENT_REGISTER = "RESIDENT_REGISTER"
    AGENCY = "AGENCY"


@dataclass(frozen=True, slots=True)
class Identity:
    """One party of the network; built only in a form that has exactly one URI.

    Raises `InvalidValue` when the parts do not fit the kind.
    """

    kind: IdentityKind
    prefecture: str | None = None
    """Two digits, "01" to "47"; for prefectural servers, gateways and resident registers."""
    municipality: LocalGovernmentCode | None = None
    """For gateways and resident registers; lies in `prefecture`."""
    agency: str | None = None
    """Name of the asking body: lower-case letters, digits and inner hyphens, at most 63."""
    trust_domain: str = DEFAULT_TRUST_DOMAIN

    def __post_init__(self) -> None:
        municipal = self.kind in (IdentityKind.CS_GATEWAY, IdentityKind.RESIDENT_REGISTER)
        prefectural = municipal or self.kind is IdentityKind.PREFECTURE_SERVER
        parts_fit = (
            (self.prefecture is not None) == prefectural
            and (self.municipality is not None) == municipal
            and (self.agency is not None) == (self.kind is IdentityKind.AGENCY)
        )
        if not parts_fit:
            raise InvalidValue("the parts of an identity do not fit its kind")
        if self.prefecture is not None and not _PREFECTURE.match(self.prefecture):
            raise InvalidValue("an identity's prefecture is not 01 to 47")
        if self.municipality is not None and (
            self.municipality.prefecture != self.prefecture or self.municipality.is_prefecture
        ):
            raise InvalidValue("an identity's municipality does not lie in its prefecture")
        if self.agency is not None and not _AGENCY_NAME.match(self.agency):
            raise InvalidValue("an agency's name has a character that is not allowed")

    @property
    def host(self) -> str:
        """The URI's host, for example `pref22.juki.example`."""
        if self.kind is IdentityKind.NATIONAL_SERVER:
            return f"national.{self.trust_domain}"
        if self.kind is IdentityKind.AGENCY:
            return f"agency.{self.trust_domain}"
        return f"pref{self.prefecture}.{self.trust_domain}"

    @property
    def uri(self) -> str:
        """The URI as it stands in the certificate."""
        if self.kind is IdentityKind.CS_GATEWAY:
            path = f"cs/{self.municipality}"
        elif self.kind is IdentityKind.RESIDENT_REGISTER:
            path = f"cs/{self.municipality}/register"
        elif self.kind is IdentityKind.AGENCY:
            path = str(self.agency)
        else:
            path = "server"
        return f"spiffe://{self.host}/{path}"

    def __str__(self) -> str:
        return self.uri

    @classmethod
    def parse(cls, uri: str, trust_domain: str = DEFAULT_TRUST_DOMAIN) -> Self:
        """Reads a URI. Only the exact spelling that `uri` writes is accepted.

        Raises `InvalidValue` for any other text; the message does not repeat it.
        """
        match = _URI.match(uri)
        if match is None or match[2] != trust_domain:
            raise InvalidValue("not an identity of this trust domain")
        host, path = match[1], match[3].split("/")[1:]
        identity = cls._of_parts(host, path, trust_domain)
        if identity is None or identity.uri != uri:
            raise InvalidValue("not an identity of this network")
        return identity

    @classmethod
    def _of_parts(cls, host: str, path: list[str], trust_domain: str) -> Self | None:
        prefecture = _HOST_OF_PREFECTURE.match(host)
        match (host, path):
            case ("national", ["server"]):
                return cls(IdentityKind.NATIONAL_SERVER, trust_domain=trust_domain)
            case ("agency", [name]):
                return cls(IdentityKind.AGENCY, agency=name, trust_domain=trust_domain)
            case (_, ["server"]) if prefecture:
                return cls(
                    IdentityKind.PREFECTURE_SERVER,
                    prefecture=prefecture[1],
                    trust_domain=trust_domain,
                )
            case (_, ["cs", code, *rest]) if prefecture and rest in ([], ["register"]):
                return cls(
                    IdentityKind.RESIDENT_REGISTER if rest else IdentityKind.CS_GATEWAY,
                    prefecture=prefecture[1],
                    municipality=LocalGovernmentCode(code),
                    trust_domain=trust_domain,
                )
        return None


def identity_of_uris(uris: Iterable[bytes], trust_domain: str = DEFAULT_TRUST_DOMAIN) -> Identity:
    """The identity of a certificate with these URI names: exactly one, and one of ours.

    More than one is refused even if all are ours (X.509-SVID, section 2): the holder would choose
    who it is. Raises `JukiError(IDENTITY_NOT_PERMITTED)`.
    """
    return _identity_of(tuple(uris), trust_domain)


@lru_cache(maxsize=4096)
def _identity_of(uris: tuple[bytes, ...], trust_domain: str) -> Identity:
    if len(uris) != 1:
        raise JukiError(
            Reason.IDENTITY_NOT_PERMITTED,
            "the client certificate does not carry exactly one URI name",
        )
    try:
        return Identity.parse(uris[0].decode("ascii"), trust_domain)
    except (InvalidValue, UnicodeDecodeError):
        raise JukiError(
            Reason.IDENTITY_NOT_PERMITTED,
            "the client certificate's URI name is no identity of this network",
        ) from None


def identity_of_call(
    context: grpc.ServicerContext, trust_domain: str = DEFAULT_TRUST_DOMAIN
) -> Identity:
    """The identity of a call's client, from what the TLS handshake has verified.

    Reads `peer_uri`, which holds URI names only; `x509_subject_alternative_name` mixes all types,
    so that a DNS name spelled like a URI would pass. Raises `JukiError(IDENTITY_NOT_PERMITTED)`.
    """
    return _identity_in(peer_properties(context), trust_domain)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and by which certificate."""

    identity: Identity
    certificate: bytes
    """The leaf certificate in PEM, as the TLS handshake, ours or nginx's, has verified it."""


def caller_of_call(
    context: grpc.ServicerContext, trust_domain: str = DEFAULT_TRUST_DOMAIN
) -> Caller:
    """A call's client with its certificate. Raises as `identity_of_call` does."""
    properties = peer_properties(context)
    identity = _identity_in(properties, trust_domain)
    certificates = tuple(properties.get("x509_pem_cert", ()))
    if len(certificates) != 1:
        raise JukiError(Reason.IDENTITY_NOT_PERMITTED, "the call carries no client certificate")
    return Caller(identity, certificates[0])


def _identity_in(properties: Properties, trust_domain: str) -> Identity:
    if tuple(properties.get("transport_security_type", ())) != (b"ssl",):
        raise JukiError(Reason.IDENTITY_NOT_PERMITTED, "the transport is not mutual TLS")
    return identity_of_uris(properties.get("peer_uri", ()), trust_domain)
