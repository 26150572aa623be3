"""Serves the exchange of revocation lists to those below."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import grpc
import structlog

from juki.domain.errors import JukiError, Reason
from juki.revocation.book import RevocationBook
from juki.revocation.lists import RevocationList
from juki.v1 import revocation_pb2 as pb
from juki.v1 import revocation_pb2_grpc

REVOCATION_SERVICE: Final = "juki.v1.RevocationService"
_MOST_BYTES: Final = 3 * 1024 * 1024
"""Of lists in one message: a server takes 4 MiB."""

_LOG: Final = structlog.get_logger(__name__)


class RevocationServicer(revocation_pb2_grpc.RevocationServiceServicer):
    """Takes lists from anyone who may call, since each proves itself, and gives its own."""

    def __init__(self, book: RevocationBook, refused: Callable[[Reason], None]) -> None:
        """`refused` is told each list that was not taken in."""
        self._book = book
        self._refused = refused

    def ExchangeRevocationLists(  # noqa: N802 - the name of the contract
        self, request: pb.ExchangeRevocationListsRequest, context: grpc.ServicerContext
    ) -> pb.ExchangeRevocationListsResponse:
        """Takes in what is new here, answers with what is new to the caller."""
        take_in(self._book, request.lists, self._refused)
        known = {held.issuer_key_id: held.number for held in request.held}
        return pb.ExchangeRevocationListsResponse(
            held=held_by(self._book), lists=fitting(self._book.newer_than(known))
        )


def take_in(
    book: RevocationBook,
    lists: Iterable[pb.SignedRevocationList],
    refused: Callable[[Reason], None],
) -> None:
    """Takes lists in; one that is refused is counted and does not stand in the others' way."""
    for one in lists:
        try:
            book.accept(one)
        except JukiError as error:
            refused(error.reason)
            _LOG.error("revocation_list_refused", reason=error.reason.value, **error.metadata)


def held_by(book: RevocationBook) -> list[pb.HeldRevocationList]:
    """What the book holds, for the other side."""
    return [
        pb.HeldRevocationList(issuer_key_id=key_id, number=number)
        for key_id, number in book.numbers().items()
    ]


def fitting(lists: list[RevocationList]) -> list[pb.SignedRevocationList]:
    """As many of the lists as fit in one message, at least one of any."""
    chosen: list[pb.SignedRevocationList] = []
    size = 0
    for one in lists:
        size += one.signed.ByteSize()
        if chosen and size > _MOST_BYTES:
            break
        chosen.append(one.signed)
    return chosen
