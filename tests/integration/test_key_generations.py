"""Custody and the generations of its keys: what a name means, what stays usable, what never is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509

from hsm.certificates import chain_file, read_chain, write_chain
from hsm.generations import generation_files
from hsm.host_files import ceremony_files, root_file
from hsm.plan import AUTHORITY_SOCKET
from hsm.token import open_token
from hsm.transcript import verify_transcripts
from hsm.unattended_rotation import retire, rotate
from juki.custody.client import CustodyClient
from juki.custody.naming import token_label
from juki.custody.port import INDIVIDUAL_NUMBER, ISSUING_AUTHORITY, SIGNING, TLS_CLIENT, WRAPPING
from juki.custody.verify import verify_signature
from juki.domain.errors import JukiError, Reason
from tests.custody_fixtures import RunningCustody, TrustDomain, new_trust_domain, running_custody
from tests.network_fixtures import wait_until

DIGEST = sha256(b"document").digest()


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> TrustDomain:
    return new_trust_domain(tmp_path_factory.mktemp("domain"))


@pytest.fixture(scope="module")
def nation(domain: TrustDomain) -> Iterator[RunningCustody]:
    with running_custody(domain.files("national")) as custody:
        yield custody


def rotate_and_wait(domain: TrustDomain, custody: CustodyClient, key_class: str) -> tuple[str, str]:
    """Names of the generation before and of the one in use now."""
    before = custody.generations(key_class).current
    rotate(domain.plan, key_class, "national")
    wait_until(lambda: custody.generations(key_class).current != before)
    return before, custody.generations(key_class).current


def refused(attempt: object) -> Reason:
    with pytest.raises(JukiError) as refusal:
        attempt()  # type: ignore[operator]
    return refusal.value.reason


def test_a_data_key_is_wrapped_anew_inside_custody_and_both_forms_open(
    domain: TrustDomain, nation: RunningCustody
) -> None:
    custody = nation.client
    key = custody.new_data_key(WRAPPING)
    assert custody.rewrap_data_key(WRAPPING, key.wrapped) == key.wrapped
    rotate_and_wait(domain, custody, WRAPPING)
    assert custody.unwrap_data_key(WRAPPING, key.wrapped) == key.plaintext
    anew = custody.rewrap_data_key(WRAPPING, key.wrapped)
    assert anew != key.wrapped
    assert key.plaintext not in anew
    assert custody.unwrap_data_key(WRAPPING, anew) == key.plaintext
    assert custody.rewrap_data_key(WRAPPING, anew) == anew
    later = custody.new_data_key(WRAPPING)
    assert later.wrapped[:4] == anew[:4] == (2).to_bytes(4)


@pytest.mark.parametrize("generation", [0, 1, 3, 2**32 - 1])
def test_a_wrapped_key_that_names_another_generation_does_not_open(
    domain: TrustDomain, nation: RunningCustody, generation: int
) -> None:
    custody = nation.client
    if custody.generations(WRAPPING).current == "wrapping.1":
        rotate_and_wait(domain, custody, WRAPPING)
    wrapped = custody.new_data_key(WRAPPING).wrapped
    for forged in (generation.to_bytes(4) + wrapped[4:], wrapped[4:]):
        for operation in (custody.unwrap_data_key, custody.rewrap_data_key):
            reason = refused(lambda op=operation, form=forged: op(WRAPPING, form))
            assert reason in (Reason.INVALID_FIELD, Reason.TAMPERING_DETECTED)


def test_numbers_are_made_under_the_generation_in_use_and_recognised_under_each(
    domain: TrustDomain, nation: RunningCustody
) -> None:
    custody = nation.client
    (old,) = custody.mac(INDIVIDUAL_NUMBER, [b"code"])
    before, after = rotate_and_wait(domain, custody, INDIVIDUAL_NUMBER)
    (new,) = custody.mac(INDIVIDUAL_NUMBER, [b"code"])
    assert new != old
    assert custody.mac(before, [b"code"]) == [old]
    assert custody.mac(after, [b"code"]) == [new]
    assert custody.generations(INDIVIDUAL_NUMBER).usable == (before, after)


def test_each_generation_keeps_its_certificates_and_signs_when_it_is_named(
    domain: TrustDomain, nation: RunningCustody
) -> None:
    custody = nation.client
    before, after = rotate_and_wait(domain, custody, SIGNING)
    first, second = custody.certified_key(before), custody.certified_key(after)
    assert custody.certified_key(SIGNING) == second
    assert first.chain[0] != second.chain[0]
    keys = [
        read_chain(chain_file(domain.files("national").certificates, label))[0].public_key()
        for label in ("signing", "signing.2")
    ]
    for name, key in zip((before, after), keys, strict=True):
        assert verify_signature(key, DIGEST, custody.sign(name, [DIGEST])[0])  # type: ignore[arg-type]
    assert verify_signature(keys[1], DIGEST, custody.sign(SIGNING, [DIGEST])[0])  # type: ignore[arg-type]


def test_a_generation_taken_out_of_use_and_destroyed_keeps_its_certificates(
    domain: TrustDomain, nation: RunningCustody
) -> None:
    custody = nation.client
    before, after = rotate_and_wait(domain, custody, SIGNING)
    number = int(before.rpartition(".")[2])
    assert refused(lambda: retire(domain.plan, SIGNING, number, "national", destroy=True)) is (
        Reason.CONFIGURATION_INVALID
    )
    assert refused(lambda: retire(domain.plan, SIGNING, number + 1, "national")) is (
        Reason.CONFIGURATION_INVALID
    )
    assert len(custody.sign(before, [DIGEST])) == 1
    retire(domain.plan, SIGNING, number, "national")
    wait_until(lambda: before not in custody.generations(SIGNING).usable)
    retire(domain.plan, SIGNING, number, "national", destroy=True)
    with open_token(domain.files("national").token(domain.plan.module, "national")) as token:
        assert not token.has_key(token_label(SIGNING, number))
        assert token.has_key(token_label(SIGNING, number + 1))
    assert refused(lambda: custody.sign(before, [DIGEST])) is Reason.INVALID_FIELD
    assert before in custody.generations(SIGNING).certified
    assert custody.certified_key(before).name == before
    assert len(custody.sign(after, [DIGEST])) == 1
    nation.kill()
    nation.start_again()
    assert custody.generations(SIGNING).current == after


def test_naming_a_generation_opens_no_key_that_the_class_does_not(
    nation: RunningCustody,
) -> None:
    custody = nation.client
    for name in ("issuing-ca.1", "server-issuer.1", "wrapping.1", "token.1"):
        assert refused(lambda key=name: custody.sign(key, [DIGEST])) is (
            Reason.KEY_USE_NOT_PERMITTED
        )
    for name in ("signing.99", "signing.0", "signing.01", "signing.", "signing.1.1"):
        assert refused(lambda key=name: custody.sign(key, [DIGEST])) in (
            Reason.KEY_USE_NOT_PERMITTED,
            Reason.INVALID_FIELD,
        )
    assert refused(lambda: custody.generations("root")) is Reason.KEY_USE_NOT_PERMITTED


def test_a_chain_of_another_key_puts_nothing_in_use(
    domain: TrustDomain, nation: RunningCustody
) -> None:
    custody = nation.client
    folder = domain.files("national").certificates
    before = custody.generations(TLS_CLIENT)
    log = domain.files("national").configuration.with_name("custody.log")
    with open_token(
        domain.files("national").token(domain.plan.module, "national"), writable=True
    ) as t:
        t.generate_signing_key("tls-client.2")
    write_chain(chain_file(folder, "tls-client.2"), read_chain(chain_file(folder, SIGNING)))
    wait_until(
        lambda: (
            custody.generations(TLS_CLIENT) == before and "generation refused" in log.read_text()
        )
    )
    rotate_and_wait(domain, custody, WRAPPING)
    assert custody.generations(TLS_CLIENT) == before
    chain_file(folder, "tls-client.2").unlink()


def test_custody_started_again_goes_on_with_the_generation_in_use(domain: TrustDomain) -> None:
    with running_custody(domain.files("pref22")) as custody:
        rotate(domain.plan, SIGNING, "pref22")
        wait_until(lambda: custody.client.generations(SIGNING).current == "signing.2")
        custody.kill()
        custody.start_again()
        assert custody.client.generations(SIGNING).current == "signing.2"


def test_a_rotation_that_was_interrupted_is_taken_up_where_it_stopped(
    domain: TrustDomain,
) -> None:
    files = domain.files("cs-221309")
    location = files.token(domain.plan.module, "cs-221309")
    with open_token(location, writable=True) as token:
        token.generate_signing_key("signing.2")  # made, and then the power went
        made = token.public_key("signing.2")
    with running_custody(files) as custody:
        assert custody.client.generations(SIGNING).usable == ("signing.1",)
        rotate(domain.plan, SIGNING, "cs-221309")
        wait_until(lambda: custody.client.generations(SIGNING).current == "signing.2")
    assert read_chain(chain_file(files.certificates, "signing.2"))[0].public_key() == made


def test_an_identity_is_revoked_under_every_generation_of_its_authority(
    domain: TrustDomain, nation: RunningCustody
) -> None:
    pension = chain_file(domain.files("agency-pension").certificates, TLS_CLIENT)
    first = read_chain(pension)[0]
    rotate(domain.plan, ISSUING_AUTHORITY, "national")
    rotate(domain.plan, TLS_CLIENT, "agency-pension")
    second = read_chain(pension.with_name("tls-client.2.pem"))[0]
    assert first.issuer != second.issuer
    with CustodyClient(domain.files("national").socket(AUTHORITY_SOCKET)) as authority:
        names = authority.generations(ISSUING_AUTHORITY).usable
        assert names == ("issuing-ca.1", "issuing-ca.2")

        def revoked(name: str) -> set[int]:
            listed = x509.load_der_x509_crl(authority.revocation_list(name).list_der)
            return {entry.serial_number for entry in listed}

        assert [revoked(name) for name in names] == [set(), set()]
        made = authority.revoke(
            ISSUING_AUTHORITY, "spiffe://agency.juki.example/pension", [], "keyCompromise"
        )
        assert set(made.newly_revoked) == {first.serial_number, second.serial_number}
        assert first.serial_number in revoked(names[0])
        assert second.serial_number in revoked(names[1])
        assert refused(
            lambda: authority.revoke(
                ISSUING_AUTHORITY, "spiffe://agency.juki.example/nobody", [], "keyCompromise"
            )
        ) is (Reason.RECORD_NOT_FOUND)


def test_every_rotation_is_in_the_signed_transcripts(domain: TrustDomain) -> None:
    rotate(domain.plan, "root")
    rotate(domain.plan, "issuing-ca", "pref13")
    folder = ceremony_files(domain.plan.directory).transcripts
    new, old = [one.public_key() for one in read_chain(root_file(domain.plan.directory))]
    verified = verify_transcripts(folder, old, new)  # type: ignore[arg-type]
    assert verified.ceremonies >= 3
    words = "".join(file.read_text() for file in sorted(folder.glob("*.txt")))
    for name in ("root.2", "issuing-ca.2"):
        assert name in words
    with pytest.raises(JukiError, match="not what the root key signed"):
        verify_transcripts(folder, old)  # type: ignore[arg-type]


def test_a_class_or_host_that_the_plan_lacks_is_refused(domain: TrustDomain) -> None:
    for key_class, host in (("signing", "agency-pension"), ("nothing", "national")):
        assert refused(lambda k=key_class, h=host: rotate(domain.plan, k, h)) is (
            Reason.CONFIGURATION_INVALID
        )


def test_the_commands_rotate_and_retire_a_network_made_from_a_plan(tmp_path: Path) -> None:
    plan, directory = tmp_path / "network.toml", tmp_path / "net"
    plan.write_text('agencies = ["pension"]\n[[prefectures]]\ncode = "22"\nmunicipalities = []\n')

    def command(*arguments: str) -> str:
        """In a process of its own: PKCS#11 is initialised once."""
        done = subprocess.run(
            [sys.executable, "-m", "juki", "hsm", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        return f"{done.returncode} {done.stdout}{done.stderr}"

    where = (str(plan), "--directory", str(directory))
    assert command("init", "--plan", where[0], *where[1:]).startswith("0 ")
    told = command("rotate", *where, "--class", "signing", "--host", "pref22")
    assert told.startswith("0 ")
    assert "新世代の鍵の使用開始 (generation in use)  pref22 / signing.2" in told
    used = generation_files(directory / "pref22" / "hsm" / "certificates", SIGNING)
    assert (used.made, used.current) == ((1, 2), 2)
    retiring = ("retire", *where, "--class", "signing", "--host", "pref22", "--generation")
    assert command(*retiring, "2").startswith("1 ")
    assert "旧世代の鍵の使用停止" in command(*retiring, "1")
    assert "旧世代の鍵の破棄" in command(*retiring, "1", "--destroy")
    assert command("rotate", *where, "--class", "signing", "--host", "cs-221309")[0] == "1"
    assert command("rotate", *where, "--class", "no-such-class")[0] == "1"
    assert command("init", "--plan", where[0], *where[1:]).startswith("0 ")
    used = generation_files(directory / "pref22" / "hsm" / "certificates", SIGNING)
    assert (used.made, used.retired, used.current) == ((1, 2), (1,), 2)
