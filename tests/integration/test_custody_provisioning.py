"""Provisioning: what lies where, what can never leave, and which names each authority may give."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pkcs11
import pytest
from cryptography import x509
from pkcs11 import Attribute, ObjectClass

from hsm.certificates import chain_file, read_chain
from hsm.host_files import host_files
from hsm.plan import Host, Prefecture, ProvisioningPlan
from hsm.provision import provision, provision_here
from hsm.token import load_module, open_token
from juki.custody.port import TLS_CLIENT
from tests.custody_fixtures import TrustDomain


def contents(directory: Path) -> dict[str, str]:
    return {
        str(file.relative_to(directory)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(directory.rglob("*"))
        if file.is_file() and "tokens" not in file.parts
    }


def test_provisioning_again_changes_nothing(trust_domain: TrustDomain) -> None:
    before = contents(trust_domain.plan.directory)
    provision(trust_domain.plan)
    assert contents(trust_domain.plan.directory) == before


def test_a_certificate_lost_is_made_again_for_the_same_key(trust_domain: TrustDomain) -> None:
    file = chain_file(trust_domain.files("agency-pension").certificates, TLS_CLIENT)
    before = read_chain(file)
    file.unlink()
    provision(trust_domain.plan)
    after = read_chain(file)
    assert after[0].public_key() == before[0].public_key()
    assert after[0].serial_number != before[0].serial_number


def test_certificates_are_made_anew_for_the_same_keys_when_a_third_of_their_life_is_left(
    tmp_path: Path,
) -> None:
    plan = ProvisioningPlan(tmp_path, (Prefecture("22", ()),))
    begin = datetime.now(UTC)

    def leaves_after(days: int) -> dict[str, x509.Certificate]:
        provision_here(plan, lambda: begin + timedelta(days=days))
        folder = host_files(tmp_path, "pref22").certificates
        return {file.stem: read_chain(file)[0] for file in folder.iterdir()}

    first = leaves_after(0)
    assert leaves_after(200) == first
    later = leaves_after(300)
    assert later.keys() == first.keys() == {"tls-client", "signing", "server-issuer", "issuing-ca"}
    assert {label for label in first if later[label] != first[label]} == {
        "tls-client",
        "server-issuer",
    }
    for label, certificate in later.items():
        assert certificate.public_key() == first[label].public_key()
        assert certificate.not_valid_after_utc > begin + timedelta(days=300)


@pytest.mark.parametrize(
    "host", ["root", "national", "pref22", "pref13", "cs-221309", "cs-221309-register"]
)
def test_no_private_or_secret_key_can_leave_the_token(trust_domain: TrustDomain, host: str) -> None:
    location = trust_domain.files(host).token(trust_domain.plan.module, host)
    library = load_module(location.module, location.softhsm_configuration)
    try:
        token = library.get_token(token_label=location.label)
        with token.open(user_pin=trust_domain.pin(host)) as session:
            kinds = (ObjectClass.PRIVATE_KEY, ObjectClass.SECRET_KEY)
            keys = [one for kind in kinds for one in session.get_objects({Attribute.CLASS: kind})]
            assert keys
            for key in keys:
                assert key[Attribute.SENSITIVE]
                assert key[Attribute.ALWAYS_SENSITIVE]
                assert key[Attribute.NEVER_EXTRACTABLE]
                assert key[Attribute.LOCAL]
                with pytest.raises(pkcs11.exceptions.AttributeSensitive):
                    _ = key[Attribute.VALUE]
                with pytest.raises(pkcs11.exceptions.PKCS11Error):
                    key[Attribute.EXTRACTABLE] = True
    finally:
        library.finalize()


def test_each_host_holds_its_own_keys_and_no_others(trust_domain: TrustDomain) -> None:
    def held(host: Host) -> set[str]:
        location = trust_domain.files(host.name).token(trust_domain.plan.module, host.name)
        with open_token(location) as token:
            labels = ("tls-client", "signing", "server-issuer", "wrapping", "individual-number")
            return {
                label
                for label in (*labels, "exchange", "issuing-ca", "root")
                if token.has_key(label)
            }

    server = {"tls-client", "signing", "server-issuer", "wrapping"}
    assert {host.name: held(host) for host in trust_domain.plan.hosts()} == {
        "national": server | {"issuing-ca", "individual-number"},
        "agency-pension": {"tls-client"},
        "pref22": server | {"issuing-ca"},
        "cs-221309": server | {"exchange"},
        "cs-221309-register": {"tls-client"},
        "pref13": server | {"issuing-ca"},
    }


def test_secrets_are_readable_by_their_owner_only(trust_domain: TrustDomain) -> None:
    directory = trust_domain.plan.directory
    pins = [*directory.rglob("pin")]
    sealed = [directory / "root" / "sealed_pins.json", *directory.glob("root/unattended_officer/*")]
    assert (len(pins), len(sealed)) == (6, 3)
    assert {file.stat().st_mode & 0o777 for file in (*pins, *sealed)} == {0o600}
    assert len({file.read_text() for file in pins}) == len(pins)


def test_the_roots_pin_is_in_no_file_in_the_clear(trust_domain: TrustDomain) -> None:
    directory = trust_domain.plan.directory
    assert not (directory / "root" / "hsm" / "pin").exists()
    pins = [trust_domain.pin("root"), trust_domain.pin("security officer of root")]
    for file in directory.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not any(pin.encode() in content for pin in pins), file
    assert any(
        trust_domain.pin("pref22").encode() in f.read_bytes() for f in directory.rglob("pin")
    )
