"""Who asks for what, what leaves, and what is recorded first: over mutual TLS, on real parts."""

from __future__ import annotations

import datetime
import errno
import os
from pathlib import Path

import grpc
import pytest

from juki.audit.verify import verify
from juki.domain.errors import Reason
from juki.domain.legal_basis import AffairReference, Field, SearchKey
from juki.domain.outcome import Outcome
from juki.domain.residency import ResidencyStatus
from juki.index.port import PersonState
from juki.rpc.errors import details_of, reason_of
from juki.v1 import identification_pb2 as pb
from juki.v1 import lookup_pb2
from tests.custody_fixtures import RunningCustody, TrustDomain
from tests.lookup_fixtures import (
    PENSION,
    PSEUDONYMISER,
    LookupServer,
    running_lookup_server,
)
from tests.people import code, four_items_of, number, person

ALL_FIELDS = lookup_pb2.Field.values()[1:]
WITH_NUMBER = lookup_pb2.AffairReference(table=1, item="77")
WITHOUT_NUMBER = lookup_pb2.AffairReference(table=1, item="41")


def context(
    affair: lookup_pb2.AffairReference = WITH_NUMBER, fields: list[int] = ALL_FIELDS
) -> lookup_pb2.LookupContext:
    return lookup_pb2.LookupContext(
        affair=affair,
        request_id="request-0001",
        office="Hamamatsu",
        operator="monthly batch",
        fields=fields,
    )


def batch(bodies: list[int], **of_context: object) -> lookup_pb2.BatchLookupRequest:
    return lookup_pb2.BatchLookupRequest(
        context=context(**of_context),
        individual_numbers=lookup_pb2.IndividualNumberKeys(
            values=[int(number(body)) for body in bodies]
        ),
    )


def load(server: LookupServer, *people: pb.IdentificationInformation) -> None:
    """Persons with ordinals 1, 2, …"""
    server.index.apply(
        [
            PersonState(ordinal, ResidencyStatus.RESIDENT, one.SerializeToString())
            for ordinal, one in enumerate(people, 1)
        ],
        [],
    )


def without(
    information: pb.IdentificationInformation, *fields: str
) -> pb.IdentificationInformation:
    left = pb.IdentificationInformation()
    left.CopyFrom(information)
    for field in fields:
        owner, _, name = field.rpartition(".")
        (getattr(left, owner) if owner else left).ClearField(name)
    return left


CHANGED = person(
    1,
    former_code="24727059608",
    former_number="123456789018",
    kind=pb.CHANGE_KIND_NUMBER_CHANGE,
    reason=pb.CHANGE_REASON_NUMBER_CHANGE_REQUEST,
)


def test_a_pension_office_with_a_number_use_basis_is_given_everything_but_the_code(
    lookup_server: LookupServer,
) -> None:
    load(lookup_server, CHANGED)
    request = lookup_pb2.LookupRequest(context=context(), individual_number=number(1))
    with lookup_server.stub() as stub:
        response = stub.Lookup(request)
    assert response.result.outcome == lookup_pb2.LOOKUP_OUTCOME_FOUND
    assert response.result.information == without(
        CHANGED, "resident_record_code", "change.former_resident_record_code"
    )
    assert list(response.withheld) == [
        lookup_pb2.WithheldField(field=lookup_pb2.FIELD_RESIDENT_RECORD_CODE, article="30-9")
    ]


def test_a_pension_office_cannot_see_individual_numbers_without_a_number_use_basis(
    lookup_server: LookupServer,
) -> None:
    load(lookup_server, CHANGED)
    request = lookup_pb2.LookupRequest(
        context=context(WITHOUT_NUMBER), four_items=four_items_of(CHANGED)
    )
    with lookup_server.stub() as stub:
        response = stub.Lookup(request)
    assert response.result.information == without(
        CHANGED,
        "resident_record_code",
        "individual_number",
        "change.former_resident_record_code",
        "change.former_individual_number",
    )
    assert [one.field for one in response.withheld] == [
        lookup_pb2.FIELD_RESIDENT_RECORD_CODE,
        lookup_pb2.FIELD_INDIVIDUAL_NUMBER,
    ]


def test_only_what_was_asked_for_leaves(lookup_server: LookupServer) -> None:
    load(lookup_server, CHANGED)
    with lookup_server.stub() as stub:
        response = stub.BatchLookup(batch([1], fields=[lookup_pb2.FIELD_CHANGE]))
    given = response.results[0].information
    assert given.change.reason == pb.CHANGE_REASON_NUMBER_CHANGE_REQUEST
    assert given.change.former_individual_number == ""
    assert without(given, "change") == pb.IdentificationInformation()
    assert not response.withheld


def test_a_batch_answers_each_person_in_order_and_is_recorded_before_it_is_answered(
    lookup_server: LookupServer,
) -> None:
    load(lookup_server, person(1), person(2))
    lookup_server.index.apply(
        [PersonState(3, ResidencyStatus.DISPUTED, b"", (person(3).SerializeToString(),))], []
    )
    with lookup_server.stub() as stub:
        response = stub.BatchLookup(batch([2, 9, 3, 1]))
    assert [one.outcome for one in response.results] == [1, 2, 3, 1]
    assert response.results[0].information.name == person(2).name
    assert not response.results[2].HasField("information")

    (record,) = lookup_server.records()
    assert record.body_identity == PENSION
    assert record.request_id == "request-0001"
    assert record.affair == AffairReference(1, "77")
    assert record.search_key is SearchKey.INDIVIDUAL_NUMBER
    assert (record.office, record.operator) == ("Hamamatsu", "monthly batch")
    assert record.requested_fields == frozenset(Field)
    assert record.granted_fields == frozenset(Field) - {Field.RESIDENT_RECORD_CODE}
    assert record.article == "30-9"
    assert record.refusal is None
    assert record.outcomes == bytes(
        [Outcome.FOUND, Outcome.NOT_FOUND, Outcome.DISPUTED, Outcome.FOUND]
    )
    assert record.pseudonyms == PSEUDONYMISER.pseudonyms([2, 0, 3, 1])
    assert verify(lookup_server.log_directory).problem is None
    assert lookup_server.sample("juki_lookups_total", outcome="found", table="1") == 2
    assert lookup_server.sample("juki_lookup_stage_seconds_count", stage="record") == 1


def test_a_refused_lookup_is_recorded_too(lookup_server: LookupServer) -> None:
    request = lookup_pb2.LookupRequest(context=context(), resident_record_code=code(1))
    with lookup_server.stub() as stub, pytest.raises(grpc.RpcError) as refused:
        stub.Lookup(request)
    assert reason_of(refused.value) is Reason.SEARCH_KEY_NOT_GRANTED
    (record,) = lookup_server.records()
    assert record.refusal is Reason.SEARCH_KEY_NOT_GRANTED
    assert record.body_identity == PENSION
    assert (record.outcomes, record.pseudonyms, record.article) == (b"", b"", "30-9")
    assert (
        lookup_server.sample(
            "juki_lookup_refusals_total", reason="SEARCH_KEY_NOT_GRANTED", table="1"
        )
        == 1
    )


def test_a_basis_that_is_no_row_of_a_table_is_recorded_with_its_affair(
    lookup_server: LookupServer,
) -> None:
    load(lookup_server, person(1))
    request = batch([1])
    request.context.basis.provision = "30-15(1)(ii)"
    request.context.basis.affair = "shizuoka-2003.30-4"
    request.context.ClearField("affair")
    with lookup_server.stub() as stub, pytest.raises(grpc.RpcError) as refused:
        stub.BatchLookup(request)
    assert reason_of(refused.value) in {Reason.AFFAIR_UNKNOWN, Reason.AFFAIR_NOT_GRANTED}
    (record,) = lookup_server.records()
    assert record.affair is None
    assert (record.article, record.affair_id) == ("30-15(1)(ii)", "shizuoka-2003.30-4")


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("9", Reason.AFFAIR_NOT_GRANTED),
        ("999", Reason.AFFAIR_UNKNOWN),
        ("0", Reason.AFFAIR_UNKNOWN),
    ],
)
def test_an_affair_that_is_not_granted_refuses_the_whole_batch(
    lookup_server: LookupServer,
    item: str,
    reason: Reason,
) -> None:
    load(lookup_server, person(1))
    affair = lookup_pb2.AffairReference(table=1, item=item)
    with lookup_server.stub() as stub, pytest.raises(grpc.RpcError) as refused:
        stub.BatchLookup(batch([1], affair=affair))
    assert reason_of(refused.value) is reason
    assert [record.refusal for record in lookup_server.records()] == [reason]


def test_a_request_that_breaks_the_contract_is_refused_with_the_rule_it_breaks(
    lookup_server: LookupServer,
) -> None:
    broken = batch([1])
    broken.context.office = ""
    with lookup_server.stub() as stub, pytest.raises(grpc.RpcError) as refused:
        stub.BatchLookup(broken)
    refusal = details_of(refused.value)
    assert refusal.reason is Reason.INVALID_FIELD
    assert [(one.field, one.rule) for one in refusal.violations] == [
        ("context.office", "string.min_len")
    ]


def test_bytes_that_are_no_request_are_refused(lookup_server: LookupServer) -> None:
    with lookup_server.channel() as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary("/juki.v1.LookupService/BatchLookup")(b"\x0a\xff")
    assert reason_of(refused.value) is Reason.MALFORMED_MESSAGE


def test_nothing_is_answered_when_the_disk_of_the_log_is_full(
    trust_domain: TrustDomain,
    national_custody: RunningCustody,
    pension_custody: RunningCustody,
    tmp_path: Path,
) -> None:
    full = False

    def sync(descriptor: int) -> None:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fdatasync(descriptor)

    with (
        running_lookup_server(
            trust_domain, national_custody.client, pension_custody, tmp_path, sync=sync
        ) as server,
        server.stub() as stub,
    ):
        load(server, person(1))
        assert stub.BatchLookup(batch([1])).results[0].outcome == 1
        full = True
        for call in (
            lambda: stub.BatchLookup(batch([1])),
            lambda: stub.Lookup(
                lookup_pb2.LookupRequest(context=context(), individual_number=number(1))
            ),
            lambda: list(stub.StreamLookup(lookup_pb2.StreamLookupRequest(batch=batch([1])))),
            lambda: list(
                stub.ExchangeLookup(iter([lookup_pb2.ExchangeLookupRequest(batch=batch([1]))]))
            ),
            # A refusal that cannot be recorded says so, and not why it was one.
            lambda: stub.BatchLookup(
                batch([1], affair=lookup_pb2.AffairReference(table=1, item="9"))
            ),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                call()
            assert reason_of(refused.value) is Reason.AUDIT_UNAVAILABLE
        unanswered = server.sample(
            "juki_lookup_refusals_total", reason="AUDIT_UNAVAILABLE", table="1"
        )
        assert unanswered == 5


def test_nothing_is_answered_once_the_log_is_closed(
    lookup_server: LookupServer,
) -> None:
    load(lookup_server, person(1))
    lookup_server.audit.close()
    with lookup_server.stub() as stub, pytest.raises(grpc.RpcError) as refused:
        stub.BatchLookup(batch([1]))
    assert reason_of(refused.value) is Reason.AUDIT_UNAVAILABLE
    assert lookup_server.records() == []


def test_a_stream_answers_in_chunks_each_recorded_and_names_what_is_withheld_once(
    lookup_server: LookupServer,
) -> None:
    load(lookup_server, *(person(body) for body in range(1, 8)))
    request = lookup_pb2.StreamLookupRequest(batch=batch(list(range(1, 8))), chunk_size=3)
    with lookup_server.stub() as stub:
        chunks = list(stub.StreamLookup(request))
    assert [chunk.offset for chunk in chunks] == [0, 3, 6]
    assert [len(chunk.chunk.results) for chunk in chunks] == [3, 3, 1]
    assert [len(chunk.chunk.withheld) for chunk in chunks] == [1, 0, 0]
    assert chunks[2].chunk.results[0].information.name == person(7).name
    assert [len(record.outcomes) for record in lookup_server.records()] == [3, 3, 1]


def test_an_exchange_decides_each_chunk_at_its_own_arrival(
    lookup_server: LookupServer,
) -> None:
    load(lookup_server, person(1), person(2))
    requests = [
        lookup_pb2.ExchangeLookupRequest(chunk_id=70, batch=batch([1])),
        lookup_pb2.ExchangeLookupRequest(chunk_id=71, batch=batch([2, 9], fields=[1])),
        lookup_pb2.ExchangeLookupRequest(
            chunk_id=72, batch=batch([1], affair=lookup_pb2.AffairReference(table=1, item="9"))
        ),
    ]
    with lookup_server.stub() as stub:
        responses = stub.ExchangeLookup(iter(requests))
        answered = [next(responses), next(responses)]
        with pytest.raises(grpc.RpcError) as refused:
            next(responses)
    assert [response.chunk_id for response in answered] == [70, 71]
    assert answered[1].chunk.results[0].information == pb.IdentificationInformation(
        name=person(2).name
    )
    assert reason_of(refused.value) is Reason.AFFAIR_NOT_GRANTED
    assert [record.refusal for record in lookup_server.records()] == [
        None,
        None,
        Reason.AFFAIR_NOT_GRANTED,
    ]


def test_four_items_that_no_register_can_hold_find_nobody(
    lookup_server: LookupServer,
) -> None:
    load(lookup_server, person(1))
    impossible = four_items_of(person(1))
    impossible.birth_date.month, impossible.birth_date.day = 2, 31
    request = lookup_pb2.BatchLookupRequest(
        context=context(),
        four_items=lookup_pb2.FourItemsKeys(values=[impossible, four_items_of(person(1))]),
    )
    with lookup_server.stub() as stub:
        response = stub.BatchLookup(request)
    assert [one.outcome for one in response.results] == [2, 1]


def test_who_is_not_an_agency_is_refused_before_anything_is_looked_up(
    lookup_server: LookupServer,
    provisioned_host: RunningCustody,
) -> None:
    lookup_server.agency = provisioned_host
    with lookup_server.stub() as stub, pytest.raises(grpc.RpcError) as refused:
        stub.BatchLookup(batch([1]))
    assert reason_of(refused.value) is Reason.IDENTITY_NOT_PERMITTED
    assert lookup_server.records() == []


TOWN = f"""
[[agency]]
identity = "{PENSION}"
name = "豊田市長"
kind = "mayor"
place = "232114"
governor = "spiffe://pref23.juki.example/server"

  [[agency.grant]]
  provision = "30-10(1)(iv)"
  search_keys = ["INDIVIDUAL_NUMBER"]

  [[agency.grant]]
  provision = "30-12(1)(iv)"
  search_keys = ["INDIVIDUAL_NUMBER"]

  [[agency.grant]]
  provision = "30-10(1)(iii)"
  search_keys = ["INDIVIDUAL_NUMBER"]
"""


def test_a_mayor_finds_under_30_10_only_whom_the_own_prefecture_notified(
    trust_domain: TrustDomain,
    national_custody: RunningCustody,
    pension_custody: RunningCustody,
    tmp_path: Path,
) -> None:
    toyota, hamamatsu, disputed, abroad = person(1), person(2), person(3), person(4)
    toyota.address.municipality = abroad.address.municipality = "232114"
    given = {
        ordinal: PersonState(ordinal, status, information.SerializeToString())
        for ordinal, status, information in (
            (1, ResidencyStatus.RESIDENT, toyota),
            (2, ResidencyStatus.RESIDENT, hamamatsu),
            (4, ResidencyStatus.MOVED_ABROAD, abroad),
        )
    }
    claim = disputed.SerializeToString()
    given[3] = PersonState(3, ResidencyStatus.DISPUTED, b"", (claim,))
    with (
        running_lookup_server(
            trust_domain, national_custody.client, pension_custody, tmp_path, bodies=TOWN
        ) as server,
        server.stub() as stub,
    ):
        server.index.apply([given[ordinal] for ordinal in sorted(given)], [])
        request = batch([1, 2, 3, 4])
        request.context.basis.provision = "30-10(1)(iv)"
        request.context.ClearField("affair")
        registers = stub.BatchLookup(request)
        request.context.basis.provision = "30-10(1)(iii)"
        cards = stub.BatchLookup(request)
        request.context.basis.provision = "30-12(1)(iv)"
        with pytest.raises(grpc.RpcError) as refused:
            stub.BatchLookup(request)
        records = server.records()
    found, not_found, in_dispute = (
        lookup_pb2.LOOKUP_OUTCOME_FOUND,
        lookup_pb2.LOOKUP_OUTCOME_NOT_FOUND,
        lookup_pb2.LOOKUP_OUTCOME_DISPUTED,
    )
    assert [one.outcome for one in registers.results] == [found, not_found, in_dispute, found]
    assert registers.results[0].information == toyota  # the code too
    assert not registers.results[1].HasField("information")
    assert [one.outcome for one in cards.results] == [not_found, not_found, in_dispute, found]
    assert reason_of(refused.value) is Reason.ROUTE_NOT_PERMITTED  # not by way of the governor
    assert [record.article for record in records] == [
        "30-10(1)(iv)",
        "30-10(1)(iii)",
        "30-12(1)(iv)",
    ]
    assert records[0].pseudonyms == PSEUDONYMISER.pseudonyms([1, 0, 3, 4])


def test_a_running_server_decides_by_the_new_revision_from_midnight_on(
    trust_domain: TrustDomain,
    national_custody: RunningCustody,
    pension_custody: RunningCustody,
    tmp_path: Path,
) -> None:
    revision = tmp_path / "law" / "2026-08-22"
    revision.mkdir(parents=True)
    rows = Path("juki/data/legal_affairs.tsv").read_text(encoding="utf-8").splitlines(True)
    kept = "".join(row for row in rows if not row.startswith("1\t77\t"))
    (revision / "legal_affairs.tsv").write_text(kept, encoding="utf-8")
    midnight = int(datetime.datetime.fromisoformat("2026-08-22T00:00:00+09:00").timestamp())
    now = (midnight - 1) * 10**9
    with (
        running_lookup_server(
            trust_domain,
            national_custody.client,
            pension_custody,
            tmp_path,
            revisions=revision.parent,
            clock=lambda: now,
        ) as server,
        server.stub() as stub,
    ):
        load(server, person(1))
        assert stub.BatchLookup(batch([1])).results[0].outcome == 1
        now = midnight * 10**9
        with pytest.raises(grpc.RpcError) as refused:
            stub.BatchLookup(batch([1]))
        assert reason_of(refused.value) is Reason.AFFAIR_UNKNOWN
        times = [record.time_unix_nanos for record in server.records()]
    assert times == [(midnight - 1) * 10**9, midnight * 10**9]
