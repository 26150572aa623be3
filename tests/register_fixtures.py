"""The register as the nation composes it, in process, over either database."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine

from hsm.plan import Prefecture, ProvisioningPlan
from juki.custody.port import INDIVIDUAL_NUMBER
from juki.register import tables as t
from juki.register.data_key import open_sealer
from juki.register.disputes import DisputeBook
from juki.register.intake import NotificationIntake, Submission
from juki.register.persons import PersonRegister
from juki.register.returns import ReturnBox
from juki.register.signers import SignerDirectory, SignerRevocation
from juki.rpc.names import gateway_identity, national_identity, prefecture_identity
from juki.store.engine import migrate, open_engine
from juki.store.verification import RootedDatabase, verify
from juki.v1 import intake_pb2, notification_pb2
from national_server.code_pool import CodePool
from national_server.codes_service import NationalCodeRegistry
from national_server.covered import SECTIONS
from national_server.numbers import Mac, NumberMaker
from national_server.reports import GovernorReports
from tests.memory_custody import MemoryCustody, MemoryNetwork
from tests.postgres_fixture import make_database
from tests.revocation_fixtures import NothingRevoked
from tests.stream import Stream

DOMAIN = "juki.example"
MUNICIPALITIES = {"22": ("221309", "221007"), "13": ("131016",), "01": ("011002",)}


def identity_of(municipality: str) -> str:
    """A gateway's URI identity in the tests' trust domain."""
    return gateway_identity(municipality, DOMAIN)


class Hosts:
    """Custody in memory of the nation, three prefectures and their municipalities."""

    def __init__(self) -> None:
        self.network = network = MemoryNetwork()
        plan = ProvisioningPlan(
            Path(),
            tuple(Prefecture(code, own) for code, own in MUNICIPALITIES.items()),
            trust_domain=DOMAIN,
        )
        self.roots_der = network.roots_der
        self._hosts = {host.identity: host for host in plan.hosts()}
        self._custody = {host.identity: MemoryCustody(network, host) for host in plan.hosts()}

    def custody(self, identity: str) -> MemoryCustody:
        """The custody of the host with this URI identity."""
        return self._custody[identity]

    def successor(self, identity: str) -> MemoryCustody:
        """New keys and certificates for the same host, beside the old ones."""
        return MemoryCustody(self.network, self._hosts[identity])


class Nation:
    """The nation's register with its parts at hand; a prefecture's where `knows_codes` is false."""

    def __init__(
        self,
        engine: Engine,
        hosts: Hosts,
        *,
        knows_codes: bool = True,
        mac: Mac | None = None,
        custody: MemoryCustody | None = None,
        revocation: SignerRevocation | None = None,
    ) -> None:
        """`custody` is that of an earlier process on the same database, for a restart."""
        self.engine = engine
        self.hosts = hosts
        self.tampered_with = False
        """Whether the test writes past the register, so that its root cannot fit."""

        self.custody = custody or hosts.custody(national_identity(DOMAIN))
        self.sealer = open_sealer(engine, self.custody)
        self.returns = ReturnBox(engine)
        self.pool = CodePool(engine, self.sealer, self.custody.random)
        self.numbers = NumberMaker(
            engine,
            self.sealer,
            mac or (lambda messages: self.custody.mac(INDIVIDUAL_NUMBER, messages)),
        )
        self.signers = SignerDirectory(
            hosts.roots_der,
            lambda: datetime.datetime.now(datetime.UTC),
            revocation or NothingRevoked(),
        )
        self.register = PersonRegister(self.sealer, NationalCodeRegistry() if knows_codes else None)
        self.disputes = DisputeBook()
        self.intake = NotificationIntake(
            engine=engine,
            sealer=self.sealer,
            custody=self.custody,
            signers=self.signers,
            register=self.register,
            disputes=self.disputes,
            issuer=national_identity(DOMAIN),
            identity_of=identity_of,
            receipted_by=lambda municipality: prefecture_identity(municipality[:2], DOMAIN),
            deliver=GovernorReports(self.returns).deliver,
        )

    def stream(self, municipality: str) -> Stream:
        """The stream of a municipality of the plan."""
        return Stream(municipality, self.hosts.custody(identity_of(municipality)))

    def code(self, municipality: str) -> str:
        """A fresh code of the municipality's pool."""
        return self.codes(municipality, 1)[0]

    def codes(self, municipality: str, count: int) -> list[str]:
        """Fresh codes of the municipality's pool."""
        allotted = self.pool.allot(municipality, secrets.token_hex(16), count)
        return [code.digits for code in allotted]

    def submit(self, stream: Stream, *signed: notification_pb2.SignedNotification) -> Submission:
        """Hands a run of a stream over; all that the stream ever signed where none is given."""
        request = intake_pb2.SubmitNotificationsRequest(
            notifications=signed or stream.sent, certificates=stream.certificates
        )
        return self.intake.submit(request, stream.municipality)


@pytest.fixture(scope="session")
def hosts() -> Hosts:
    """The network's keys."""
    return Hosts()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str | URL:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'register.sqlite'}"
    return make_database(request.getfixturevalue("postgres_server"))


@pytest.fixture
def engine(database_url: str | URL) -> Iterator[Engine]:
    """An engine on a database of the national schema."""
    one = open_engine(database_url)
    migrate(one, "national")
    yield one
    one.dispose()


@pytest.fixture
def nation(engine: Engine, hosts: Hosts) -> Iterator[Nation]:
    """A nation whose register is empty; whatever a test does, it leaves the root as it must be."""
    one = Nation(engine, hosts)
    yield one
    if not one.tampered_with:
        database = RootedDatabase(engine, one.sealer, t.register_root, SECTIONS)
        assert verify(database, None).findings == []
