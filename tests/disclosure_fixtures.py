"""A server that looks up and discloses, over mutual TLS, with real custody, log and register."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
from juki.disclosure.book import RequestBook
from juki.disclosure.running import add_disclosure_service
from juki.disclosure.service import CALLERS as COUNTERS
from juki.disclosure.service import DISCLOSURE_SERVICE
from juki.disclosure.words import J_LIS, governor
from juki.domain.change import ChangeReason
from juki.domain.codes import ResidentRecordCode
from juki.domain.legal_basis import Tier
from juki.index.lmdb_index import LmdbIndex
from juki.lookup.running import (
    CALLERS,
    Answerer,
    Answering,
    LookupConfiguration,
)
from juki.lookup.service import LOOKUP_SERVICE, RAW_METHODS
from juki.register.pseudonym_keys import PseudonymKeys
from juki.register.states import all_states
from juki.revocation.spreading import OwnList
from juki.rpc.channel import ChannelSettings, open_channel
from juki.rpc.health import HealthMonitor
from juki.rpc.names import national_identity, prefecture_identity
from juki.rpc.server import JukiServer, ServerSettings
from juki.store.engine import migrate, open_engine
from juki.v1 import disclosure_pb2, disclosure_pb2_grpc, identification_pb2, lookup_pb2_grpc
from national_server.tables import person_request_act, register_root
from tests.custody_fixtures import RunningCustody, TrustDomain, running_custody
from tests.lookup_fixtures import REGISTRY, SERVER_NAME
from tests.people import memory_directory
from tests.register_fixtures import DOMAIN, Nation
from tests.revocation_fixtures import SetClock, own_lists, roots_der
from tests.stream import Stream, information

HERE = "221309"
FEE = 300
BORN = identification_pb2.BirthDate(year=1985, month=4, day=2)


@dataclass(frozen=True)
class Resident:
    """Somebody in the register."""

    code: str
    number: str
    name: str

    @property
    def subject(self) -> disclosure_pb2.DisclosureSubject:
        """As the counter states them."""
        return disclosure_pb2.DisclosureSubject(
            individual_number=self.number,
            birth_date=BORN,
            identity_document=disclosure_pb2.IDENTITY_DOCUMENT_MY_NUMBER_CARD,
        )


@dataclass
class DisclosureServer:
    """A running server and what stands behind it."""

    nation: Nation
    stream: Stream
    index: LmdbIndex
    audit: FileAuditLog
    log_directory: Path
    book: RequestBook
    clock: SetClock
    pseudonym_keys: PseudonymKeys
    port: int
    counter: RunningCustody
    agency: RunningCustody
    roots_pem: bytes
    acts: int = field(default=0)

    @contextmanager
    def channel(self, caller: RunningCustody) -> Iterator[grpc.Channel]:
        """A caller's channel; its key signs in its token."""
        channel = open_channel(
            f"127.0.0.1:{self.port}",
            SERVER_NAME,
            channel_credentials(caller.client, self.roots_pem),
            ChannelSettings(attempts=1),
        )
        try:
            yield channel
        finally:
            channel.close()

    @contextmanager
    def at_the_counter(self) -> Iterator[disclosure_pb2_grpc.DisclosureServiceStub]:
        """The municipality's gateway."""
        with self.channel(self.counter) as channel:
            yield disclosure_pb2_grpc.DisclosureServiceStub(channel)

    @contextmanager
    def pension_office(self) -> Iterator[lookup_pb2_grpc.LookupServiceStub]:
        """The pension office."""
        with self.channel(self.agency) as channel:
            yield lookup_pb2_grpc.LookupServiceStub(channel)

    def act(self) -> disclosure_pb2.CounterContext:
        """A further act at the counter."""
        self.acts += 1
        return disclosure_pb2.CounterContext(
            request_id=f"counter-{self.acts:06d}", office="市民課", operator="operator-17"
        )

    def enter(self, name: str, *, later: tuple[ChangeReason, str] | None = None) -> Resident:
        """Somebody is born, numbered, and perhaps called otherwise later."""
        code = self.nation.code(HERE)
        (number,) = self.nation.numbers.make(HERE, [ResidentRecordCode(code)])
        resident = Resident(code, number.digits, later[1] if later else name)

        def told(reason: ChangeReason, called: str) -> identification_pb2.IdentificationInformation:
            return information(code, reason, number=number.digits, name=called)

        born = self.stream.add(told(ChangeReason.BIRTH, name))
        run = [born]
        if later is not None:
            run.append(self.stream.add(told(*later), predecessor=born))
        self.nation.submit(self.stream, *run)
        self.index.rebuild(all_states(self.nation.engine, self.nation.sealer))
        return resident

    def requested(
        self, stub: disclosure_pb2_grpc.DisclosureServiceStub, who: Resident
    ) -> disclosure_pb2.PersonRequest:
        """A request whose fee, if any, is paid."""
        request = stub.RequestDisclosure(
            disclosure_pb2.RequestDisclosureRequest(counter=self.act(), subject=who.subject)
        ).request
        if request.fee_yen:
            stub.RecordFee(
                disclosure_pb2.RecordFeeRequest(
                    counter=self.act(), id=request.id, paid_yen=request.fee_yen
                )
            )
        return request

    def disclosed(
        self, stub: disclosure_pb2_grpc.DisclosureServiceStub, who: Resident
    ) -> disclosure_pb2.DiscloseResponse:
        """What the person is given in writing."""
        request = self.requested(stub, who)
        return stub.Disclose(self.in_writing(request.id))

    def in_writing(self, id_: str) -> disclosure_pb2.DiscloseRequest:
        """A call under an id of its own."""
        return disclosure_pb2.DiscloseRequest(
            counter=self.act(), id=id_, way=disclosure_pb2.DISCLOSURE_WAY_IN_WRITING
        )

    def records(self) -> list[AuditRecord]:
        """What the log holds on disk now, in order."""
        found = []
        for path in segments(self.log_directory):
            with path.open("rb") as file:
                read_header(path, file)
                found += [decode(frame.record) for frame in read_frames(path, file)]
        return found


@contextmanager
def running_disclosure_server(
    trust_domain: TrustDomain,
    national: RunningCustody,
    counter: RunningCustody,
    agency: RunningCustody,
    directory: Path,
    *,
    fee_yen: int = FEE,
    prefecture: str = "",
) -> Iterator[DisclosureServer]:
    """A server of its own with an empty register; a governor's where `prefecture` is given."""
    with ExitStack() as stack:
        registry = CollectorRegistry()
        engine = open_engine(f"sqlite:///{directory / 'register.sqlite'}")
        stack.callback(engine.dispose)
        migrate(engine, "national")
        book = own_lists(national.client, trust_domain)
        with running_custody(trust_domain.files("pref22")) as governor_custody:
            OwnList(governor_custody.client, book).take()
        nation = Nation(
            engine,
            SimpleNamespace(roots_der=roots_der(trust_domain)),  # type: ignore[arg-type]
            custody=national.client,  # type: ignore[arg-type]
            revocation=book,  # type: ignore[arg-type]
        )
        memory = stack.enter_context(memory_directory())
        agencies = directory / "agencies.toml"
        agencies.write_text(REGISTRY.replace("a pension office", "日本年金機構"), encoding="utf-8")
        answering = Answering(
            stack,
            LookupConfiguration(
                agencies=agencies,
                audit_directory=directory / "audit",
                person_index_directory=directory / "persons",
                index_directory=memory / "index",
            ),
            Answerer(Tier.NATIONAL, "", f"national.{DOMAIN}"),
            engine=engine,
            sealing=nation.sealing,
            custody=national.client,
            roots_der=roots_der(trust_domain),
            revocation=book,
            registry=registry,
        )
        server = JukiServer(
            ServerSettings("127.0.0.1:0", raw=RAW_METHODS),
            server_credentials(national.client, trust_domain.roots_pem),
            {LOOKUP_SERVICE: CALLERS, DISCLOSURE_SERVICE: COUNTERS},
            health_servicer=HealthMonitor({"always": lambda: None}, registry=registry).servicer,
            revocation=book,
            registry=registry,
        )
        answering.serve(server)
        clock = SetClock()
        name = governor(prefecture) if prefecture else J_LIS
        identity = (
            prefecture_identity(prefecture, DOMAIN) if prefecture else national_identity(DOMAIN)
        )
        requests = add_disclosure_service(
            stack,
            server,
            answering,
            engine=engine,
            sealer=nation.sealer,
            tables=(person_request_act, register_root),
            name=name,
            identity=identity,
            trust_domain=DOMAIN,
            audit_directory=directory / "audit",
            clock=clock,
            fee_yen=fee_yen,
        )
        server.start()
        stack.callback(server.stop, 0)
        yield DisclosureServer(
            nation,
            Stream(HERE, counter.client),
            answering.index,
            answering.audit,
            directory / "audit",
            requests,
            clock,
            answering.pseudonym_keys,
            server.port,
            counter,
            agency,
            trust_domain.roots_pem,
        )


@pytest.fixture
def disclosure_server(
    trust_domain: TrustDomain,
    national_custody: RunningCustody,
    provisioned_host: RunningCustody,
    pension_custody: RunningCustody,
    tmp_path: Path,
) -> Iterator[DisclosureServer]:
    """J-LIS's server."""
    with running_disclosure_server(
        trust_domain, national_custody, provisioned_host, pension_custody, tmp_path
    ) as server:
        yield server


@pytest.fixture
def governors_server(
    trust_domain: TrustDomain,
    national_custody: RunningCustody,
    provisioned_host: RunningCustody,
    pension_custody: RunningCustody,
    tmp_path: Path,
) -> Iterator[DisclosureServer]:
    """The same parts under a governor's name: no fee."""
    with running_disclosure_server(
        trust_domain,
        national_custody,
        provisioned_host,
        pension_custody,
        tmp_path,
        fee_yen=0,
        prefecture="22",
    ) as server:
        yield server
