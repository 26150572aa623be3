"""Keeps a caller from calling a server that has been revoked.

grpcio does not show a client the certificate chain of the server it has reached. So the server
names, in the exchange of lists, the certificate that stands behind its receipts; while that one is
revoked, or not known to be good, nothing but the exchange is sent. A successor is known by the same
call. What this does not find out is an impostor that holds a stolen server key: TLS takes it for
the server until its leaf ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import grpc

from juki.custody.verify import verify_chain
from juki.domain.errors import JukiError, Reason
from juki.revocation.book import RevocationBook
from juki.revocation.lists import CertificateFacts, facts_of_der

if TYPE_CHECKING:
    _UnaryUnary = grpc.UnaryUnaryClientInterceptor[Any, Any]
    _UnaryStream = grpc.UnaryStreamClientInterceptor[Any, Any]
else:
    _UnaryUnary = grpc.UnaryUnaryClientInterceptor
    _UnaryStream = grpc.UnaryStreamClientInterceptor


class PeerGate(_UnaryUnary, _UnaryStream):
    """Open while the server's certificate is known and not revoked; asked at each call."""

    def __init__(
        self,
        book: RevocationBook,
        roots_der: Sequence[bytes],
        clock: Callable[[], datetime],
        peer: str,
    ) -> None:
        """`peer` is the URI identity of the server."""
        self._book = book
        self._roots = list(roots_der)
        self._clock = clock
        self._peer = peer
        self._shown: list[bytes] = []
        self._facts: CertificateFacts | None = None

    def shown(self, certificates: Sequence[bytes]) -> None:
        """Takes in what the server has shown; a chain that does not hold changes nothing.

        Raises UNKNOWN_SIGNING_KEY or SIGNER_MISMATCH for such a chain.
        """
        chain = list(certificates)
        if chain != self._shown:
            verify_chain(chain, self._roots, self._clock(), self._peer)
            self._shown, self._facts = chain, facts_of_der(chain[0])

    def refuse_revoked(self) -> None:
        """Raises IDENTITY_REVOKED, CRL_UNKNOWN or CRL_STALE unless the server may be called.

        UPSTREAM_UNAVAILABLE before it has shown anything.
        """
        if self._facts is None:
            raise JukiError(
                Reason.UPSTREAM_UNAVAILABLE, "the next tier has not shown its certificate yet"
            )
        self._book.refuse_revoked(self._facts, self._peer)

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        """grpcio's entry point."""
        self.refuse_revoked()
        return continuation(details, request)

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        """grpcio's entry point."""
        self.refuse_revoked()
        return continuation(details, request)
