"""Prefectures answer look-ups, and pass on those that the Act sends by way of the governor.

Whole processes: the nation, two prefectures that answer, a municipality's gateway and its register.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import grpc
import pytest

from juki.audit.port import AuditRecord
from juki.demo.gateway import Register
from juki.domain.errors import Reason
from juki.domain.legal_basis import Field
from juki.domain.outcome import Outcome
from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan
from juki.rpc.errors import reason_of
from juki.v1 import identification_pb2, lookup_pb2, lookup_pb2_grpc, relay_pb2, relay_pb2_grpc
from tests.e2e.asking import records_of
from tests.network_fixtures import wait_until
from tests.planted_person import MUNICIPALITY, NAME, READING, REMAINDER, TOWN, planted_birth

NATION = "spiffe://national.juki.example/server"
SHIZUOKA = "spiffe://pref22.juki.example/server"
TOKYO = "spiffe://pref13.juki.example/server"
SHIZUOKA_GOVERNOR = "spiffe://agency.juki.example/shizuoka"
SHIBUYA = "spiffe://agency.juki.example/shibuya"
HAMAMATSU = "spiffe://agency.juki.example/hamamatsu"

SHIBUYA_MAYOR = f"""
[[agency]]
identity = "{SHIBUYA}"
name = "渋谷区長"
kind = "mayor"
place = "131130"
governor = "{TOKYO}"
"""
HAMAMATSU_MAYOR = f"""
[[agency]]
identity = "{HAMAMATSU}"
name = "浜松市長"
kind = "mayor"
place = "221309"
governor = "{SHIZUOKA}"
"""
TABLE_4 = 'grant = [{ table = 4, item = "1-2", search_keys = ["FOUR_ITEMS"] }]\n'
ORDINANCE = """
[[affair]]
provision = "30-13(3)"
id = "shizuoka-2003.30"
text = "県営住宅の管理に関する事務"
recipient = "市町村長"
instrument = "平成15年静岡県条例第30号"
promulgated = 2003-10-01
of = "22"
fields = ["NAME", "BIRTH_DATE", "SEX", "ADDRESS"]
"""
BODIES = {
    "national": SHIBUYA_MAYOR + TABLE_4 + HAMAMATSU_MAYOR + TABLE_4,
    # Nobody asks Tokyo for anything of its own, but it has to know whose governor it is.
    "13": SHIBUYA_MAYOR + TABLE_4 + HAMAMATSU_MAYOR + TABLE_4,
    "22": SHIBUYA_MAYOR
    + 'grant = [{ provision = "30-13(3)", affair = "shizuoka-2003.30", '
    + 'search_keys = ["FOUR_ITEMS"] }]\n'
    + HAMAMATSU_MAYOR
    + TABLE_4
    + f"""
[[agency]]
identity = "{SHIZUOKA_GOVERNOR}"
name = "静岡県知事"
kind = "governor"
place = "22"
grant = [{{ table = 5, item = "1", search_keys = ["FOUR_ITEMS"] }}]
"""
    + ORDINANCE,
}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    """The planted person is a resident of Hamamatsu, known in Shizuoka and nationally."""
    directory = tmp_path_factory.mktemp("network")
    files: dict[str, Path] = {}
    for who, bodies in BODIES.items():
        files[who] = directory / f"bodies-{who}.toml"
        files[who].write_text(bodies, encoding="utf-8")
    plan = NetworkPlan(
        directory,
        {"22": (MUNICIPALITY,), "13": ()},
        agencies=("shizuoka", "shibuya", "hamamatsu"),
        agencies_file=files.pop("national"),
        prefectures_agencies=files,
    )
    with LocalNetwork(plan) as network:
        network.provision()
        network.start()
        register = Register(network, MUNICIPALITY)
        try:
            register.record(planted_birth())
            wait_until(lambda: bool(register.event("planted-1").outcome.individual_number), 120)
            wait_until(lambda: register.progress.nation >= register.progress.issued >= 2, 120)
        finally:
            register.close()
        yield network


def question(
    request_id: str, *, table: int = 0, provision: str = "", affair: str = "", behalf: str = ""
) -> lookup_pb2.LookupRequest:
    """Everything there is about the planted person, by the four items."""
    context = lookup_pb2.LookupContext(
        request_id=request_id,
        office="住民課",
        operator="operator-7",
        fields=lookup_pb2.Field.values()[1:],
        on_behalf_of=behalf,
    )
    if table:
        context.affair.table, context.affair.item = table, affair
    else:
        context.basis.provision, context.basis.affair = provision, affair
    return lookup_pb2.LookupRequest(context=context, four_items=planted_birth().four_items)


def ask(
    network: LocalNetwork, caller: str, server: str, request: lookup_pb2.LookupRequest
) -> lookup_pb2.LookupResponse:
    with network.channel(caller, server) as channel:
        return lookup_pb2_grpc.LookupServiceStub(channel).Lookup(request, timeout=60)


def relayed(
    network: LocalNetwork,
    caller: str,
    governor: str,
    request: lookup_pb2.LookupRequest,
    prefecture: str = "",
) -> lookup_pb2.LookupResponse:
    with network.channel(caller, governor) as channel:
        return (
            relay_pb2_grpc.GovernorRelayServiceStub(channel)
            .RelayLookup(
                relay_pb2.RelayLookupRequest(lookup=request, prefecture=prefecture), timeout=60
            )
            .answer
        )


def refusal(call: Callable[[], object]) -> Reason | None:
    with pytest.raises(grpc.RpcError) as refused:
        call()
    return reason_of(refused.value)


def recorded(network: LocalNetwork, host: str, request_id: str) -> Sequence[AuditRecord]:
    """What a server's audit log holds of one request."""
    directory = network.plan.host_directory(host) / "audit"
    return [one for one in records_of(directory) if one.request_id == request_id]


def given(answer: lookup_pb2.LookupResponse) -> identification_pb2.IdentificationInformation:
    assert answer.result.outcome == lookup_pb2.LOOKUP_OUTCOME_FOUND
    return answer.result.information


def test_the_governors_own_use_is_answered_by_the_prefecture_and_never_gives_the_code(
    network: LocalNetwork,
) -> None:
    answer = ask(network, "agency-shizuoka", "pref22", question("own-use-01", table=5, affair="1"))
    information = given(answer)
    assert information.name.written == NAME
    assert information.resident_record_code == ""
    assert information.change.former_resident_record_code == ""
    withheld = {one.field: one.article for one in answer.withheld}
    assert withheld[lookup_pb2.FIELD_RESIDENT_RECORD_CODE] == "30-15(1)"
    (record,) = recorded(network, "pref22", "own-use-01")
    assert (record.body_identity, record.via) == (SHIZUOKA_GOVERNOR, "")
    assert record.article == "30-15(1)(i)"
    assert Field.RESIDENT_RECORD_CODE not in record.granted_fields
    assert (record.outcomes, len(record.pseudonyms)) == (bytes([Outcome.FOUND]), 16)
    assert recorded(network, "national", "own-use-01") == []


def test_the_prefecture_answers_no_governor_it_has_not_registered_and_no_other_table(
    network: LocalNetwork,
) -> None:
    table_5 = question("unknown-001", table=5, affair="1")
    assert (
        refusal(lambda: ask(network, "agency-shizuoka", "pref13", table_5))
        is Reason.AGENCY_NOT_REGISTERED
    )
    assert (
        refusal(lambda: ask(network, "agency-shibuya", "pref22", table_5))
        is Reason.AFFAIR_NOT_GRANTED
    )
    (record,) = recorded(network, "pref13", "unknown-001")
    assert record.refusal is Reason.AGENCY_NOT_REGISTERED
    assert (record.pseudonyms, record.outcomes) == (b"", b"")


def test_a_municipality_asks_under_table_4_by_way_of_its_governor_and_the_nation_answers(
    network: LocalNetwork,
) -> None:
    request = question("table-4-0001", table=4, affair="1-2")
    information = given(relayed(network, "agency-shibuya", "pref13", request))
    assert information.name.written == NAME
    assert information.resident_record_code == ""
    (passed_on,) = recorded(network, "pref13", "table-4-0001")
    assert (passed_on.body_identity, passed_on.passed_on_to) == (SHIBUYA, NATION)
    assert (passed_on.pseudonyms, passed_on.outcomes) == (b"", b"")
    (answered,) = recorded(network, "national", "table-4-0001")
    assert (answered.body_identity, answered.via) == (SHIBUYA, TOKYO)
    assert answered.article == "30-12(1)(i)"
    assert (answered.outcomes, len(answered.pseudonyms)) == (bytes([Outcome.FOUND]), 16)
    assert passed_on.time_unix_nanos < answered.time_unix_nanos


def test_a_batch_goes_by_way_of_the_governor_as_one(network: LocalNetwork) -> None:
    single = question("batch-4-0001", table=4, affair="1-2")
    stranger = identification_pb2.FourItems()
    stranger.CopyFrom(single.four_items)
    stranger.name.written = "別人　花子"
    batch = lookup_pb2.BatchLookupRequest(
        context=single.context,
        four_items=lookup_pb2.FourItemsKeys(values=[stranger, single.four_items]),
    )
    with network.channel("agency-shibuya", "pref13") as channel:
        answer = relay_pb2_grpc.GovernorRelayServiceStub(channel).RelayBatchLookup(
            relay_pb2.RelayBatchLookupRequest(batch=batch), timeout=60
        )
    assert [one.outcome for one in answer.answer.results] == [
        lookup_pb2.LOOKUP_OUTCOME_NOT_FOUND,
        lookup_pb2.LOOKUP_OUTCOME_FOUND,
    ]
    (answered,) = recorded(network, "national", "batch-4-0001")
    assert answered.via == TOKYO
    assert len(answered.outcomes) == 2


def test_under_table_4_the_nation_finds_nobody_of_the_askers_own_prefecture(
    network: LocalNetwork,
) -> None:
    request = question("table-4-own1", table=4, affair="1-2")
    answer = relayed(network, "agency-hamamatsu", "pref22", request)
    assert answer.result.outcome == lookup_pb2.LOOKUP_OUTCOME_NOT_FOUND


def test_without_its_governor_a_municipality_is_refused_under_table_4(
    network: LocalNetwork,
) -> None:
    request = question("no-governor1", table=4, affair="1-2")
    reason = refusal(lambda: ask(network, "agency-shibuya", "national", request))
    assert reason is Reason.ROUTE_NOT_PERMITTED
    (record,) = recorded(network, "national", "no-governor1")
    assert (record.body_identity, record.via) == (SHIBUYA, "")
    assert record.refusal is Reason.ROUTE_NOT_PERMITTED


def test_by_way_of_another_governor_a_municipality_is_refused(network: LocalNetwork) -> None:
    request = question("not-its-own1", table=4, affair="1-2")
    reason = refusal(lambda: relayed(network, "agency-hamamatsu", "pref13", request))
    assert reason is Reason.ROUTE_NOT_PERMITTED
    (record,) = recorded(network, "pref13", "not-its-own1")
    assert (record.body_identity, record.passed_on_to) == (HAMAMATSU, "")
    assert record.refusal is Reason.ROUTE_NOT_PERMITTED
    assert recorded(network, "national", "not-its-own1") == []


def test_a_prefecture_that_asks_for_another_prefectures_body_is_refused(
    network: LocalNetwork,
) -> None:
    request = question("not-its-body", table=4, affair="1-2", behalf=HAMAMATSU)
    reason = refusal(lambda: ask(network, "pref13", "national", request))
    assert reason is Reason.ROUTE_NOT_PERMITTED
    (record,) = recorded(network, "national", "not-its-body")
    assert (record.body_identity, record.via) == (HAMAMATSU, TOKYO)


def test_a_prefecture_that_names_nobody_it_asks_for_is_refused(network: LocalNetwork) -> None:
    request = question("for-nobody-1", table=4, affair="1-2")
    reason = refusal(lambda: ask(network, "pref13", "national", request))
    assert reason is Reason.ROUTE_NOT_PERMITTED
    (record,) = recorded(network, "national", "for-nobody-1")
    assert record.via == TOKYO


@pytest.mark.parametrize("through", ["nobody", "its governor"])
def test_a_body_that_states_another_is_refused_and_the_record_names_who_really_called(
    network: LocalNetwork, through: str
) -> None:
    request_id = "pretended-01" if through == "nobody" else "pretended-02"
    request = question(request_id, table=4, affair="1-2", behalf=HAMAMATSU)
    if through == "nobody":
        reason = refusal(lambda: ask(network, "agency-shibuya", "national", request))
        (record,) = recorded(network, "national", request_id)
    else:
        reason = refusal(lambda: relayed(network, "agency-shibuya", "pref13", request))
        (record,) = recorded(network, "pref13", request_id)
        assert recorded(network, "national", request_id) == []
    assert reason is Reason.ROUTE_NOT_PERMITTED
    assert (record.body_identity, record.via) == (SHIBUYA, "")
    assert record.refusal is Reason.ROUTE_NOT_PERMITTED


def test_a_municipality_of_prefecture_13_asks_prefecture_22_by_way_of_13s_governor(
    network: LocalNetwork,
) -> None:
    request = question("30-13-3-0001", provision="30-13(3)", affair="shizuoka-2003.30")
    answers: list[lookup_pb2.LookupResponse] = []

    def answered() -> bool:
        # The two servers know each other's revocation lists only some time after their start.
        try:
            answers.append(relayed(network, "agency-shibuya", "pref13", request, "22"))
        except grpc.RpcError as error:
            if reason_of(error) not in {Reason.UPSTREAM_UNAVAILABLE, Reason.CRL_UNKNOWN}:
                raise
        return bool(answers)

    wait_until(answered, 120)
    information = given(answers[0])
    assert information.name.written == NAME
    assert information.resident_record_code == information.individual_number == ""
    assert {
        (record.body_identity, record.passed_on_to)
        for record in recorded(network, "pref13", "30-13-3-0001")
    } == {(SHIBUYA, SHIZUOKA)}
    (record,) = recorded(network, "pref22", "30-13-3-0001")
    assert (record.body_identity, record.via) == (SHIBUYA, TOKYO)
    assert (record.article, record.affair_id) == ("30-13(3)", "shizuoka-2003.30")
    assert record.outcomes == bytes([Outcome.FOUND])


def test_a_municipality_that_asks_another_prefecture_itself_is_refused(
    network: LocalNetwork,
) -> None:
    request = question("30-13-3-0002", provision="30-13(3)", affair="shizuoka-2003.30")
    reason = refusal(lambda: ask(network, "agency-shibuya", "pref22", request))
    assert reason is Reason.ROUTE_NOT_PERMITTED


def test_a_prefecture_that_nobody_knows_here_is_not_asked(network: LocalNetwork) -> None:
    request = question("30-13-3-0003", provision="30-13(3)", affair="shizuoka-2003.30")
    reason = refusal(lambda: relayed(network, "agency-shibuya", "pref13", request, "47"))
    assert reason is Reason.ROUTE_NOT_PERMITTED


def test_the_passing_prefecture_keeps_nothing_of_whom_was_asked_about(
    network: LocalNetwork,
) -> None:
    request = question("passing-0001", table=4, affair="1-2")
    given(relayed(network, "agency-shibuya", "pref13", request))
    host = network.plan.host_directory("pref13")
    files = [path for path in host.rglob("*") if path.is_file()]
    assert any(path.name.startswith("data.sqlite") for path in files)
    written = {path: path.read_bytes() for path in files}
    log = (network.plan.directory / "logs" / "pref13.log").read_bytes()
    everything = b"\0".join([*written.values(), log])
    assert b"passing-0001" in everything
    for plant in (NAME, READING, TOWN, REMAINDER):
        assert plant.encode() not in everything
    passed_on = [one for one in records_of(host / "audit") if one.passed_on_to]
    assert passed_on
    assert all(not one.pseudonyms and not one.outcomes for one in passed_on)
