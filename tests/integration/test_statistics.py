"""A governor's office is given totals over mutual TLS, and never a word of one person."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
from prometheus_client import CollectorRegistry

from juki.audit.encoding import decode
from juki.audit.log import FileAuditLog
from juki.audit.port import AuditRecord
from juki.audit.segment import read_frames, read_header, segments
from juki.custody.tls import channel_credentials, server_credentials
from juki.domain.change import ChangeReason
from juki.domain.errors import Reason
from juki.domain.legal_basis import Field
from juki.policy.evaluator import Policy
from juki.rpc.channel import ChannelSettings, open_channel
from juki.rpc.errors import reason_of
from juki.rpc.health import HealthMonitor
from juki.rpc.identity import IdentityKind
from juki.rpc.server import JukiServer, ServerSettings
from juki.store.engine import migrate, open_engine
from juki.v1 import identification_pb2, statistics_pb2_grpc
from juki.v1 import statistics_pb2 as pb
from pref_server.residents import count_residents
from pref_server.statistics import STATISTICS_SERVICE, SUPPRESSED_BELOW, Statistics
from tests.custody_fixtures import RunningCustody, TrustDomain
from tests.lookup_fixtures import PENSION, SERVER_NAME
from tests.register_fixtures import Nation
from tests.revocation_fixtures import own_lists, roots_der
from tests.stream import Stream, information

HERE = "221309"
NEEDED = frozenset({Field.BIRTH_DATE, Field.SEX, Field.ADDRESS})
DAY_NANOS = 86_400 * 10**9

# The one agency of the tests' trust domain stands for the governor's office of statistics.
OFFICE = f"""
[[agency]]
identity = "{PENSION}"
name = "a governor"
kind = "governor"
place = "22"
grant = [{{ provision = "30-15(1)(iv)" }}]
"""
UNGRANTED = OFFICE.replace(
    '{ provision = "30-15(1)(iv)" }', '{ table = 5, item = "1", search_keys = ["FOUR_ITEMS"] }'
)
ELSEWHERE = OFFICE.replace('place = "22"', 'place = "23"')


@dataclass
class StatisticsServer:
    """A running server and what stands behind it."""

    nation: Nation
    stream: Stream
    audit: FileAuditLog
    directory: Path
    stub: statistics_pb2_grpc.StatisticsServiceStub
    clock: list[int] = field(default_factory=lambda: [time.time_ns()])

    def enter(self, count: int, year: int) -> None:
        """So many women are born in April of that year."""
        run = []
        for code in self.nation.codes(HERE, count):
            message = information(code, ChangeReason.BIRTH)
            message.birth_date.year = year
            run.append(self.stream.add(message))
        self.nation.submit(self.stream, *run)

    def count(self, municipality: str = HERE) -> pb.CountResidentsResponse:
        """What the office is told."""
        return self.stub.CountResidents(
            pb.CountResidentsRequest(
                request_id="census-0001",
                office="統計課",
                operator="operator-3",
                municipality=municipality,
            )
        )

    def records(self) -> list[AuditRecord]:
        """What the log holds on disk now, in order."""
        found = []
        for path in segments(self.directory):
            with path.open("rb") as file:
                read_header(path, file)
                found += [decode(frame.record) for frame in read_frames(path, file)]
        return found


Start = Callable[[str], StatisticsServer]


@pytest.fixture
def start(
    trust_domain: TrustDomain,
    national_custody: RunningCustody,
    provisioned_host: RunningCustody,
    pension_custody: RunningCustody,
    tmp_path: Path,
) -> Iterator[Start]:
    """Starts a server whose registry is the text given."""
    with ExitStack() as stack:

        def started(bodies: str) -> StatisticsServer:
            custody, roots_pem = national_custody.client, trust_domain.roots_pem
            engine = open_engine(f"sqlite:///{tmp_path / 'register.sqlite'}")
            stack.callback(engine.dispose)
            migrate(engine, "national")
            book = own_lists(custody, trust_domain)
            nation = Nation(
                engine,
                SimpleNamespace(roots_der=roots_der(trust_domain)),  # type: ignore[arg-type]
                custody=custody,  # type: ignore[arg-type]
            )
            (tmp_path / "agencies.toml").write_text(bodies, encoding="utf-8")
            audit = stack.enter_context(FileAuditLog(tmp_path / "audit"))
            registry = CollectorRegistry()
            server = JukiServer(
                ServerSettings("127.0.0.1:0"),
                server_credentials(custody, roots_pem),
                {STATISTICS_SERVICE: frozenset({IdentityKind.AGENCY})},
                health_servicer=HealthMonitor({"up": lambda: None}, registry=registry).servicer,
                revocation=book,
                registry=registry,
            )
            clock = [time.time_ns()]
            statistics_pb2_grpc.add_StatisticsServiceServicer_to_server(
                Statistics(
                    prefecture="22",
                    policy=Policy.load(tmp_path / "agencies.toml"),
                    audit=audit,
                    count=lambda place, day: count_residents(engine, nation.sealer, place, day),
                    clock=lambda: clock[0],
                ),
                server.grpc_server,
            )
            server.start()
            stack.callback(server.stop, 0)
            channel = open_channel(
                f"127.0.0.1:{server.port}",
                SERVER_NAME,
                channel_credentials(pension_custody.client, roots_pem),
                ChannelSettings(attempts=1),
            )
            stack.callback(channel.close)
            return StatisticsServer(
                nation,
                Stream(HERE, provisioned_host.client),
                audit,
                tmp_path / "audit",
                statistics_pb2_grpc.StatisticsServiceStub(channel),
                clock,
            )

        yield started


def refused(call: Callable[[], object]) -> Reason | None:
    with pytest.raises(grpc.RpcError) as error:
        call()
    return reason_of(error.value)


def test_totals_are_given_and_recorded_without_persons(start: Start) -> None:
    server = start(OFFICE)
    server.enter(6, 1985)
    answer = server.count()
    told = [c for c in answer.counts if not c.suppressed]
    assert [(c.sex, c.residents) for c in told] == [(identification_pb2.SEX_FEMALE, 6)]
    assert len(answer.counts) == 54
    (record,) = server.records()
    assert (record.body_identity, record.article) == (PENSION, "30-15(1)(iv)")
    assert (record.office, record.operator, record.request_id) == (
        "統計課",
        "operator-3",
        "census-0001",
    )
    assert record.requested_fields == record.granted_fields == NEEDED
    assert record.refusal is None
    assert record.outcomes == record.pseudonyms == b""


def test_fewer_than_five_look_like_none_at_all(start: Start) -> None:
    server = start(OFFICE)
    server.enter(SUPPRESSED_BELOW - 1, 1985)
    server.enter(SUPPRESSED_BELOW, 1945)
    answer = server.count()
    assert answer.suppressed_below == SUPPRESSED_BELOW == 5
    assert [c.residents for c in answer.counts if not c.suppressed] == [5]
    assert all(c.residents == 0 for c in answer.counts if c.suppressed)


def test_who_came_between_two_counts_of_one_day_is_not_told_by_their_difference(
    start: Start,
) -> None:
    server = start(OFFICE)
    server.enter(6, 1985)
    before = server.count()
    server.enter(1, 1985)
    assert server.count() == before
    assert len(server.records()) == 2
    server.clock[0] += DAY_NANOS
    after = server.count()
    assert [c.residents for c in after.counts if not c.suppressed] == [7]
    assert after.as_at != before.as_at


@pytest.mark.parametrize(
    ("bodies", "municipality", "reason"),
    [
        pytest.param(UNGRANTED, HERE, Reason.AFFAIR_NOT_GRANTED, id="without a grant"),
        pytest.param(ELSEWHERE, HERE, Reason.ROUTE_NOT_PERMITTED, id="another governor"),
        pytest.param(OFFICE, "232114", Reason.UNKNOWN_MUNICIPALITY, id="another's municipality"),
        pytest.param(OFFICE, "221325", Reason.UNKNOWN_MUNICIPALITY, id="no such municipality"),
    ],
)
def test_whoever_has_no_right_to_totals_is_refused_and_recorded(
    start: Start, bodies: str, municipality: str, reason: Reason
) -> None:
    server = start(bodies)
    assert refused(lambda: server.count(municipality)) is reason
    (record,) = server.records()
    assert (record.refusal, record.granted_fields) == (reason, frozenset())


def test_no_totals_leave_without_a_durable_record(start: Start) -> None:
    server = start(OFFICE)
    server.enter(6, 1985)
    server.audit.close()
    assert refused(server.count) is Reason.AUDIT_UNAVAILABLE
    assert server.records() == []
