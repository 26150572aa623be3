"""Evidence under a revoked key: judged by when it arrived, and its stream goes on without it."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from juki.custody.port import SIGNING
from juki.custody.verify import fingerprint
from juki.domain.change import ChangeReason
from juki.domain.envelope import receipt_digest
from juki.domain.errors import JukiError, Reason
from juki.register import tables as t
from juki.register.signers import LEARNING_TIME
from juki.revocation.book import RevocationBook
from juki.revocation.lists import facts_of_der
from juki.rpc.names import prefecture_identity
from juki.v1 import intake_pb2, notification_pb2
from tests.register_fixtures import DOMAIN, Hosts, Nation, identity_of
from tests.revocation_fixtures import MemoryDesk, SetClock
from tests.stream import Stream, information

HERE = "221309"
PREFECTURE = prefecture_identity("22", DOMAIN)


class Setting:
    """A nation whose book holds prefecture 22's list, and a gateway's stream."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        # Keys of its own: a revoked certificate must not reach other tests.
        self.hosts = Hosts()
        self.clock = SetClock()
        self.desk = MemoryDesk(self.hosts.network, "pref22", directory, self.clock)
        self.book = RevocationBook(engine, self.hosts.roots_der, self.clock)
        self.book.accept(self.desk.current())
        self.nation = Nation(engine, self.hosts, revocation=self.book)
        self.stream = self.nation.stream(HERE)

    def birth(self) -> notification_pb2.SignedNotification:
        return self.stream.add(information(self.nation.code(HERE), ChangeReason.BIRTH))

    def revoke_gateway(self) -> None:
        self.book.accept(self.desk.revoke(facts_of_der(self.stream.certificates[0]).serial))

    def submit(
        self,
        *signed: notification_pb2.SignedNotification,
        received_at: datetime.datetime | None = None,
        receipts_of: str = HERE,
    ) -> Reason | int:
        """How many the nation took, or why none; with the prefecture's receipt if one is given."""
        request = intake_pb2.SubmitNotificationsRequest(
            notifications=signed, certificates=self.stream.certificates
        )
        if received_at is not None:
            custody = self.hosts.custody(PREFECTURE)
            first, last = (
                notification_pb2.Notification.FromString(one.notification)
                for one in (signed[0], signed[-1])
            )
            receipt = notification_pb2.Receipt(
                issuer=PREFECTURE,
                municipality=receipts_of,
                epoch=first.epoch,
                first_sequence=first.sequence,
                last_sequence=last.sequence,
            )
            receipt.received_at.FromDatetime(received_at)
            data = receipt.SerializeToString()
            chain = custody.certificate_chain(SIGNING)
            request.certificates.extend(chain)
            request.receipts.add(
                receipt=data,
                key_id=fingerprint(chain[0]),
                signature=custody.sign(SIGNING, [receipt_digest(data)])[0],
            )
        try:
            return self.nation.intake.submit(request, HERE).accepted
        except JukiError as error:
            return error.reason


@pytest.fixture
def setting(engine: Engine, tmp_path: Path) -> Setting:
    return Setting(engine, tmp_path / "hsm")


def test_what_a_revoked_signer_submits_is_refused_and_what_it_submitted_before_stays(
    setting: Setting, engine: Engine
) -> None:
    first, second = setting.birth(), setting.birth()
    assert setting.submit(first) == 1
    setting.revoke_gateway()
    assert setting.submit(second) is Reason.SIGNER_REVOKED
    # A restart does not drop the evidence's certificate, nor does it forget the revocation.
    again = Nation(engine, setting.hosts, custody=setting.nation.custody, revocation=setting.book)
    again.signers.load(engine)
    setting.nation = again
    assert setting.submit(second) is Reason.SIGNER_REVOKED
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(t.notification)) == 1
        assert connection.scalar(select(func.count()).select_from(t.signing_certificate)) == 1


def test_the_prefectures_receipt_lets_in_what_reached_it_before_the_revocation(
    setting: Setting,
) -> None:
    waiting = setting.birth()
    arrived = setting.clock.now
    setting.clock.advance(minutes=10)
    setting.revoke_gateway()
    assert setting.submit(waiting) is Reason.SIGNER_REVOKED
    assert setting.submit(waiting, received_at=arrived) == 1


def test_a_receipt_given_after_the_revocation_or_of_another_stream_lets_nothing_in(
    setting: Setting,
) -> None:
    late = setting.birth()
    setting.revoke_gateway()
    learnt = setting.clock.now + LEARNING_TIME + datetime.timedelta(seconds=2)
    assert setting.submit(late, received_at=learnt) is Reason.SIGNER_REVOKED
    before = setting.clock.now - datetime.timedelta(minutes=1)
    assert setting.submit(late, received_at=before, receipts_of="221007") is Reason.SIGNER_MISMATCH


def test_a_revoked_prefecture_can_vouch_for_nothing(setting: Setting) -> None:
    waiting = setting.birth()
    before = setting.clock.now - datetime.timedelta(minutes=1)
    setting.revoke_gateway()
    server = setting.hosts.custody(PREFECTURE).certificate_chain(SIGNING)[0]
    setting.book.accept(setting.desk.revoke(facts_of_der(server).serial))
    assert setting.submit(waiting, received_at=before) is Reason.SIGNER_REVOKED


def test_the_stream_goes_on_under_the_successors_key(setting: Setting) -> None:
    assert setting.submit(setting.birth()) == 1
    setting.revoke_gateway()
    stolen = setting.birth()
    assert setting.submit(stolen) is Reason.SIGNER_REVOKED
    successor = setting.hosts.successor(identity_of(HERE))
    old, setting.stream = (
        setting.stream,
        Stream(
            HERE,
            successor,
            sequence=setting.stream.sequence - 1,
            digest=notification_pb2.Notification.FromString(stolen.notification).predecessor_digest,
        ),
    )
    assert old.certificates != setting.stream.certificates
    assert setting.submit(setting.birth()) == 1


def test_a_list_past_its_time_lets_no_evidence_in(setting: Setting) -> None:
    setting.clock.advance(hours=25)
    assert setting.submit(setting.birth()) is Reason.CRL_STALE
