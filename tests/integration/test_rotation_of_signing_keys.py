"""Signing keys are rotated in a running network: nothing is lost, every signature verifies."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from cryptography import x509
from sqlalchemy import create_engine, select

from cs_gateway.receipts import CertifiedReceipts
from hsm.unattended_rotation import rotate
from juki.custody.chains import chain_of
from juki.custody.port import SIGNING
from juki.custody.roots import load_roots
from juki.custody.verify import fingerprint, verify_chain, verify_signature
from juki.demo.gateway import Register
from juki.domain.change import ChangeReason
from juki.domain.envelope import notification_digest
from juki.localnet.network import LocalNetwork
from juki.register.signers import SignerDirectory, split_der
from juki.register.tables import receipt
from juki.v1 import intake_pb2, intake_pb2_grpc, notification_pb2
from national_server.tables import metadata as national_tables
from tests.gateway_fixtures import register_event
from tests.network_fixtures import running_network, wait_until
from tests.revocation_fixtures import NothingRevoked

TOWN = "221309"
GATEWAY = "spiffe://pref22.juki.example/cs/221309"


class Births:
    """A register that hands in one birth after the other until told to stop; no call may fail."""

    def __init__(self, network: LocalNetwork, name: str) -> None:
        self.register = Register(network, TOWN)
        self._name = name
        self.acknowledged = 0
        self.failures: list[Exception] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for number in itertools.count(1):
            if self._stopping.is_set():
                return
            try:
                event = register_event(
                    f"{self._name}-{number}", f"{self._name}-{number}", ChangeReason.BIRTH
                )
                self.register.record(event)
            except Exception as error:
                self.failures.append(error)
                return
            self.acknowledged = number

    def go_on(self, more: int = 5) -> None:
        """Returns when so many more are acknowledged."""
        goal = self.acknowledged + more
        wait_until(lambda: self.acknowledged >= goal or bool(self.failures), 60)
        assert not self.failures

    def stop(self) -> None:
        """Ends the thread, waits for the nation's receipts of everything, and closes."""
        self._stopping.set()
        self._thread.join()
        try:
            assert not self.failures
            wait_until(lambda: self.register.progress.issued >= self.acknowledged)
            self.register.wait_national(self.register.progress.issued)
        finally:
            self.register.close()


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    with running_network(tmp_path_factory.mktemp("network"), {"22": (TOWN,)}) as running:
        yield running


def key_in_use(network: LocalNetwork, host: str) -> bytes:
    return fingerprint(network.custody(host).certificate_chain(SIGNING)[0])


def test_notifications_flow_while_a_gateways_key_is_rotated_and_both_generations_verify(
    network: LocalNetwork,
) -> None:
    births = Births(network, "gateway")
    try:
        births.go_on()
        first = key_in_use(network, f"cs-{TOWN}")
        rotate(network.plan.provisioning, SIGNING, f"cs-{TOWN}")
        wait_until(lambda: key_in_use(network, f"cs-{TOWN}") != first)
        second = key_in_use(network, f"cs-{TOWN}")
        wait_until(lambda: second in certificates_at_the_nation(network))
    finally:
        births.stop()
    held = fetched(network, births.register.progress.issued)
    assert {signed.key_id for signed in held} == {first, second}
    chains = certificates_at_the_nation(network)
    roots = load_roots(network.plan.roots)
    for signed in held:
        chain = chain_of(signed.key_id, chains[signed.key_id])
        leaf = x509.load_der_x509_certificate(chain[0])
        signer = verify_chain(chain, roots.der, leaf.not_valid_before_utc, GATEWAY)
        digest = notification_digest(signed.notification)
        assert verify_signature(signer.public_key, digest, signed.signature)


def fetched(network: LocalNetwork, through: int) -> list[notification_pb2.SignedNotification]:
    """The municipality's whole stream, as the prefecture gives it back."""
    found: list[notification_pb2.SignedNotification] = []
    with network.channel(f"cs-{TOWN}", "pref22") as channel:
        stub = intake_pb2_grpc.NotificationIntakeServiceStub(channel)
        while len(found) < through:
            page = stub.FetchNotifications(
                intake_pb2.FetchNotificationsRequest(
                    municipality=TOWN, epoch=1, first_sequence=len(found) + 1, limit=500
                ),
                timeout=60,
            ).notifications
            assert page, "a notification is lost"
            found += page
    return found


def certificates_at_the_nation(network: LocalNetwork) -> dict[bytes, list[bytes]]:
    """The chains kept with the evidence, by key id."""
    engine = create_engine(network.plan.database("national"))
    with engine.connect() as connection:
        rows = connection.execute(select(national_tables.tables["signing_certificate"])).all()
    engine.dispose()
    return {
        bytes(row.key_id): [bytes(row.certificate), *split_der(bytes(row.issuer_certificates))]
        for row in rows
    }


def newest_receipts_key(network: LocalNetwork, host: str) -> bytes:
    """The id of the key that signed the newest receipt of a tier."""
    engine = create_engine(network.plan.database(host))
    with engine.connect() as connection:
        statement = select(receipt.c.signed).order_by(receipt.c.id.desc()).limit(1)
        newest = connection.scalar(statement) or b""
    engine.dispose()
    return notification_pb2.SignedReceipt.FromString(bytes(newest)).key_id


def test_receipts_given_before_and_after_a_rotation_all_come_with_what_verifies_them(
    network: LocalNetwork,
) -> None:
    births = Births(network, "tiers")
    try:
        births.go_on()
        before = {host: key_in_use(network, host) for host in ("pref22", "national")}
        for host, key in before.items():
            rotate(network.plan.provisioning, SIGNING, host)
            wait_until(lambda host=host, key=key: key_in_use(network, host) != key)  # type: ignore[misc]
        wait_until(lambda: all(newest_receipts_key(network, one) != before[one] for one in before))
    finally:
        births.stop()
    for caller, server, identity in (
        (f"cs-{TOWN}", "pref22", "spiffe://pref22.juki.example/server"),
        ("pref22", "national", "spiffe://national.juki.example/server"),
    ):
        run = fetched(network, births.register.progress.issued)
        signers = set()
        roots = load_roots(network.plan.roots)
        verify = CertifiedReceipts(
            SignerDirectory(roots.der, lambda: datetime.now(UTC), NothingRevoked())
        )
        with network.channel(caller, server) as channel:
            stub = intake_pb2_grpc.NotificationIntakeServiceStub(channel)
            for start in range(0, len(run), 500):
                part = run[start : start + 500]
                # Sent again: answered with the receipts of then, for whoever lost the answer.
                request = intake_pb2.SubmitNotificationsRequest(notifications=part)
                response = stub.SubmitNotifications(request, timeout=60)
                for signed in response.receipts:
                    verify(signed, response.certificates, identity)
                    signers.add(signed.key_id)
        assert signers == {before[server], key_in_use(network, server)}
