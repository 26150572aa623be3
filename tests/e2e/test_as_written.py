"""What a register wrote comes back as written: from a line of a drop file to a body's answer.

Untidy people: variation sequences, foreign residents, former surnames, birth dates known in part,
addresses of every length. They are found under what people write instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from juki.audit.port import AuditRecord
from juki.demo.checks import ALL_FIELDS, NATIONAL_PENSION
from juki.demo.gateway import Register
from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan
from juki.v1 import identification_pb2, lookup_pb2, lookup_pb2_grpc, register_pb2
from tests.e2e.asking import records_of
from tests.network_fixtures import metric, wait_until

MUNICIPALITY = "221309"
WARD = "221384"


def items(
    name: dict[str, str],
    birth: tuple[int, int, int] = (1985, 4, 2),
    sex: str = "FEMALE",
    town: str = "中央区元城町",
    remainder: str = "103番地の2",
) -> identification_pb2.FourItems:
    return identification_pb2.FourItems(
        name=identification_pb2.PersonName(**name),
        birth_date=identification_pb2.BirthDate(year=birth[0], month=birth[1], day=birth[2]),
        sex=identification_pb2.Sex.Value(f"SEX_{sex}"),
        address=identification_pb2.Address(municipality=WARD, town=town, remainder=remainder),
    )


PEOPLE = {
    "variation sequences": items(
        {"written": "葛\U000e0100城　辻\U000e0101子", "reading": "カツラギ　ツジコ"}
    ),
    "old forms": items({"written": "髙﨑　德濵", "reading": "タカサキ　ノリハマ"}),
    "outside of the plane": items({"written": "𠮷野　𩸽", "reading": "ヨシノ　ホッケ"}),
    "a foreign resident": items(
        {
            "written": "NGUYEN THI HOA",
            "reading": "",
            "alphabet": "NGUYEN THI HOA",
            "common_name": "山田　花",
        },
        sex="NOT_RECORDED",
    ),
    "a former surname": items(
        {"written": "齋藤　みづゑ", "reading": "サイトウ　ミヅヱ", "former_surname": "渡邉"}
    ),
    "a day not known": items({"written": "明治　花"}, birth=(1931, 4, 0)),
    "a month not known": items({"written": "明治　月"}, birth=(1931, 0, 0)),
    "a leap day": items({"written": "閏　日"}, birth=(1984, 2, 29)),
    "all as long as may be": items(
        {
            "written": "𠮷" * 200,
            "reading": "ア" * 200,
            "alphabet": "Z" * 200,
            "common_name": "𩸽" * 200,
            "former_surname": "𠮷" * 200,
        },
        town="𡈽" * 200,
        remainder="𣘺" * 200,
    ),
    "spaces at the ends": items({"written": " 空　白 ", "reading": "　"}, remainder=" "),
    "combining marks": items({"written": "か\u3099く　は\u309aぴ"}, remainder="e\u0301"),
    "quotation marks": items({"written": "\"'\\{}<>&%s　;--"}, remainder="\u2028\u200b\ufeff"),
}

AS_ASKED_FOR = {
    "variation sequences": items({"written": "葛城辻子"}),
    "old forms": items({"written": "高崎　徳浜"}, remainder="１０３－２"),
    "a foreign resident": items({"written": "山田花"}, sex="NOT_RECORDED"),
    "a former surname": items({"written": "渡辺みづゑ"}),
    "a day not known": items({"written": "明治花"}, birth=(1931, 4, 0)),
}
"""The same people as others write them."""


def line_of(number: int, person: identification_pb2.FourItems) -> str:
    name = {
        field.name: getattr(person.name, field.name)
        for field in person.name.DESCRIPTOR.fields
        if getattr(person.name, field.name)
    }
    birth = person.birth_date
    parts = [f"{birth.year:04d}"] + [f"{part:02d}" for part in (birth.month, birth.day) if part]
    return json.dumps(
        {
            "event_id": f"person-{number}",
            "record_id": f"record-{number}",
            "reason": "EX_OFFICIO_ENTRY",
            "event_date": "2026-04-01",
            "name": name,
            "birth_date": "-".join(parts),
            "sex": identification_pb2.Sex.Name(person.sex).removeprefix("SEX_"),
            "address": {
                "municipality": person.address.municipality,
                "town": person.address.town,
                "remainder": person.address.remainder,
            },
        },
        ensure_ascii=number % 2 == 0,
    )


@dataclass
class Town:
    """A running network into which everybody was dropped in one file."""

    network: LocalNetwork
    register: Register
    numbers: list[int]
    """Individual Numbers in the order of `PEOPLE`."""

    channel: grpc.Channel
    asked: int = 0

    @property
    def stub(self) -> lookup_pb2_grpc.LookupServiceStub:
        return lookup_pb2_grpc.LookupServiceStub(self.channel)

    def context(self) -> lookup_pb2.LookupContext:
        self.asked += 1
        return lookup_pb2.LookupContext(
            affair=NATIONAL_PENSION,
            request_id=f"as-written-{self.asked}",
            office="office",
            operator="operator",
            fields=ALL_FIELDS,
        )

    def batch(self, numbers: list[int]) -> lookup_pb2.BatchLookupRequest:
        return lookup_pb2.BatchLookupRequest(
            context=self.context(),
            individual_numbers=lookup_pb2.IndividualNumberKeys(values=numbers),
        )

    def records(self) -> list[AuditRecord]:
        return list(records_of(self.network.plan.host_directory("national") / "audit"))


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    plan = NetworkPlan(tmp_path_factory.mktemp("network"), {"22": (MUNICIPALITY,)})
    with LocalNetwork(plan) as network:
        network.provision()
        network.start()
        folder = plan.drop_folder(MUNICIPALITY)
        partial = folder / "people.tmp"
        lines = [line_of(number, person) for number, person in enumerate(PEOPLE.values())]
        partial.write_text("\n".join(lines), encoding="utf-8")
        partial.rename(folder / "people.jsonl")
        acknowledgement = folder / "acknowledged" / "people.jsonl.ack.json"
        wait_until(acknowledgement.exists)
        assert json.loads(acknowledgement.read_text())["accepted"] == len(PEOPLE)
        register = Register(network, MUNICIPALITY)
        wait_until(lambda: register.progress.numbers_pending == 0)
        wait_until(lambda: register.progress.nation >= register.progress.issued > 0)
        outcomes = [register.event(f"person-{number}").outcome for number in range(len(PEOPLE))]
        channel = network.channel("agency-nenkin", "national")
        yield Town(network, register, [int(o.individual_number) for o in outcomes], channel)
        channel.close()
        register.close()


def four_items_of(result: lookup_pb2.LookupResult) -> bytes:
    information = result.information
    return identification_pb2.FourItems(
        name=information.name,
        birth_date=information.birth_date,
        sex=information.sex,
        address=information.address,
    ).SerializeToString(deterministic=True)


def test_everybody_comes_back_byte_for_byte_as_written(town: Town) -> None:
    response = town.stub.BatchLookup(town.batch(town.numbers), timeout=20)
    for (who, person), result in zip(PEOPLE.items(), response.results, strict=True):
        assert result.outcome == lookup_pb2.LOOKUP_OUTCOME_FOUND, who
        assert four_items_of(result) == person.SerializeToString(deterministic=True), who


@pytest.mark.parametrize("who", PEOPLE)
def test_everybody_is_found_by_the_four_items_as_written(town: Town, who: str) -> None:
    request = lookup_pb2.LookupRequest(context=town.context(), four_items=PEOPLE[who])
    result = town.stub.Lookup(request, timeout=20).result
    assert result.outcome == lookup_pb2.LOOKUP_OUTCOME_FOUND
    assert four_items_of(result) == PEOPLE[who].SerializeToString(deterministic=True)


@pytest.mark.parametrize("who", AS_ASKED_FOR)
def test_people_are_found_under_what_others_write_and_given_as_written(
    town: Town, who: str
) -> None:
    request = lookup_pb2.LookupRequest(context=town.context(), four_items=AS_ASKED_FOR[who])
    result = town.stub.Lookup(request, timeout=20).result
    assert result.outcome == lookup_pb2.LOOKUP_OUTCOME_FOUND
    assert four_items_of(result) == PEOPLE[who].SerializeToString(deterministic=True)


def test_a_stream_answers_chunk_by_chunk_in_order_with_a_record_for_each(town: Town) -> None:
    batch = town.batch(town.numbers)
    chunks = list(
        town.stub.StreamLookup(
            lookup_pb2.StreamLookupRequest(batch=batch, chunk_size=5), timeout=20
        )
    )
    assert [chunk.offset for chunk in chunks] == list(range(0, len(PEOPLE), 5))
    results = [result for chunk in chunks for result in chunk.chunk.results]
    assert [result.information.individual_number for result in results] == [
        f"{number:012d}" for number in town.numbers
    ]
    records = [one for one in town.records() if one.request_id == batch.context.request_id]
    assert [len(one.outcomes) for one in records] == [len(chunk.chunk.results) for chunk in chunks]


def test_an_exchange_answers_each_chunk_as_it_comes_and_ends_at_a_refused_one(
    town: Town,
) -> None:
    received: list[lookup_pb2.ExchangeLookupResponse] = []
    asked: list[str] = []

    def chunks() -> Iterator[lookup_pb2.ExchangeLookupRequest]:
        for chunk_id in (7, 3, 2**64 - 1):
            batch = town.batch(town.numbers[:2])
            asked.append(batch.context.request_id)
            yield lookup_pb2.ExchangeLookupRequest(chunk_id=chunk_id, batch=batch)
            # Lock step: the answer is here before the next chunk is sent.
            wait_until(lambda: len(received) == len(asked))
        refused = town.batch(town.numbers)
        refused.context.affair.item = "41"
        asked.append(refused.context.request_id)
        yield lookup_pb2.ExchangeLookupRequest(chunk_id=4, batch=refused)

    with pytest.raises(grpc.RpcError) as caught:
        received.extend(town.stub.ExchangeLookup(chunks(), timeout=60))
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert [one.chunk_id for one in received] == [7, 3, 2**64 - 1]
    assert all(len(one.chunk.results) == 2 for one in received)
    records = {one.request_id: one for one in town.records()}
    assert [len(records[one].outcomes) for one in asked] == [2, 2, 2, 0]
    assert records[asked[-1]].refusal is not None


def test_a_body_that_leaves_a_stream_ends_it_and_the_server_goes_on(town: Town) -> None:
    # More than may lie unread between the two ends, so that the server has to wait for the body.
    batch = town.batch(town.numbers * 800)
    left = (
        'juki_rpc_requests_total{code="CANCELLED",method="StreamLookup",reason="",'
        'service="juki.v1.LookupService"}'
    )
    before = metric(town.network, "national", left)
    call = town.stub.StreamLookup(
        lookup_pb2.StreamLookupRequest(batch=batch, chunk_size=10), timeout=60
    )
    first = next(iter(call))
    assert len(first.chunk.results) == 10
    call.cancel()
    wait_until(lambda: metric(town.network, "national", left) == before + 1)
    recorded = sum(
        len(one.outcomes) for one in town.records() if one.request_id == batch.context.request_id
    )
    assert 10 <= recorded < len(town.numbers) * 800, "nothing is looked up for who has left"
    again = town.stub.BatchLookup(town.batch(town.numbers), timeout=20)
    assert len(again.results) == len(PEOPLE)


def test_a_changed_code_leads_to_the_same_person_and_neither_code_leaves(town: Town) -> None:
    before = town.register.event("person-0").outcome
    change = register_pb2.RegisterEvent(
        event_id="code-change",
        record_id="record-0",
        reason=identification_pb2.CHANGE_REASON_CODE_CHANGE_REQUEST,
        event_date=identification_pb2.CalendarDate(year=2026, month=5, day=1),
    )
    (changed,) = town.register.record(change)
    town.register.wait_national(changed.notification.sequence)
    assert changed.resident_record_code not in ("", before.resident_record_code)
    assert changed.individual_number == before.individual_number
    response = town.stub.BatchLookup(town.batch(town.numbers[:1]), timeout=20)
    (result,) = response.results
    assert result.outcome == lookup_pb2.LOOKUP_OUTCOME_FOUND
    information: Any = result.information
    assert information.change.reason == identification_pb2.CHANGE_REASON_CODE_CHANGE_REQUEST
    assert information.individual_number == before.individual_number
    sent = response.SerializeToString()
    for code in (before.resident_record_code, changed.resident_record_code):
        assert code.encode() not in sent
