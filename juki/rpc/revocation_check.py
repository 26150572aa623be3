"""The port through which a server asks whether a caller's certificate has been revoked."""

from __future__ import annotations

from typing import Protocol


class RevocationCheck(Protocol):
    """Knows the revocation lists; asked before each call and again while one stays open."""

    def refuse_caller(self, certificate: bytes, identity: str, *, must_be_fresh: bool) -> None:
        """Returns where the certificate (PEM) of `identity` (URI) may be served.

        Raises `JukiError`: IDENTITY_REVOKED; with `must_be_fresh` also CRL_UNKNOWN and CRL_STALE,
        since who cannot be checked is not served.
        """
        ...
