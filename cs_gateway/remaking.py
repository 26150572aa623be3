"""Has a leaked number re-made by the nation before its event is written (My Number Act Art. 7(2)).

The event is acknowledged once the new number is there and its notification durable; while the
nation does not answer it is refused with UPSTREAM_UNAVAILABLE and repeated by the register. The
request's id is drawn, under the gateway's stored key, from the event and the number it replaces: a
repeat after a crash at any moment is the same request, and gets the same number.
"""

from __future__ import annotations

from typing import Final

from cs_gateway.events import PreparedEvent
from cs_gateway.ports import Upstream
from cs_gateway.recovered import event_content_key
from cs_gateway.store import GatewayStore
from juki.domain.change import RecordState
from juki.domain.codes import IndividualNumber
from juki.domain.errors import JukiError, Reason

_REQUEST_ID_DIGITS: Final = 64


class NumberRemaking:
    """Asks for one person's new number, given an event that wants one."""

    def __init__(self, municipality: str, store: GatewayStore, upstream: Upstream) -> None:
        self._municipality = municipality
        self._store = store
        self._upstream = upstream

    def fetch(self, event: PreparedEvent) -> None:
        """Sets the event's numbers; all that stands before it in the stream is durable.

        Nothing is asked for an event that was taken in before, or that the record does not allow:
        the writer answers those.

        Raises:
            JukiError: UPSTREAM_UNAVAILABLE, STORE_UNAVAILABLE, or the nation's refusal.
        """
        store = self._store
        if store.taken_event(event.event_key) is not None:
            return
        resident = store.resident(event.record_key)
        if resident is None or resident.state is not RecordState.CURRENT:
            return
        former = resident.information.individual_number
        if not former or store.is_recovered(event_content_key(store.sealer, event)):
            return
        asked_for = f"{event.event_key.hex()}|{former}"
        number = self._upstream.remake_number(
            self._municipality,
            store.sealer.blind("number_request", asked_for).hex()[:_REQUEST_ID_DIGITS],
            int(resident.information.resident_record_code),
            int(former),
        )
        try:
            event.number = IndividualNumber.from_int(number).digits
        except ValueError:
            raise JukiError(Reason.INTERNAL, "the nation's answer is no number") from None
        event.former_number = former
