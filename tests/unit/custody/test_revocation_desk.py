"""An issuing authority's desk: what is revoked stays so, lists only ever go forward."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hsm.plan import Host, Prefecture, ProvisioningPlan
from juki.custody.port import SIGNING, TLS_CLIENT
from juki.domain.errors import JukiError, Reason
from juki.v1 import revocation_pb2
from tests.memory_custody import MemoryCustody, MemoryNetwork
from tests.revocation_fixtures import MemoryDesk, SetClock

GATEWAY = "spiffe://pref22.juki.example/cs/221309"
PLAN = ProvisioningPlan(Path(), (Prefecture("22", ("221309",)), Prefecture("13", ())))


def parsed(signed: revocation_pb2.SignedRevocationList) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(signed.list)


def number_of(signed: revocation_pb2.SignedRevocationList) -> int:
    return parsed(signed).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def revoked_by(signed: revocation_pb2.SignedRevocationList) -> set[int]:
    return {entry.serial_number for entry in parsed(signed)}


class Setting:
    """Prefecture 22's authority, and custody of the hosts that it certified."""

    def __init__(self, directory: Path) -> None:
        self.clock = SetClock()
        self.network = MemoryNetwork(self.clock)
        self.custody = {host.name: MemoryCustody(self.network, host) for host in PLAN.hosts()}
        self.desk = MemoryDesk(self.network, "pref22", directory / "hsm", self.clock)

    def certificate(self, host: str, label: str) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.custody[host].certificate_chain(label)[0])

    def record(self, host: Host) -> list[int]:
        """Puts a host's certificates on record, as a ceremony does; their serial numbers."""
        made = [self.certificate(host.name, label) for label in (TLS_CLIENT, SIGNING)]
        for one in made:
            self.desk.desk.certified(self.desk.issuer, one, host.identity)
        return [one.serial_number for one in made]


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


def host(name: str) -> Host:
    return next(one for one in PLAN.hosts() if one.name == name)


def refusal(act: Callable[[], object]) -> Reason:
    with pytest.raises(JukiError) as refused:
        act()
    return refused.value.reason


def test_a_first_list_revokes_nobody_and_is_the_same_until_it_is_due(setting: Setting) -> None:
    first = setting.desk.current()
    assert revoked_by(first) == set()
    setting.clock.advance(minutes=59)
    assert setting.desk.current() == first
    setting.desk.start_again()
    assert setting.desk.current() == first
    setting.clock.advance(minutes=1)
    second = setting.desk.current()
    assert number_of(second) > number_of(first)
    next_update = parsed(second).next_update_utc
    assert next_update is not None
    assert (next_update - setting.clock.now).total_seconds() > 23 * 3600


def test_what_is_revoked_stays_revoked_in_every_later_list_and_after_a_restart(
    setting: Setting,
) -> None:
    before = setting.desk.current()
    after = setting.desk.revoke(7, 2**159 - 1)
    assert number_of(after) > number_of(before)
    assert setting.desk.current() == after
    setting.desk.start_again()
    assert setting.desk.current() == after
    later = setting.desk.revoke(8)
    assert revoked_by(later) == {7, 2**159 - 1, 8}
    assert number_of(later) > number_of(after)
    entry = parsed(later).get_revoked_certificate_by_serial_number(7)
    assert entry is not None
    reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason is x509.ReasonFlags.key_compromise


def test_an_identity_is_revoked_with_every_certificate_on_record_that_still_runs(
    setting: Setting,
) -> None:
    serials = setting.record(host("cs-221309"))
    others = setting.record(host("pref22"))
    assert revoked_by(setting.desk.revoke(identity=GATEWAY)) == set(serials)
    # The signing certificate outlives the client's; what has ended need not be listed.
    setting.clock.advance(days=399)
    setting.desk.start_again()
    assert revoked_by(setting.desk.revoke(identity=host("pref22").identity)) == {
        *serials,
        others[1],
    }


def test_what_cannot_be_revoked_is_refused_and_nothing_is_revoked(setting: Setting) -> None:
    desk = setting.desk
    assert refusal(lambda: desk.revoke(identity=GATEWAY)) is Reason.RECORD_NOT_FOUND
    assert refusal(desk.revoke) is Reason.INVALID_FIELD
    assert refusal(lambda: desk.revoke(7, reason="certificateHold")) is Reason.INVALID_FIELD
    assert refusal(lambda: desk.revoke(7, reason="because")) is Reason.INVALID_FIELD
    assert refusal(lambda: desk.revoke(2**159)) is Reason.INVALID_FIELD
    assert refusal(lambda: desk.revoke(0)) is Reason.INVALID_FIELD
    assert revoked_by(desk.current()) == set()


def test_numbers_go_on_although_the_record_was_restored_from_a_backup(setting: Setting) -> None:
    setting.desk.current()
    backup = setting.desk.record_file.read_bytes()
    setting.clock.advance(minutes=1)
    lost = setting.desk.revoke(7)
    setting.desk.record_file.write_bytes(backup)
    setting.clock.advance(minutes=1)
    setting.desk.start_again()
    restored = setting.desk.current()
    # Servers refuse it all the same, since it forgets a revocation.
    assert number_of(restored) > number_of(lost)
    assert revoked_by(restored) == set()


def test_a_line_whose_writer_died_does_not_count_and_a_damaged_one_stops_everything(
    setting: Setting,
) -> None:
    setting.desk.revoke(7)
    whole = setting.desk.record_file.read_bytes()
    setting.desk.record_file.write_bytes(whole + b'{"kind": "revoked", "serial": "8"')
    setting.desk.start_again()
    assert revoked_by(setting.desk.revoke(9)) == {7, 9}
    setting.desk.record_file.write_bytes(whole.replace(b'"revoked"', b'"revoqed"'))
    setting.desk.start_again()
    assert refusal(setting.desk.current) is Reason.CONFIGURATION_INVALID


def test_two_processes_on_one_record_see_each_others_revocations(
    setting: Setting, tmp_path: Path
) -> None:
    other = MemoryDesk(setting.network, "pref22", tmp_path / "hsm", setting.clock)
    first = setting.desk.current()
    assert other.current() == first
    after = other.revoke(7)
    assert setting.desk.current() == after
    assert revoked_by(setting.desk.revoke(8)) == {7, 8}


def test_openssl_refuses_a_revoked_certificate_by_the_list_and_takes_another(
    setting: Setting, tmp_path: Path
) -> None:
    gateway = setting.certificate("cs-221309", TLS_CLIENT)
    server = setting.certificate("pref22", TLS_CLIENT)
    signed = setting.desk.revoke(gateway.serial_number)
    crl = tmp_path / "crl.pem"
    crl.write_bytes(parsed(signed).public_bytes(Encoding.PEM))
    (tmp_path / "root.pem").write_bytes(setting.network.roots_pem)
    (tmp_path / "authority.pem").write_bytes(
        setting.desk.issuer.chain[0].public_bytes(Encoding.PEM)
    )
    results = {}
    for name, certificate in (("gateway", gateway), ("server", server)):
        file = tmp_path / f"{name}.pem"
        file.write_bytes(certificate.public_bytes(Encoding.PEM))
        command = ["openssl", "verify", "-crl_check", "-CRLfile", str(crl)]
        command += ["-CAfile", str(tmp_path / "root.pem")]
        command += ["-untrusted", str(tmp_path / "authority.pem"), str(file)]
        results[name] = subprocess.run(command, capture_output=True, text=True, check=False)
    assert results["server"].returncode == 0, results["server"].stderr
    assert results["gateway"].returncode != 0
    assert "certificate revoked" in results["gateway"].stderr
