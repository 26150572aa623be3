"""Which PKCS#11 modules custody works with, and how it refuses those that it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

from hsm.host_files import HostFiles
from hsm.token import load_module
from tests.custody_fixtures import REPOSITORY, TrustDomain, running_custody, start_custody

OPENSC = Path("/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so")


def test_a_module_without_a_token_is_loaded_and_refused_in_clear_words(own_host: HostFiles) -> None:
    if not OPENSC.exists():
        pytest.skip("OpenSC is not installed")
    text = own_host.configuration.read_text()
    own_host.configuration.write_text(text.replace("/usr/lib/softhsm/libsofthsm2.so", str(OPENSC)))
    with pytest.raises(AssertionError) as refused:
        start_custody(own_host.configuration)
    assert "no token is labelled 'cs-221309'" in str(refused.value)
    assert "Traceback" not in str(refused.value)


def test_of_two_tokens_with_one_label_the_serial_number_chooses(own_host: HostFiles) -> None:
    configuration = own_host.configuration
    with_serial = configuration.read_text()
    (line,) = (one for one in with_serial.splitlines() if one.startswith("serial = "))
    second_token(own_host)
    with running_custody(own_host) as custody:
        assert custody.client.health().token_label == "cs-221309"
    configuration.write_text(with_serial.replace(f"{line}\n", ""))
    with pytest.raises(AssertionError) as refused:
        start_custody(configuration)
    assert "more than one token is labelled 'cs-221309': name the serial" in str(refused.value)
    configuration.write_text(with_serial.replace(line, 'serial = "0123456789abcdef"'))
    with pytest.raises(AssertionError) as refused:
        start_custody(configuration)
    assert "no token is labelled 'cs-221309' with serial number 0123" in str(refused.value)


def second_token(host: HostFiles) -> None:
    """Another token with the same label beside the host's."""
    label = ["--label", "cs-221309", "--pin", "1234", "--so-pin", "123456"]
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", *label],
        env={**os.environ, "SOFTHSM2_CONF": str(host.directory / "softhsm2.conf")},
        check=True,
        capture_output=True,
    )


def test_custody_says_at_start_which_mechanism_a_real_module_lacks(own_host: HostFiles) -> None:
    softhsm = own_host.directory / "softhsm2.conf"
    # SoftHSM 2.6 keeps offering the first of a list.
    softhsm.write_text(
        softhsm.read_text() + "slots.mechanisms = -CKM_ECDSA,CKM_AES_GCM,CKM_SHA256_HMAC\n"
    )
    with pytest.raises(AssertionError) as refused:
        start_custody(own_host.configuration)
    said = str(refused.value)
    assert "the token does not offer" in said
    assert "SHA256_HMAC (to authenticate messages)" in said
    assert "AES_GCM (to wrap data keys)" in said
    assert "Traceback" not in said


def test_custody_leaves_no_core_dump(own_host: HostFiles) -> None:
    with running_custody(own_host) as custody:
        for process in (custody.process.pid, custody.worker):
            limits = Path(f"/proc/{process}/limits").read_text()
            (line,) = (one for one in limits.splitlines() if one.startswith("Max core file size"))
            assert line.split()[4:6] == ["0", "0"]


def test_the_memory_of_a_hardened_process_is_closed_to_others_of_its_user() -> None:
    words = (
        "from hsm.hardening import *; before = is_dumpable(); harden_process(); "
        "print(before, is_dumpable())"
    )
    said = subprocess.run(
        [sys.executable, "-c", words], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["True", "False"]


@pytest.mark.parametrize(
    "label", ["tls-client", "signing", "server-issuer", "exchange", "wrapping"]
)
def test_no_way_gets_a_private_or_secret_key_out(
    trust_domain: TrustDomain, own_host: HostFiles, label: str
) -> None:
    location = own_host.token(trust_domain.plan.module, "cs-221309")
    library = load_module(location.module, location.softhsm_configuration)
    try:
        token = library.get_token(token_label=location.label)
        with token.open(user_pin=location.pin_file.read_text(), rw=True) as session:
            kind = ObjectClass.SECRET_KEY if label == "wrapping" else ObjectClass.PRIVATE_KEY
            key = session.get_key(object_class=kind, label=label)
            held = session.get_key(object_class=ObjectClass.SECRET_KEY, label="wrapping")
            own = session.generate_key(KeyType.AES, 256)
            assert not held[Attribute.WRAP]
            loose = {Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False}
            canary = session.generate_key(KeyType.AES, 256, template=loose)
            assert own.wrap_key(canary), "a key that may leave is wrapped"
            assert len(canary[Attribute.VALUE]) == 32
            ways = {
                "read": lambda: key[Attribute.VALUE],
                "let the wrapping key wrap": lambda: held.__setitem__(Attribute.WRAP, True),
                "wrap with a key of one's own": lambda: own.wrap_key(key),
                "wrap padded": lambda: own.wrap_key(key, mechanism=Mechanism.AES_KEY_WRAP_PAD),
                "make extractable": lambda: key.__setitem__(Attribute.EXTRACTABLE, True),
                "make readable": lambda: key.__setitem__(Attribute.SENSITIVE, False),
                "copy extractable": lambda: key.copy({Attribute.EXTRACTABLE: True}),
                "copy readable": lambda: key.copy({Attribute.SENSITIVE: False}),
            }
            for way, attempt in ways.items():
                try:
                    attempt()
                except pkcs11.exceptions.PKCS11Error:
                    continue
                raise AssertionError(f"{label} came out: {way}")
    finally:
        library.finalize()
