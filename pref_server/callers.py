"""Which callers a prefectural server lets speak for which municipality."""

from __future__ import annotations

from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.domain.municipalities import register_keepers
from juki.rpc.identity import Identity


class PrefecturalCallers:
    """A gateway speaks for its own municipality, which must keep a register in this prefecture."""

    def __init__(self, prefecture: str) -> None:
        self._prefecture = prefecture
        self.municipalities = register_keepers(prefecture)

    def check(self, identity: Identity, municipality: str) -> None:
        """Raises JukiError UNKNOWN_MUNICIPALITY or NOT_OWN_MUNICIPALITY."""
        try:
            LocalGovernmentCode(municipality)
        except InvalidValue:
            known = False
        else:
            known = municipality in self.municipalities
        if not known:
            raise JukiError(
                Reason.UNKNOWN_MUNICIPALITY, "no such municipality keeps a register here"
            )
        if identity.municipality is None or identity.municipality.digits != municipality:
            raise JukiError(
                Reason.NOT_OWN_MUNICIPALITY, "the caller speaks for a municipality not its own"
            )

    @staticmethod
    def recipient(identity: Identity) -> str:
        """Whose queue of returns the caller follows."""
        if identity.municipality is None:
            raise JukiError(Reason.IDENTITY_NOT_PERMITTED, "only a gateway has returns here")
        return identity.municipality.digits
