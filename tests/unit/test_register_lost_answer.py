"""A commit whose answer is lost: kept or not, the register and its listeners stay in step."""

from __future__ import annotations

import datetime
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine

from hsm.plan import Prefecture, ProvisioningPlan
from juki.domain.change import ChangeReason
from juki.domain.errors import JukiError, Reason
from juki.register.data_key import open_sealer
from juki.register.disputes import DisputeBook
from juki.register.intake import Committed, NotificationIntake, Submission
from juki.register.persons import PersonRegister
from juki.register.signers import SignerDirectory
from juki.rpc.names import gateway_identity, prefecture_identity
from juki.store.engine import migrate, open_engine
from juki.v1 import intake_pb2
from tests.memory_custody import MemoryCustody, MemoryNetwork
from tests.revocation_fixtures import NothingRevoked
from tests.stream import Stream, information

_MUNICIPALITY = "221309"


class Prefecture22:
    """A register in process that remembers what its listeners were told."""

    def __init__(self, engine: Engine) -> None:
        network = MemoryNetwork()
        plan = ProvisioningPlan(Path(), (Prefecture("22", (_MUNICIPALITY,)),))
        custody = {host.identity: MemoryCustody(network, host) for host in plan.hosts()}
        own = custody[prefecture_identity("22", plan.trust_domain)]
        self.stream = Stream(
            _MUNICIPALITY, custody[gateway_identity(_MUNICIPALITY, plan.trust_domain)]
        )
        sealer = open_sealer(engine, own)
        self.intake = NotificationIntake(
            engine=engine,
            sealer=sealer,
            custody=own,
            signers=SignerDirectory(
                network.roots_der,
                lambda: datetime.datetime.now(datetime.UTC),
                NothingRevoked(),
            ),
            register=PersonRegister(sealer),
            disputes=DisputeBook(),
            issuer=prefecture_identity("22", plan.trust_domain),
            identity_of=lambda municipality: gateway_identity(municipality, plan.trust_domain),
            deliver=lambda connection, reports: None,
        )
        self.told: list[Committed] = []
        self.intake.on_commit(self.told.append)

    def birth(self, code: str) -> None:
        """The next notification of the stream, not handed in yet."""
        self.stream.add(information(code, ChangeReason.BIRTH))

    def submit(self) -> Submission:
        """Hands in all that the stream ever signed."""
        return self.intake.submit(
            intake_pb2.SubmitNotificationsRequest(
                notifications=self.stream.sent, certificates=self.stream.certificates
            ),
            _MUNICIPALITY,
        )


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    found = open_engine(f"sqlite:///{tmp_path / 'register.sqlite'}")
    migrate(found, "prefectural")
    return found


def lose_one_answer(engine: Engine, monkeypatch: pytest.MonkeyPatch, *, kept: bool) -> None:
    """The next commit fails for the caller; the database has kept it or has not."""
    commit = engine.dialect.do_commit
    lost = iter([True])

    def do_commit(connection: object) -> None:
        losing = next(lost, False)
        if kept or not losing:
            commit(connection)  # type: ignore[arg-type]
        if losing:
            raise sqlite3.OperationalError("the connection is lost")

    monkeypatch.setattr(engine.dialect, "do_commit", do_commit)


@pytest.mark.parametrize("kept", [True, False])
def test_listeners_hear_once_of_a_run_whose_answer_was_lost(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    prefecture = Prefecture22(engine)
    prefecture.birth("24727059608")
    lose_one_answer(engine, monkeypatch, kept=kept)
    with pytest.raises(JukiError) as caught:
        prefecture.submit()
    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    assert prefecture.told == []
    again = prefecture.submit()
    assert (again.accepted, again.duplicates) == ((0, 1) if kept else (1, 0))
    (committed,) = prefecture.told
    assert len(committed.outcome.persons) == 1
    prefecture.birth("24846016224")
    assert prefecture.submit().accepted == 1
    ordinals = [person.ordinal for one in prefecture.told for person in one.outcome.persons]
    assert len(ordinals) == len(set(ordinals)) == 2
    engine.dispose()


def test_a_run_that_follows_is_told_after_the_one_whose_answer_was_lost(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefecture = Prefecture22(engine)
    prefecture.birth("24727059608")
    lose_one_answer(engine, monkeypatch, kept=True)
    with pytest.raises(JukiError):
        prefecture.submit()
    prefecture.birth("24846016224")
    submission = prefecture.submit()
    assert (submission.accepted, submission.duplicates) == (1, 1)
    assert [len(one.outcome.persons) for one in prefecture.told] == [1, 1]
    engine.dispose()
