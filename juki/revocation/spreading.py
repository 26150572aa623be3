"""Keeps a server's lists new: its own authority's from custody, all others from the tier above."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog

from juki.custody.port import ISSUING_AUTHORITY, IssuedRevocationList, RevocationSource
from juki.domain.errors import JukiError, Reason
from juki.revocation.book import RevocationBook
from juki.revocation.service import fitting, held_by, take_in
from juki.rpc.errors import refusals_of_peer
from juki.v1 import revocation_pb2 as pb
from juki.v1 import revocation_pb2_grpc

_OWN_SECONDS: Final = 0.5
_EXCHANGE_SECONDS: Final = 1.0
"""Between two rounds: three hops (custody, up, down) stay well within five seconds."""
_CALL_SECONDS: Final = 5.0
_MOST_ROUNDS: Final = 100
"""Until both sides hold the same; more would mean that a peer does not take what it is given."""

_LOG: Final = structlog.get_logger(__name__)


class OwnList:
    """Takes the list of the host's own issuing authority from custody as soon as it is signed."""

    def __init__(
        self,
        custody: RevocationSource,
        book: RevocationBook,
        refused: Callable[[Reason], None] = lambda _: None,
    ) -> None:
        """`refused` is told each list of custody that was not taken in."""
        self._custody = custody
        self._book = book
        self._refused = refused
        self._last_failure: Reason | None = None
        self._last: IssuedRevocationList | None = None
        self._stopped = threading.Event()

    def take(self) -> None:
        """One look. Raises CUSTODY_UNAVAILABLE, or CRL_REFUSED where custody forgot something."""
        issued = self._custody.revocation_list(ISSUING_AUTHORITY)
        if issued != self._last:
            signed = pb.SignedRevocationList(list=issued.list_der, certificates=issued.certificates)
            self._book.accept(signed)
            self._last = issued

    def work(self) -> None:
        """A worker's round; custody that is away is asked again at once, not ever later."""
        failure: Reason | None = None
        try:
            self.take()
        except JukiError as error:
            failure = error.reason
            if failure is Reason.CRL_REFUSED:
                self._refused(failure)
            if failure is not self._last_failure:
                _LOG.error("own_revocation_list_not_taken", reason=failure.value)
        self._last_failure = failure
        self._stopped.wait(_OWN_SECONDS)

    def wake(self) -> None:
        """Lets the round end."""
        self._stopped.set()


class ListExchange:
    """Exchanges lists with the tier above, every second and at once when there is a new one."""

    def __init__(
        self,
        above: revocation_pb2_grpc.RevocationServiceStub,
        book: RevocationBook,
        refused: Callable[[Reason], None],
    ) -> None:
        """`refused` is told each list that was not taken in."""
        self._above = above
        self._book = book
        self._refused = refused
        self._wake = threading.Event()
        self._last_failure: Reason | None = None
        book.on_change(lambda _: self._wake.set())

    def exchange(self) -> None:
        """Brings both sides up to the same lists.

        Raises UPSTREAM_UNAVAILABLE, or what the peer refused the call for.
        """
        theirs: dict[bytes, int] | None = None
        for _ in range(_MOST_ROUNDS):
            offered = [] if theirs is None else fitting(self._book.newer_than(theirs))
            with refusals_of_peer():
                response = self._above.ExchangeRevocationLists(
                    pb.ExchangeRevocationListsRequest(held=held_by(self._book), lists=offered),
                    timeout=_CALL_SECONDS,
                )
            take_in(self._book, response.lists, self._refused)
            before, theirs = theirs, {held.issuer_key_id: held.number for held in response.held}
            ours = self._book.numbers()
            if ours == theirs or (before == theirs and not response.lists):
                return

    def work(self) -> None:
        """A worker's round; a peer that is away is asked again in a second, not ever later."""
        self._wake.clear()
        try:
            self.exchange()
        except JukiError as error:
            if error.reason is not self._last_failure:
                _LOG.warning("revocation_exchange_failed", reason=error.reason.value)
            self._last_failure = error.reason
        else:
            self._last_failure = None
        self._wake.wait(_EXCHANGE_SECONDS)

    def wake(self) -> None:
        """Lets the round end."""
        self._wake.set()
