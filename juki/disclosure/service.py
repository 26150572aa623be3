"""`juki.v1.DisclosureService`: a person's requests, as the counters of municipalities bring them.

No disclosure without a record: what is disclosed leaves only after the audit log holds that it is,
under Art. 30-32. The record is made first, then the act of disclosure is kept, and only then is it
answered; a call that broke off in between is repeated under its request id and recorded again.
Whoever states something of a person that does not fit anybody is refused, and that is recorded too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import grpc
from google.protobuf.message import Message

from juki.audit.port import AuditLog, AuditRecord
from juki.audit.pseudonym import Pseudonymiser
from juki.disclosure.acts import ActContent, ActKind, StoredRequest
from juki.disclosure.book import Doing, RequestBook
from juki.disclosure.document import DocumentMaker, calendar_date
from juki.disclosure.held import HeldPerson, PersonRecords, search_key
from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.domain.legal_basis import Field
from juki.domain.outcome import Outcome
from juki.domain.person_request import RequestKind, japanese_day
from juki.rpc.call import current_identity
from juki.rpc.identity import IdentityKind
from juki.v1 import disclosure_pb2, disclosure_pb2_grpc

DISCLOSURE_SERVICE: Final = disclosure_pb2.DESCRIPTOR.services_by_name[
    "DisclosureService"
].full_name
CALLERS: Final = frozenset({IdentityKind.CS_GATEWAY})
"""Who may call, for the server's allow-list: the counters of municipalities."""

ARTICLE: Final = "30-32"
_ID: Final = re.compile(r"[CD]-[0-9]{4}-[0-9]{6,12}")
_DEFAULT_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class DisclosureAudit:
    """Where disclosures are recorded."""

    log: AuditLog
    pseudonymiser: Callable[[], Pseudonymiser]
    """Of the newest key."""

    clock: Callable[[], int]
    """Nanoseconds since 1970-01-01 UTC."""


class DisclosureServicer(disclosure_pb2_grpc.DisclosureServiceServicer):
    """Served to the counters of municipalities, each for the requests that it brought."""

    def __init__(
        self,
        *,
        book: RequestBook,
        records: PersonRecords,
        documents: DocumentMaker,
        audit: DisclosureAudit,
        fee_yen: int,
        municipalities: Callable[[str], bool] = lambda municipality: True,
    ) -> None:
        """`fee_yen` is the fee of Art. 30-34: J-LIS's, 0 at a prefecture.

        `municipalities` says of six digits whether that municipality's counters are served here.
        """
        self._book = book
        self._records = records
        self._documents = documents
        self._audit = audit
        self._fee_yen = fee_yen
        self._serves = municipalities

    def RequestDisclosure(  # noqa: N802 - the name of the contract
        self, request: disclosure_pb2.RequestDisclosureRequest, context: grpc.ServicerContext
    ) -> disclosure_pb2.RequestDisclosureResponse:
        """Taken in once it is sure whom it is about; that nothing is held is told later."""
        doing, content = self._act_of(request, request.counter)
        content = replace(
            content,
            subject=request.subject.SerializeToString(),
            fee_yen=self._fee_yen,
            other_way_agreed=request.other_way_agreed,
        )
        if self._book.done(doing, content, ActKind.RECEIVED) is None:
            self._find(request.counter, request.subject)
        stored = self._book.receive(RequestKind.DISCLOSURE, doing, content)
        return disclosure_pb2.RequestDisclosureResponse(request=self._shown(stored))

    def RecordFee(  # noqa: N802
        self, request: disclosure_pb2.RecordFeeRequest, context: grpc.ServicerContext
    ) -> disclosure_pb2.RecordFeeResponse:
        """The person paid at the counter."""
        doing, content = self._act_of(request, request.counter)
        self._own(request.id)
        content = replace(content, fee_yen=request.paid_yen)
        stored = self._book.act(request.id, ActKind.FEE_PAID, doing, content)
        return disclosure_pb2.RecordFeeResponse(request=self._shown(stored))

    def Disclose(  # noqa: N802
        self, request: disclosure_pb2.DiscloseRequest, context: grpc.ServicerContext
    ) -> disclosure_pb2.DiscloseResponse:
        """Recorded, then answered."""
        doing, content = self._act_of(request, request.counter)
        content = replace(content, way=int(request.way))
        stored = self._own(request.id)
        subject = disclosure_pb2.DisclosureSubject.FromString(stored.received.content.subject)
        person = self._find(request.counter, subject)
        done = self._book.done(doing, content, ActKind.DISCLOSED)
        if done is not None and done.id != request.id:
            raise JukiError(Reason.REQUEST_ID_REUSED, "the request id was used for another act")
        if done is None:
            now = self._book.now()
            in_writing = request.way == disclosure_pb2.DISCLOSURE_WAY_IN_WRITING
            # Is it allowed at all? Then nothing is recorded that does not come to pass.
            stored.request.disclose(japanese_day(now), in_writing=in_writing)
            made = self._documents.document(request.id, person, now)
            content = replace(content, document=made.SerializeToString())
        self._record(request.counter, subject, person)
        if done is None:
            done = self._book.act(request.id, ActKind.DISCLOSED, doing, content)
        document = disclosure_pb2.Disclosure.FromString(done.acts[-1].content.document)
        return disclosure_pb2.DiscloseResponse(request=self._shown(done), disclosure=document)

    def ListProvisions(  # noqa: N802
        self, request: disclosure_pb2.ListProvisionsRequest, context: grpc.ServicerContext
    ) -> disclosure_pb2.ListProvisionsResponse:
        """Older provisions of who was given a disclosure; recorded like it."""
        stored = self._own(request.id)
        if stored.disclosed() is None:
            raise JukiError(Reason.REQUEST_STATE, "nothing was disclosed on this request yet")
        subject = disclosure_pb2.DisclosureSubject.FromString(stored.received.content.subject)
        person = self._find(request.counter, subject)
        response = disclosure_pb2.ListProvisionsResponse()
        if person is not None:
            page = self._documents.provisions(
                person, request.page_size or _DEFAULT_PAGE, request.page_token
            )
            response.provisions.extend(self._documents.shown(page))
            response.next_page_token = page.next_page_token
        self._record(request.counter, subject, person)
        return response

    def RequestCorrection(  # noqa: N802
        self, request: disclosure_pb2.RequestCorrectionRequest, context: grpc.ServicerContext
    ) -> disclosure_pb2.RequestCorrectionResponse:
        """Of who was given a disclosure (Art. 30-35)."""
        doing, content = self._act_of(request, request.counter)
        self._own(request.disclosure_id)
        content = replace(content, disclosure_id=request.disclosure_id, words=request.words)
        stored = self._book.receive(RequestKind.CORRECTION, doing, content)
        return disclosure_pb2.RequestCorrectionResponse(request=self._shown(stored))

    def ListPersonRequests(  # noqa: N802
        self, request: disclosure_pb2.ListPersonRequestsRequest, context: grpc.ServicerContext
    ) -> disclosure_pb2.ListPersonRequestsResponse:
        """What the calling municipality's counters brought."""
        if request.page_token and not _ID.fullmatch(request.page_token):
            raise InvalidValue("the page token is none of ours")
        size = request.page_size or _DEFAULT_PAGE
        found = self._book.requests(
            municipality=self._municipality(),
            open_only=request.open_only,
            limit=size + 1,
            after_id=request.page_token,
        )
        response = disclosure_pb2.ListPersonRequestsResponse(
            requests=[self._shown(stored) for stored in found[:size]]
        )
        if len(found) > size:
            response.next_page_token = found[size - 1].id
        return response

    def _municipality(self) -> str:
        municipality = current_identity().municipality
        if municipality is None:
            raise JukiError(Reason.IDENTITY_NOT_PERMITTED, "only counters of municipalities ask")
        if not self._serves(municipality.digits):
            raise JukiError(Reason.UNKNOWN_MUNICIPALITY, "that municipality is not served here")
        return municipality.digits

    def _act_of(
        self, request: Message, counter: disclosure_pb2.CounterContext
    ) -> tuple[Doing, ActContent]:
        digest = hashlib.sha256(
            request.DESCRIPTOR.name.encode() + b"\0" + request.SerializeToString(deterministic=True)
        ).digest()
        return (
            Doing(self._municipality(), counter.request_id),
            ActContent(office=counter.office, operator=counter.operator, digest=digest),
        )

    def _own(self, id_: str) -> StoredRequest:
        stored = self._book.read(id_)
        if stored.received.municipality != self._municipality():
            # As if it were not there: another municipality learns nothing of it.
            raise JukiError(Reason.RECORD_NOT_FOUND, "there is no such request")
        return stored

    def _find(
        self, counter: disclosure_pb2.CounterContext, subject: disclosure_pb2.DisclosureSubject
    ) -> HeldPerson | None:
        try:
            return self._records.find(subject)
        except JukiError as refusal:
            if refusal.reason is Reason.PERSON_NOT_IDENTIFIED:
                self._audit.log.append(self._entry(counter, subject, refusal=refusal.reason))
            raise

    def _record(
        self,
        counter: disclosure_pb2.CounterContext,
        subject: disclosure_pb2.DisclosureSubject,
        person: HeldPerson | None,
    ) -> None:
        """Returns once the record is durable; raises AuditUnavailable."""
        pseudonymiser = self._audit.pseudonymiser()
        self._audit.log.append(
            replace(
                self._entry(counter, subject),
                article=ARTICLE,
                granted_fields=frozenset(Field),
                pseudonyms=pseudonymiser.pseudonyms([0 if person is None else person.ordinal]),
                pseudonym_key=pseudonymiser.version,
                outcomes=bytes([Outcome.NOT_FOUND if person is None else Outcome.FOUND]),
            )
        )

    def _entry(
        self,
        counter: disclosure_pb2.CounterContext,
        subject: disclosure_pb2.DisclosureSubject,
        refusal: Reason | None = None,
    ) -> AuditRecord:
        return AuditRecord(
            time_unix_nanos=self._audit.clock(),
            body_identity=current_identity().uri,
            request_id=counter.request_id,
            affair=None,
            search_key=search_key(subject),
            office=counter.office,
            operator=counter.operator,
            requested_fields=frozenset(Field),
            refusal=refusal,
        )

    def _shown(self, stored: StoredRequest) -> disclosure_pb2.PersonRequest:
        return shown(stored, self._book)


def shown(stored: StoredRequest, book: RequestBook) -> disclosure_pb2.PersonRequest:
    """A request as its message."""
    request = stored.request
    message = disclosure_pb2.PersonRequest(
        id=stored.id,
        kind=disclosure_pb2.PersonRequestKind.ValueType(int(request.kind)),
        state=disclosure_pb2.PersonRequestState.ValueType(int(request.state)),
        municipality=stored.received.municipality,
        due_on=calendar_date(request.due_on),
        overdue=request.overdue(japanese_day(book.now())),
        fee_yen=request.fee_yen,
        fee_settled=request.fee_settled,
        other_way_agreed=request.other_way_agreed,
        disclosure_id=stored.received.content.disclosure_id,
        words=stored.words,
    )
    message.received_at.FromDatetime(stored.received.acted_at)
    return message
