"""Identities and server names of the tiers, as their certificates carry them."""

from __future__ import annotations

from juki.domain.codes import LocalGovernmentCode
from juki.rpc.identity import DEFAULT_TRUST_DOMAIN, Identity, IdentityKind


def gateway_identity(municipality: str, trust_domain: str = DEFAULT_TRUST_DOMAIN) -> str:
    """URI identity of a municipality's CS gateway; `municipality` is six digits."""
    code = LocalGovernmentCode(municipality)
    return Identity(
        IdentityKind.CS_GATEWAY,
        prefecture=code.prefecture,
        municipality=code,
        trust_domain=trust_domain,
    ).uri


def prefecture_identity(prefecture: str, trust_domain: str = DEFAULT_TRUST_DOMAIN) -> str:
    """URI identity of a prefectural server."""
    return Identity(
        IdentityKind.PREFECTURE_SERVER, prefecture=prefecture, trust_domain=trust_domain
    ).uri


def national_identity(trust_domain: str = DEFAULT_TRUST_DOMAIN) -> str:
    """URI identity of the national server."""
    return Identity(IdentityKind.NATIONAL_SERVER, trust_domain=trust_domain).uri
