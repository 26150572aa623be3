"""Bodies come and go in a running network by what officers sign, at the `juki policy` command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from typer.testing import CliRunner, Result

from hsm.host_files import host_files
from hsm.plan import SERVER_SOCKET
from juki.audit.encoding import decode
from juki.audit.segment import read_frames, read_header, segments
from juki.cli.main import app
from juki.domain.errors import Reason
from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan
from juki.policy.acts.files import act_file, list_proposals, read_acts
from juki.policy.acts.wire import decode as decode_message
from juki.policy.acts.wire import digest
from juki.rpc.errors import reason_of
from juki.v1 import acts_pb2 as pb
from juki.v1 import identification_pb2, lookup_pb2, lookup_pb2_grpc
from tests.network_fixtures import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
DOMAIN = "juki.example"
GAIMU = f"spiffe://agency.{DOMAIN}/gaimu"
HOUMU = f"spiffe://agency.{DOMAIN}/houmu"
PASSPORTS = lookup_pb2.AffairReference(table=1, item="41")
BAR_EXAMINATION = lookup_pb2.AffairReference(table=1, item="30")

FURTHER = f"""
[[agency]]
identity = "{HOUMU}"
name = "法務省"
kind = "national_agency"
route = "national"

  [[agency.grant]]
  table = 1
  item = "30"
  search_keys = ["FOUR_ITEMS"]
  fields = ["NAME", "ADDRESS"]
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    """The nation, two bodies with their certificates, of which one is registered, two officers."""
    directory = tmp_path_factory.mktemp("network")
    registered = directory / "agencies.toml"
    registered.write_text(
        FURTHER.replace(HOUMU, GAIMU).replace('item = "30"', 'item = "41"'), encoding="utf-8"
    )
    plan = NetworkPlan(
        directory / "hosts",
        {"22": ()},
        agencies=("gaimu", "houmu"),
        agencies_file=registered,
        officers=("sato", "suzuki"),
    )
    with LocalNetwork(plan) as network:
        network.provision()
        hosts = ("national", "agency-gaimu", "agency-houmu", "officer-sato", "officer-suzuki")
        network.start_some([f"hsm/{host}" for host in hosts])
        network.start_some(["national"])
        yield network


def ask(
    network: LocalNetwork, caller: str, affair: lookup_pb2.AffairReference
) -> lookup_pb2.LookupResponse:
    """Looks nobody up, over mutual TLS."""
    with network.channel(caller, "national") as channel:
        return lookup_pb2_grpc.LookupServiceStub(channel).Lookup(
            lookup_pb2.LookupRequest(
                context=lookup_pb2.LookupContext(
                    affair=affair,
                    request_id="administrative-act",
                    office="旅券課",
                    operator="g-0001",
                    fields=[lookup_pb2.FIELD_NAME],
                ),
                four_items=identification_pb2.FourItems(
                    name=identification_pb2.PersonName(written="山田　太郎"),
                    birth_date=identification_pb2.BirthDate(year=1950, month=4, day=1),
                    sex=identification_pb2.SEX_MALE,
                    address=identification_pb2.Address(municipality="221309", town="元城町"),
                ),
            ),
            timeout=30,
        )


def refusal(
    network: LocalNetwork, caller: str, affair: lookup_pb2.AffairReference
) -> Reason | None:
    try:
        ask(network, caller, affair)
    except grpc.RpcError as error:
        return reason_of(error)
    return None


def configuration(network: LocalNetwork) -> Path:
    return network.plan.host_directory("national") / "server.toml"


def policy(network: LocalNetwork, *arguments: str, by: str | None = None) -> Result:
    """Runs `juki policy`, at the desk of an officer."""
    desk = ["--config", str(configuration(network))]
    if by is not None:
        socket = host_files(network.plan.directory, f"officer-{by}").socket(SERVER_SOCKET)
        desk += ["--custody", str(socket)]
    return CliRunner().invoke(app, ["policy", *arguments, *desk])


def propose_further(network: LocalNetwork, tmp_path: Path) -> str:
    """The justice ministry is proposed; the proposal's name."""
    file = tmp_path / "further.toml"
    file.write_text(FURTHER, encoding="utf-8")
    result = policy(network, "propose", str(file), "--authority", "決裁第2号", by="sato")
    assert result.exit_code == 0, result.output
    (path,) = list_proposals(network.plan.acts_directory)
    return path.stem


def test_1_the_registered_body_is_answered_and_the_other_is_not(network: LocalNetwork) -> None:
    ask(network, "agency-gaimu", PASSPORTS)
    assert refusal(network, "agency-houmu", BAR_EXAMINATION) is Reason.AGENCY_NOT_REGISTERED


def test_2_kill_9_between_propose_and_approve_loses_nothing(
    network: LocalNetwork, tmp_path: Path
) -> None:
    name = propose_further(network, tmp_path)
    network.processes["national"].kill()
    network.start_some(["national"])
    assert [path.stem for path in list_proposals(network.plan.acts_directory)] == [name]
    assert refusal(network, "agency-houmu", BAR_EXAMINATION) is Reason.AGENCY_NOT_REGISTERED
    again = policy(network, "approve", name, "--yes", by="sato")
    assert again.exit_code == 1
    assert "one pair of eyes" in again.output.replace("\n", " ")
    approved = policy(network, "approve", name, "--yes", by="suzuki")
    assert approved.exit_code == 0, approved.output
    wait_until(lambda: refusal(network, "agency-houmu", BAR_EXAMINATION) is None)
    assert len(read_acts(network.plan.acts_directory)) == 2


def test_3_a_withdrawn_body_is_refused_within_seconds_by_the_running_server(
    network: LocalNetwork,
) -> None:
    before = network.processes["national"].pid
    result = policy(network, "withdraw-body", GAIMU, "--authority", "決裁第3号", by="suzuki")
    assert result.exit_code == 0, result.output
    wait_until(lambda: refusal(network, "agency-gaimu", PASSPORTS) is Reason.AGENCY_NOT_REGISTERED)
    ask(network, "agency-houmu", BAR_EXAMINATION)
    assert network.processes["national"].pid == before
    assert network.processes["national"].is_running


def test_4_every_act_stands_in_the_audit_log(network: LocalNetwork) -> None:
    accepted = [
        decode_message(decode_message(data, pb.AcceptedAct).acceptance, pb.ActAcceptance)
        for _, data in read_acts(network.plan.acts_directory)
    ]
    directory = network.plan.host_directory("national") / "audit"
    recorded = []
    for path in segments(directory):
        with path.open("rb") as file:
            read_header(path, file)
            recorded += [decode(one.record).act_digest for one in read_frames(path, file)]
    wanted = [digest(one.signed.act) for one in accepted]
    assert len(wanted) == 3
    assert [one for one in recorded if one] == wanted


def test_5_the_list_says_who_when_and_what(network: LocalNetwork) -> None:
    result = policy(network, "acts", "--json")
    assert result.exit_code == 0, result.output
    assert result.output.count('"status": "accepted ') == 3
    assert f"withdraw body {GAIMU}" in result.output
    assert "approved by spiffe://national.juki.example/officer/suzuki" in result.output
    assert "決裁第3号" in result.output


def test_6_acts_taken_away_are_missed_by_the_audit_log(network: LocalNetwork) -> None:
    log = str(network.plan.host_directory("national") / "audit")
    assert policy(network, "acts", "--audit", log).exit_code == 0
    last = act_file(network.plan.acts_directory, 3)
    kept = last.rename(last.with_suffix(".kept"))
    try:
        found = policy(network, "acts", "--audit", log)
        assert found.exit_code == 1
        assert "acts that the register has not" in found.output.replace("\n", " ")
    finally:
        kept.rename(last)


def test_7_a_byte_flipped_refuses_the_start_and_says_which_act(network: LocalNetwork) -> None:
    network.processes["national"].stop()
    path = act_file(network.plan.acts_directory, 2)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    started = subprocess.run(
        [sys.executable, "-m", "national_server", "--config", str(configuration(network))],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert started.returncode == 1
    assert "act 2 (00000002.act)" in started.stderr
    assert "Traceback" not in started.stderr
