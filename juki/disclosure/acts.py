"""What is done to a request, act by act, and the request that the acts amount to."""

from __future__ import annotations

import base64
import datetime
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from juki.domain.errors import InvalidValue
from juki.domain.person_request import (
    PersonRequest,
    RefusalGround,
    RequestKind,
    RequestState,
    japanese_day,
)

OFFICE: Final = "office"
"""Stands in place of a municipality where the discloser itself acts."""


class ActKind(IntEnum):
    """What was done."""

    RECEIVED = 1
    FEE_PAID = 2
    EXTENDED = 3
    DISCLOSED = 4
    REFUSED = 5
    INVESTIGATION_BEGUN = 6
    ANSWERED = 7


CLOSING: Final = (ActKind.DISCLOSED, ActKind.REFUSED, ActKind.ANSWERED)
"""After these nothing is owed any more."""


@dataclass(frozen=True, slots=True)
class ActContent:
    """What an act says; sealed at rest."""

    office: str = ""
    operator: str = ""
    digest: bytes = b""
    """SHA-256 of the request message, which a repetition must have again."""

    subject: bytes = b""
    """Of a disclosure's receipt: the serialised `DisclosureSubject`."""

    fee_yen: int = 0
    other_way_agreed: bool = False
    disclosure_id: str = ""
    until: datetime.date | None = None
    way: int = 0
    outcome: int = 0
    """A refusal's ground or an answer's state."""

    words: str = ""
    document: bytes = b""
    """Of a disclosure: the serialised `Disclosure` that was given."""

    def __repr__(self) -> str:
        return "ActContent(…)"

    def to_bytes(self) -> bytes:
        """For storage, compressed."""
        values = {
            "office": self.office,
            "operator": self.operator,
            "digest": _text(self.digest),
            "subject": _text(self.subject),
            "fee_yen": self.fee_yen,
            "other_way_agreed": self.other_way_agreed,
            "disclosure_id": self.disclosure_id,
            "until": "" if self.until is None else self.until.isoformat(),
            "way": self.way,
            "outcome": self.outcome,
            "words": self.words,
            "document": _text(self.document),
        }
        return zlib.compress(json.dumps(values, ensure_ascii=False).encode())

    @classmethod
    def from_bytes(cls, data: bytes) -> ActContent:
        """What `to_bytes` gave."""
        values = json.loads(zlib.decompress(data))
        until = values["until"]
        return cls(
            **values
            | {
                "until": datetime.date.fromisoformat(until) if until else None,
                "digest": base64.b64decode(values["digest"]),
                "subject": base64.b64decode(values["subject"]),
                "document": base64.b64decode(values["document"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Act:
    """One act of a request."""

    number: int
    kind: ActKind
    municipality: str
    """Six digits, or `OFFICE`."""

    request_id: str
    acted_at: datetime.datetime
    content: ActContent


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A request with all its acts."""

    id: str
    acts: Sequence[Act]
    request: PersonRequest

    @property
    def received(self) -> Act:
        """Its receipt."""
        return self.acts[0]

    @property
    def words(self) -> str:
        """The reasons or the answer told last; of a correction still open, nothing."""
        told = [a.content.words for a in self.acts[1:] if a.content.words]
        return told[-1] if told else ""

    def disclosed(self) -> Act | None:
        """The act of disclosure, if there was one."""
        return next((act for act in self.acts if act.kind is ActKind.DISCLOSED), None)


def begun(
    kind: RequestKind, received: Act, disclosure: PersonRequest | None = None
) -> PersonRequest:
    """The request that a receipt begins; `disclosure` is what a correction is about."""
    on = japanese_day(received.acted_at)
    if kind is RequestKind.CORRECTION:
        if disclosure is None:
            raise InvalidValue("a correction is about a disclosure")
        return PersonRequest.correction(on, disclosure)
    return PersonRequest.disclosure(
        on,
        fee_yen=received.content.fee_yen,
        other_way_agreed=received.content.other_way_agreed,
    )


def after(request: PersonRequest, act: Act) -> PersonRequest:
    """The request after an act; raises as `PersonRequest` does."""
    on, content = japanese_day(act.acted_at), act.content
    match act.kind:
        case ActKind.FEE_PAID:
            return request.pay(on, content.fee_yen)
        case ActKind.EXTENDED:
            return request.extend(on, content.until or datetime.date.min, content.words)
        case ActKind.DISCLOSED:
            return request.disclose(on, in_writing=content.way == 1)
        case ActKind.REFUSED:
            return request.refuse(on, RefusalGround(content.outcome), content.words)
        case ActKind.INVESTIGATION_BEGUN:
            return request.investigate(on)
        case ActKind.ANSWERED:
            return request.answer(on, RequestState(content.outcome), content.words)
        case ActKind.RECEIVED:
            raise InvalidValue("a request is received once")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
