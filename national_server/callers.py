"""Which prefectural server the nation lets speak for which municipality."""

from __future__ import annotations

from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.domain.municipalities import register_keepers
from juki.rpc.identity import Identity


def check_caller(identity: Identity, municipality: str) -> None:
    """A prefectural server speaks for the municipalities of its prefecture that keep a register.

    Raises:
        JukiError: UNKNOWN_MUNICIPALITY or NOT_OWN_MUNICIPALITY.
    """
    try:
        prefecture = LocalGovernmentCode(municipality).prefecture
    except InvalidValue:
        prefecture = ""
    if not prefecture or municipality not in register_keepers(prefecture):
        raise JukiError(Reason.UNKNOWN_MUNICIPALITY, "no such municipality keeps a register")
    if identity.prefecture != prefecture:
        raise JukiError(
            Reason.NOT_OWN_MUNICIPALITY, "the caller speaks for another prefecture's municipality"
        )


def recipient(identity: Identity) -> str:
    """Whose queue of returns the caller follows: two digits."""
    if identity.prefecture is None:
        raise JukiError(Reason.IDENTITY_NOT_PERMITTED, "only a prefecture has returns here")
    return identity.prefecture
