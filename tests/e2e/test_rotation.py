"""Every class of keys of a running network is rotated, and each new key is seen at its work.

A register hands births in and a body looks up all the while; no call of either may fail. Classes
come from the plan, as the ceremony's: one without an effect that is looked for here fails.
"""

from __future__ import annotations

import itertools
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import create_engine, select
from sqlalchemy.engine import make_url

from hsm.authority_record import key_id_of
from hsm.certificates import chain_file, read_chain
from hsm.generations import generation_files
from hsm.host_files import host_files
from hsm.key_classes import KeyClass, key_classes
from hsm.rotation import in_order
from hsm.unattended_rotation import retire, rotate
from juki.audit.checkpoint import read_checkpoint
from juki.custody.port import (
    EXCHANGE,
    INDIVIDUAL_NUMBER,
    ISSUING_AUTHORITY,
    SERVER_ISSUER,
    SIGNING,
    TLS_CLIENT,
    WRAPPING,
)
from juki.custody.roots import load_roots
from juki.custody.sealing import seal
from juki.custody.verify import fingerprint
from juki.demo.checks import PensionBody
from juki.demo.gateway import Register
from juki.domain.change import ChangeReason
from juki.domain.codes import IndividualNumber
from juki.localnet.network import LocalNetwork
from juki.localnet.plan import NetworkPlan
from juki.register.tables import data_key, receipt
from juki.revocation.tables import revocation_list as lists
from juki.v1 import lookup_pb2, notification_pb2
from national_server.numbers import body_of
from tests.gateway_fixtures import register_event
from tests.network_fixtures import wait_until

TOWN = "221309"
SERVERS = ("national", "pref22", f"cs-{TOWN}")


class Load:
    """Births handed in and people looked up, one call after the other, none repeated."""

    def __init__(self, network: LocalNetwork) -> None:
        self.register = Register(network, TOWN)
        self.body = PensionBody(network)
        self.births = 0
        self.lookups = 0
        self.failures: list[Exception] = []
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), daemon=True)
            for work in (self._hand_in, self._look_up)
        ]
        self.register.record(register_event("first", "first", ChangeReason.BIRTH))
        wait_until(lambda: bool(self.number("first")))
        wait_until(lambda: self._finds(self.number("first")))
        for thread in self._threads:
            thread.start()

    def number(self, event_id: str) -> str:
        return self.register.event(event_id).outcome.individual_number

    def _finds(self, number: str) -> bool:
        (result,) = self.body.batch([number]).results
        return result.outcome == lookup_pb2.LOOKUP_OUTCOME_FOUND

    def _guarded(self, work: Callable[[int], None]) -> None:
        try:
            for number in itertools.count(1):
                if self._stopping.wait(0.02):
                    return
                work(number)
        except Exception as error:
            self.failures.append(error)

    def _hand_in(self, number: int) -> None:
        event_id = f"birth-{number}"
        self.register.record(register_event(event_id, event_id, ChangeReason.BIRTH))
        self.births = number

    def _look_up(self, number: int) -> None:
        first = getattr(self, "_first", None) or self.number("first")
        self._first = first
        assert self._finds(first)
        self.lookups = number

    def go_on(self, more: int = 5) -> str:
        """Returns when so many more of both succeeded; the id of the last birth, known by all."""
        births, lookups = self.births + more, self.lookups + more
        wait_until(
            lambda: bool(self.failures) or (self.births >= births and self.lookups >= lookups), 120
        )
        assert not self.failures
        event_id = f"birth-{self.births}"
        wait_until(
            lambda: (
                bool(self.failures)
                or (self.register.event(event_id).known_nationally and bool(self.number(event_id)))
            ),
            120,
        )
        assert not self.failures
        return event_id

    def close(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self.register.close()
        self.body.close()
        assert not self.failures


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    directory: Path = tmp_path_factory.mktemp("network")
    plan = NetworkPlan(directory, {"22": (TOWN,)}, agencies=("nenkin", "gaimu"))
    with LocalNetwork(plan) as running:
        running.provision()
        running.start()
        yield running


@pytest.mark.slow
def test_every_class_of_keys_is_rotated_in_a_network_at_work_without_a_failed_call(
    network: LocalNetwork,
) -> None:
    classes = key_classes(network.plan.provisioning)
    load = Load(network)
    try:
        load.go_on()
        for one in in_order(classes):
            effect = EFFECTS[one.label]
            assert not effect(network, load), "seen before the rotation"
            rotate(network.plan.provisioning, one.label)
            load.go_on()
            wait_until(lambda effect=effect: effect(network, load), 120)  # type: ignore[misc]
        assert unrotated(network, classes) == []
        assert every_leaf_leads_to_the_new_root(network)
        # The first generations are destroyed, and the servers start without knowing anybody.
        for one in classes:
            for destroy in (False, True):
                retire(network.plan.provisioning, one.label, 1, destroy=destroy)
        load.go_on()
        load.close()
        for name in SERVERS:
            network.processes[name].kill()
        for name in SERVERS:
            network.start_some([name])
        again = Load(network)
        again.go_on()
        again.close()
    finally:
        load._stopping.set()


def unrotated(network: LocalNetwork, classes: tuple[KeyClass, ...]) -> list[tuple[str, str]]:
    """Class and holder of every key whose first generation is still in use."""
    return [
        (one.label, holder)
        for one in classes
        for holder in one.holders
        if generation_files(certificates(network, holder), one.label).current < 2
    ]


def certificates(network: LocalNetwork, host: str) -> Path:
    return host_files(network.plan.directory, host).certificates


def chain_in_use(network: LocalNetwork, host: str, key_class: str) -> list[x509.Certificate]:
    chain = network.custody(host).certificate_chain(key_class)
    return [x509.load_der_x509_certificate(one) for one in chain]


def _signing(network: LocalNetwork, load: Load) -> bool:
    """Receipts of both tiers and the audit log's checkpoint bear the new keys."""
    load.go_on(1)
    for host in ("national", "pref22"):
        engine = create_engine(network.plan.database(host))
        with engine.connect() as connection:
            newest = connection.scalar(
                select(receipt.c.signed).order_by(receipt.c.id.desc()).limit(1)
            )
        engine.dispose()
        signed = notification_pb2.SignedReceipt.FromString(bytes(newest or b""))
        second = chain_file(certificates(network, host), "signing.2")
        if not second.exists() or signed.key_id != key_id(read_chain(second)[0]):
            return False
    checkpoint = read_checkpoint(network.plan.host_directory("national") / "audit" / "public")
    return checkpoint is not None and [one.key_id for one in checkpoint.signatures] == [
        bytes.fromhex(signed_by("national", network))[:4]
    ]


def key_id(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return fingerprint(certificate.public_bytes(Encoding.DER))


def signed_by(host: str, network: LocalNetwork) -> str:
    return key_id(chain_in_use(network, host, SIGNING)[0]).hex()


def _tls_client(network: LocalNetwork, load: Load) -> bool:
    """Custody says so here; that the old keys are needed no more shows when they are retired."""
    return all(
        network.custody(host).generations(TLS_CLIENT).current == "tls-client.2"
        for host in (*SERVERS, "agency-nenkin", f"cs-{TOWN}-register")
    )


def _server_issuer(network: LocalNetwork, load: Load) -> bool:
    """Each server shows a leaf that its new server issuer certified."""
    return all(
        issued_by(presented(network, host), chain_in_use(network, host, SERVER_ISSUER)[0])
        and network.custody(host).generations(SERVER_ISSUER).current == "server-issuer.2"
        for host in SERVERS
    )


def presented(network: LocalNetwork, host: str) -> x509.Certificate:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    address = ("127.0.0.1", network.ports[host])
    with (
        socket.create_connection(address, timeout=30) as plain,
        context.wrap_socket(plain) as secured,
    ):
        return x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")


def issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:
        return False
    return True


def _issuing_authority(network: LocalNetwork, load: Load) -> bool:
    """Every server holds the first revocation lists of the new authorities."""
    wanted = set()
    for host in ("national", "pref22"):
        file = chain_file(certificates(network, host), "issuing-ca.2")
        if not file.exists():
            return False
        wanted.add(key_id_of(read_chain(file)[0]))
    for host in SERVERS:
        engine = create_engine(network.plan.database(host))
        with engine.connect() as connection:
            held = {bytes(one) for one in connection.scalars(select(lists.c.issuer_key_id))}
        engine.dispose()
        if not wanted <= held:
            return False
    return True


def every_leaf_leads_to_the_new_root(network: LocalNetwork) -> bool:
    """New keys are certified by new authorities, and those by the new root."""
    root = x509.load_der_x509_certificate(load_roots(network.plan.roots).der[0])
    return all(
        issued_by(chain_in_use(network, host, key_class)[-1], root)
        for host in SERVERS
        for key_class in (TLS_CLIENT, SIGNING, SERVER_ISSUER)
    )


def _root(network: LocalNetwork, load: Load) -> bool:
    """Both roots are trusted."""
    return len(load_roots(network.plan.roots).der) == 2


def _wrapping(network: LocalNetwork, load: Load) -> bool:
    """Every stored data key is wrapped by the second generation."""
    wrapped: list[bytes] = []
    for host in SERVERS:
        engine = create_engine(make_url(network.plan.database(host)))
        column = data_key.c.wrapped
        with engine.connect() as connection:
            found = [bytes(one) for one in connection.scalars(select(column))]
        engine.dispose()
        assert found
        wrapped += found
    return all(len(one) == 64 and one[:4] == (2).to_bytes(4) for one in wrapped)


def _individual_number(network: LocalNetwork, load: Load) -> bool:
    """A number made now is the second generation's."""
    custody = network.custody("national")
    newest = custody.generations(INDIVIDUAL_NUMBER).usable[-1]
    outcome = load.register.event(load.go_on(1)).outcome
    (mac,) = custody.mac(newest, [outcome.resident_record_code.encode() + (0).to_bytes(4)])
    body = body_of(mac)
    made = outcome.individual_number == IndividualNumber.from_body(body or 0).digits
    return made and newest == f"{INDIVIDUAL_NUMBER}.2"


def _exchange(network: LocalNetwork, load: Load) -> bool:
    """What is sealed to the gateway's certificate of today opens under the second generation."""
    custody = network.custody(f"cs-{TOWN}")
    key = chain_in_use(network, f"cs-{TOWN}", EXCHANGE)[0].public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    message = seal(key, b"moving-out data", b"test")
    opened = custody.open_sealed(EXCHANGE, message)
    return opened == b"moving-out data" and custody.generations(EXCHANGE).current == "exchange.2"


EFFECTS: dict[str, Callable[[LocalNetwork, Load], bool]] = {
    "root": _root,
    ISSUING_AUTHORITY: _issuing_authority,
    SERVER_ISSUER: _server_issuer,
    SIGNING: _signing,
    TLS_CLIENT: _tls_client,
    WRAPPING: _wrapping,
    INDIVIDUAL_NUMBER: _individual_number,
    EXCHANGE: _exchange,
}
"""Whether a new key of each class is at its work."""
