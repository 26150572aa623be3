"""A person sees what is held on them and who was given it: over mutual TLS, with real custody."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from juki.audit.checkpoint import SignedCheckpoint
from juki.audit.encoding import split
from juki.audit.leaves import leaf_data
from juki.audit.reading import LogRecords
from juki.audit.tree import leaf_hash, proves_inclusion
from juki.audit.verify import verify
from juki.custody.port import SIGNING
from juki.disclosure.acts import ActContent, ActKind
from juki.disclosure.book import office
from juki.domain.change import ChangeReason
from juki.domain.errors import Reason
from juki.domain.legal_basis import Field
from juki.domain.outcome import Outcome
from juki.domain.person_request import RequestState
from juki.rpc.errors import reason_of
from juki.store.data_keys import KeyPurpose
from juki.v1 import disclosure_pb2 as pb
from juki.v1 import disclosure_pb2_grpc, identification_pb2, lookup_pb2
from tests.disclosure_fixtures import FEE, DisclosureServer, Resident
from tests.lookup_fixtures import PENSION

VERIFIER = Path(__file__).parents[2] / "docs" / "verify" / "verify.py"
PENSIONS = lookup_pb2.AffairReference(table=1, item="77")


def looked_up(
    server: DisclosureServer, *people: Resident, fields: list[int] | None = None
) -> lookup_pb2.BatchLookupResponse:
    """The pension office asks about them."""
    request = lookup_pb2.BatchLookupRequest(
        context=lookup_pb2.LookupContext(
            affair=PENSIONS,
            request_id="monthly-0001",
            office="浜松東年金事務所",
            operator="batch-3",
            fields=fields or [lookup_pb2.FIELD_NAME, lookup_pb2.FIELD_ADDRESS],
        ),
        individual_numbers=lookup_pb2.IndividualNumberKeys(values=[int(p.number) for p in people]),
    )
    with server.pension_office() as stub:
        return stub.BatchLookup(request)


def refused(call: Callable[[], object]) -> Reason:
    with pytest.raises(grpc.RpcError) as error:
        call()
    reason = reason_of(error.value)
    assert reason is not None
    return reason


def test_a_person_sees_a_lookup_made_just_now_with_body_article_affair_and_fields(
    disclosure_server: DisclosureServer,
) -> None:
    me = disclosure_server.enter("駿河　太郎")
    other = disclosure_server.enter("遠州　次郎")
    with disclosure_server.at_the_counter() as stub:
        request = disclosure_server.requested(stub, me)
        assert looked_up(disclosure_server, other, me).results[1].outcome == 1
        answer = stub.Disclose(disclosure_server.in_writing(request.id))
    (provision,) = answer.disclosure.provisions
    assert provision.body_identity == PENSION
    assert provision.body_name == "日本年金機構"
    assert (provision.office, provision.operator) == ("浜松東年金事務所", "batch-3")
    assert provision.article == "30-9"
    assert provision.article_words == "住民基本台帳法第30条の9"
    assert provision.affair == "1:77"
    assert "国民年金法" in provision.affair_words
    assert list(provision.field_words) == ["氏名", "住所"]
    assert provision.outcome == lookup_pb2.LOOKUP_OUTCOME_FOUND
    assert (provision.log_sequence, provision.log_index) == (1, 1)


def test_each_provision_carries_the_proof_that_it_stands_in_the_log(
    disclosure_server: DisclosureServer, tmp_path: Path
) -> None:
    key = tmp_path / "signing.pem"
    certificate = disclosure_server.nation.custody.certificate_chain(SIGNING)[0]
    key.write_bytes(x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM))
    me = disclosure_server.enter("駿河　太郎")
    other = disclosure_server.enter("遠州　次郎")
    for _ in range(3):
        looked_up(disclosure_server, other, me)
    with disclosure_server.at_the_counter() as stub:
        provisions = disclosure_server.disclosed(stub, me).disclosure.provisions
    assert len(provisions) == 3
    directory = disclosure_server.log_directory
    records = LogRecords(directory)
    for one in provisions:
        proof = json.loads(one.proof.json)
        assert (proof["sequence"], proof["person"]["index"]) == (one.log_sequence, one.log_index)
        checkpoint = SignedCheckpoint.parse(proof["checkpoint"]).checkpoint
        assert checkpoint.origin.startswith("national.juki.example")
        leaf = leaf_hash(leaf_data(split(records.record(one.log_sequence))))
        path = [bytes.fromhex(hash_) for hash_ in proof["path"]]
        place = one.log_sequence - 1
        assert proves_inclusion(leaf, place, checkpoint.size, path, checkpoint.root)
        pseudonyms = split(records.record(one.log_sequence)).pseudonyms
        own = pseudonyms[16 * one.log_index : 16 * (one.log_index + 1)]
        assert proof["person"]["pseudonym"] == own.hex()
        # And to outsiders, by the verifier that has nothing of ours.
        (tmp_path / "proof.json").write_text(one.proof.json, "utf-8")
        done = subprocess.run(
            [sys.executable, VERIFIER, "proof", tmp_path / "proof.json", "--key", key],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, "HOLDS" in done.stdout) == (0, True), done.stdout
    records.close()


def test_a_person_is_shown_what_is_held_and_its_whole_change_history(
    disclosure_server: DisclosureServer,
) -> None:
    me = disclosure_server.enter(
        "髙橋　花子", later=(ChangeReason.MINOR_CORRECTION, "\u8fbb\U000e0100　花子")
    )
    with disclosure_server.at_the_counter() as stub:
        disclosure = disclosure_server.disclosed(stub, me).disclosure
    assert disclosure.held
    assert disclosure.discloser == "地方公共団体情報システム機構"
    assert disclosure.residency_words == "居住"
    (record,) = disclosure.records
    assert record.information.name.written == "\u8fbb\U000e0100　花子"
    assert record.information.individual_number == me.number
    assert record.information.resident_record_code == me.code
    assert record.is_current
    assert [one.reason_words for one in disclosure.changes] == ["軽微な修正", "出生"]
    assert disclosure.changes[1].information.name.written == "髙橋　花子"
    assert disclosure.changes_complete


def test_of_whom_nothing_is_held_that_is_told(disclosure_server: DisclosureServer) -> None:
    nobody = Resident("24727059608", "123456789018", "")
    with disclosure_server.at_the_counter() as stub:
        disclosure = disclosure_server.disclosed(stub, nobody).disclosure
    assert not disclosure.held
    assert not disclosure.records
    assert disclosure_server.records()[-1].outcomes == bytes([Outcome.NOT_FOUND])


def test_a_disclosure_is_itself_recorded_and_the_person_sees_it_the_next_time(
    disclosure_server: DisclosureServer,
) -> None:
    me = disclosure_server.enter("駿河　太郎")
    with disclosure_server.at_the_counter() as stub:
        disclosure_server.disclosed(stub, me)
        (record,) = disclosure_server.records()
        assert record.article == "30-32"
        assert record.body_identity == "spiffe://pref22.juki.example/cs/221309"
        assert (record.office, record.operator) == ("市民課", "operator-17")
        assert record.granted_fields == frozenset(Field)
        assert verify(disclosure_server.log_directory).problem is None
        disclosure = disclosure_server.disclosed(stub, me).disclosure
    (provision,) = disclosure.provisions
    assert provision.article_words == "住民基本台帳法第30条の32"
    assert provision.body_name == "静岡県浜松市"


def test_nothing_is_disclosed_that_cannot_be_recorded(disclosure_server: DisclosureServer) -> None:
    me = disclosure_server.enter("駿河　太郎")
    with disclosure_server.at_the_counter() as stub:
        request = disclosure_server.requested(stub, me)
        disclosure_server.audit.close()
        call = disclosure_server.in_writing(request.id)
        assert refused(lambda: stub.Disclose(call)) is Reason.AUDIT_UNAVAILABLE
    # Nor is it held to be disclosed: the thirty days run on.
    assert disclosure_server.book.read(request.id).request.state is RequestState.RECEIVED


def test_a_disclosure_repeated_under_its_id_gives_the_first_answer_again(
    disclosure_server: DisclosureServer,
) -> None:
    me = disclosure_server.enter("駿河　太郎")
    with disclosure_server.at_the_counter() as stub:
        request = disclosure_server.requested(stub, me)
        call = disclosure_server.in_writing(request.id)
        first = stub.Disclose(call)
        looked_up(disclosure_server, me)
        assert stub.Disclose(call) == first
        another = disclosure_server.in_writing(request.id)
        assert refused(lambda: stub.Disclose(another)) is Reason.REQUEST_STATE
        call.way = pb.DISCLOSURE_WAY_OTHER
        assert refused(lambda: stub.Disclose(call)) is Reason.REQUEST_ID_REUSED
    assert [one.article for one in disclosure_server.records()] == ["30-32", "30-9", "30-32"]


def test_a_caller_who_is_not_on_the_list_is_refused(disclosure_server: DisclosureServer) -> None:
    me = disclosure_server.enter("駿河　太郎")
    with disclosure_server.channel(disclosure_server.agency) as channel:
        stub = disclosure_pb2_grpc.DisclosureServiceStub(channel)
        for call in (
            lambda: stub.RequestDisclosure(
                pb.RequestDisclosureRequest(counter=disclosure_server.act(), subject=me.subject)
            ),
            lambda: stub.Disclose(disclosure_server.in_writing("D-2026-00000001")),
            lambda: stub.ListPersonRequests(pb.ListPersonRequestsRequest()),
        ):
            assert refused(call) is Reason.IDENTITY_NOT_PERMITTED
    assert disclosure_server.records() == []
    assert disclosure_server.book.requests() == []


def test_a_mistyped_number_is_refused_and_the_attempt_recorded(
    disclosure_server: DisclosureServer,
) -> None:
    other = disclosure_server.enter("遠州　次郎")
    subject = other.subject
    subject.birth_date.day = 20
    with disclosure_server.at_the_counter() as stub:
        call = pb.RequestDisclosureRequest(counter=disclosure_server.act(), subject=subject)
        assert refused(lambda: stub.RequestDisclosure(call)) is Reason.PERSON_NOT_IDENTIFIED
    (record,) = disclosure_server.records()
    assert record.refusal is Reason.PERSON_NOT_IDENTIFIED
    assert (record.pseudonyms, record.operator) == (b"", "operator-17")
    assert disclosure_server.book.requests() == []


def test_a_person_is_found_by_the_four_items_unless_several_answer_to_them(
    disclosure_server: DisclosureServer,
) -> None:
    me = disclosure_server.enter("駿河　太郎")
    with disclosure_server.at_the_counter() as stub:
        held = disclosure_server.disclosed(stub, me).disclosure.records[0].information
        subject = me.subject
        subject.four_items.CopyFrom(
            identification_pb2.FourItems(
                name=held.name, birth_date=held.birth_date, sex=held.sex, address=held.address
            )
        )

        def request() -> pb.PersonRequest:
            call = pb.RequestDisclosureRequest(counter=disclosure_server.act(), subject=subject)
            return stub.RequestDisclosure(call).request

        assert request().state == pb.PERSON_REQUEST_STATE_RECEIVED
        disclosure_server.enter("駿河　太郎")
        assert refused(request) is Reason.PERSON_NOT_IDENTIFIED


def test_the_fee_is_asked_at_the_nation(disclosure_server: DisclosureServer) -> None:
    me = disclosure_server.enter("駿河　太郎")
    with disclosure_server.at_the_counter() as stub:
        request = stub.RequestDisclosure(
            pb.RequestDisclosureRequest(counter=disclosure_server.act(), subject=me.subject)
        ).request
        assert (request.fee_yen, request.fee_settled) == (FEE, False)
        call = disclosure_server.in_writing(request.id)
        assert refused(lambda: stub.Disclose(call)) is Reason.FEE_NOT_PAID
        paid = pb.RecordFeeRequest(counter=disclosure_server.act(), id=request.id, paid_yen=FEE)
        assert stub.RecordFee(paid).request.fee_settled
        assert stub.Disclose(call).request.state == pb.PERSON_REQUEST_STATE_DISCLOSED


def test_the_fee_is_not_asked_at_the_prefecture(governors_server: DisclosureServer) -> None:
    me = governors_server.enter("駿河　太郎")
    with governors_server.at_the_counter() as stub:
        request = stub.RequestDisclosure(
            pb.RequestDisclosureRequest(counter=governors_server.act(), subject=me.subject)
        ).request
        assert (request.fee_yen, request.fee_settled) == (0, True)
        answer = stub.Disclose(governors_server.in_writing(request.id))
    assert answer.disclosure.discloser == "静岡県知事"
    assert answer.disclosure.discloser_identity == "spiffe://pref22.juki.example/server"


def test_on_a_screen_only_where_the_person_agreed(disclosure_server: DisclosureServer) -> None:
    me = disclosure_server.enter("駿河　太郎")
    with disclosure_server.at_the_counter() as stub:
        for agreed in (False, True):
            request = stub.RequestDisclosure(
                pb.RequestDisclosureRequest(
                    counter=disclosure_server.act(), subject=me.subject, other_way_agreed=agreed
                )
            ).request
            paid = pb.RecordFeeRequest(counter=disclosure_server.act(), id=request.id, paid_yen=FEE)
            stub.RecordFee(paid)
            call = disclosure_server.in_writing(request.id)
            call.way = pb.DISCLOSURE_WAY_OTHER
            if agreed:
                assert stub.Disclose(call).disclosure.held
            else:
                assert refused(lambda: stub.Disclose(call)) is Reason.REQUEST_STATE  # noqa: B023


def test_thirty_days_pass_and_the_municipality_sees_that_it_is_overdue(
    disclosure_server: DisclosureServer,
) -> None:
    me = disclosure_server.enter("駿河　太郎")
    with disclosure_server.at_the_counter() as stub:
        disclosure_server.disclosed(stub, me)
        owed = disclosure_server.requested(stub, me)
        listing = pb.ListPersonRequestsRequest(open_only=True)
        (seen,) = stub.ListPersonRequests(listing).requests
        assert (seen.id, seen.overdue) == (owed.id, False)
        disclosure_server.clock.advance(days=30)
        (seen,) = stub.ListPersonRequests(listing).requests
        assert (seen.id, seen.overdue) == (owed.id, True)
        first = stub.ListPersonRequests(pb.ListPersonRequestsRequest(page_size=1))
        second = stub.ListPersonRequests(
            pb.ListPersonRequestsRequest(page_size=1, page_token=first.next_page_token)
        )
        assert [one.id for one in (*first.requests, *second.requests)][1] == owed.id
        assert second.next_page_token == ""


def test_a_correction_is_asked_for_after_a_disclosure_and_answered_by_the_office(
    disclosure_server: DisclosureServer,
) -> None:
    me = disclosure_server.enter("駿河　太郎")
    book = disclosure_server.book
    with disclosure_server.at_the_counter() as stub:
        owed = disclosure_server.requested(stub, me)
        wish = pb.RequestCorrectionRequest(
            counter=disclosure_server.act(), disclosure_id=owed.id, words="名の振り仮名が違う"
        )
        assert refused(lambda: stub.RequestCorrection(wish)) is Reason.REQUEST_STATE
        wish.disclosure_id = disclosure_server.disclosed(stub, me).request.id
        request = stub.RequestCorrection(wish).request
        assert stub.RequestCorrection(wish).request == request
        assert request.disclosure_id == wish.disclosure_id
        assert request.words == ""
        book.act(request.id, ActKind.INVESTIGATION_BEGUN, office("begin-0001"), ActContent())
        answer = ActContent(outcome=int(RequestState.NOT_CORRECTED), words="戸籍と一致しています")
        book.act(request.id, ActKind.ANSWERED, office("answer-0001"), answer)
        seen = stub.ListPersonRequests(pb.ListPersonRequestsRequest()).requests
    answered = next(one for one in seen if one.id == request.id)
    assert answered.state == pb.PERSON_REQUEST_STATE_NOT_CORRECTED
    assert answered.words == "戸籍と一致しています"


def test_older_provisions_come_page_by_page_and_under_every_pseudonym_key(
    disclosure_server: DisclosureServer,
) -> None:
    me = disclosure_server.enter("駿河　太郎")
    other = disclosure_server.enter("遠州　次郎")
    for _ in range(3):
        looked_up(disclosure_server, me, other)
    keys = disclosure_server.nation.sealing.keys
    keys.make_next(KeyPurpose.PSEUDONYMS)
    disclosure_server.pseudonym_keys.refresh()
    for _ in range(3):
        looked_up(disclosure_server, other, me)
    with disclosure_server.at_the_counter() as stub:
        answer = disclosure_server.disclosed(stub, me)
        assert [one.log_sequence for one in answer.disclosure.provisions] == [6, 5, 4, 3, 2, 1]
        pages, token = [], ""
        while not pages or token:
            page = stub.ListProvisions(
                pb.ListProvisionsRequest(
                    counter=disclosure_server.act(),
                    id=answer.request.id,
                    page_size=4,
                    page_token=token,
                )
            )
            pages.append([one.log_sequence for one in page.provisions])
            token = page.next_page_token
    # Each page is a disclosure, recorded too: the second reads on from where the first ended.
    assert pages == [[7, 6, 5, 4], [3, 2, 1]]


def test_another_persons_entries_never_appear(disclosure_server: DisclosureServer) -> None:
    people = [disclosure_server.enter(f"駿河　{name}") for name in "一二三四五"]
    chance = random.Random(20261124)
    expected: dict[str, list[tuple[int, int]]] = {one.number: [] for one in people}
    for sequence in range(1, 31):
        asked = chance.sample(people, chance.randint(1, len(people)))
        looked_up(disclosure_server, *asked)
        for index, one in enumerate(asked):
            expected[one.number].append((sequence, index))
    with disclosure_server.at_the_counter() as stub:
        for one in people:
            provisions = disclosure_server.disclosed(stub, one).disclosure.provisions
            found = [(entry.log_sequence, entry.log_index) for entry in provisions]
            assert found == sorted(expected[one.number], reverse=True)
