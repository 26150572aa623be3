"""What custody does when its token, its module or one of its processes fails, and afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pkcs11 import Mechanism

from hsm.host_files import HostFiles
from hsm.plan import DEFAULT_MODULE, SERVER_SOCKET
from hsm.token import required_mechanisms
from juki.custody.client import CustodyClient
from juki.custody.port import SIGNING
from juki.domain.errors import JukiError, Reason
from tests.custody_fixtures import (
    REPOSITORY,
    RunningCustody,
    close,
    log_file,
    running_custody,
    start_custody,
    workers_of,
)
from tests.fault_module.faults import (
    DEVICE_ERROR,
    GENERAL_ERROR,
    PIN_LOCKED,
    SESSION_HANDLE_INVALID,
    Faults,
    stand_before,
)
from tests.network_fixtures import wait_until

DIGEST = hashlib.sha256(b"anything").digest()
PATIENT_SECONDS = 60.0


@pytest.fixture
def faults(own_host: HostFiles) -> Faults:
    """The faults of 221309's token."""
    return stand_before(own_host)


@pytest.fixture
def custody(own_host: HostFiles, faults: Faults) -> Iterator[RunningCustody]:
    """Running custody of 221309 over the fault module."""
    with running_custody(own_host) as custody:
        yield custody


@pytest.fixture
def patient(own_host: HostFiles, faults: Faults) -> Iterator[RunningCustody]:
    """The same, whose callers wait for a replaced worker however slow the machine is."""
    configure(own_host, f"patience_seconds = {PATIENT_SECONDS}")
    with running_custody(own_host) as custody:
        yield custody


def refusal(files: HostFiles) -> JukiError | None:
    """Why custody does not sign; None where it does."""
    with CustodyClient(files.socket(SERVER_SOCKET)) as client:
        try:
            client.sign(SIGNING, [DIGEST])
        except JukiError as error:
            refused = error
        else:
            return None
    assert refused.reason is Reason.CUSTODY_UNAVAILABLE
    return refused


def says(files: HostFiles, words: str) -> bool:
    """Whether custody refuses callers with these words now."""
    error = refusal(files)
    return error is not None and words in error.message


def signs(files: HostFiles) -> bool:
    """Whether custody signs now."""
    return refusal(files) is None


def configure(files: HostFiles, line: str) -> None:
    """Add a line to the configuration of the token."""
    text = files.configuration.read_text()
    files.configuration.write_text(text.replace("[token]", f"[token]\n{line}"))


def test_the_pin_may_be_a_systemd_credential(
    own_host: HostFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir(mode=0o700)
    (own_host.directory / "pin").rename(credentials / "token-pin")
    text = own_host.configuration.read_text()
    own_host.configuration.write_text(
        text.replace('pin_file = "pin"', 'pin_credential = "token-pin"')
    )
    with monkeypatch.context() as without:
        without.delenv("CREDENTIALS_DIRECTORY", raising=False)
        with pytest.raises(AssertionError, match="pin_credential is set"):
            start_custody(own_host.configuration)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    with running_custody(own_host):
        assert signs(own_host)


@pytest.mark.parametrize("pins", ['pin_file = "pin"\npin_credential = "pin"', ""])
def test_a_configuration_says_once_where_the_pin_is(own_host: HostFiles, pins: str) -> None:
    text = own_host.configuration.read_text()
    own_host.configuration.write_text(text.replace('pin_file = "pin"', pins))
    with pytest.raises(AssertionError, match="either pin_file or pin_credential"):
        start_custody(own_host.configuration)


def await_waiting(files: HostFiles) -> subprocess.Popen[str]:
    """Custody that was started while its token cannot be opened."""
    with log_file(files.configuration).open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "hsm", "--config", str(files.configuration)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    assert process.stdout.readline() == "custody waits for its token\n"
    return process


def test_a_killed_worker_is_replaced_and_its_callers_wait(patient: RunningCustody) -> None:
    patient.client.sign(SIGNING, [DIGEST])
    before = patient.worker
    os.kill(before, signal.SIGKILL)
    with CustodyClient(patient.files.socket(SERVER_SOCKET), PATIENT_SECONDS) as client:
        assert len(client.sign(SIGNING, [DIGEST])) == 1
    assert patient.worker != before
    assert patient.process.poll() is None
    assert "the worker has ended" in log_file(patient.files.configuration).read_text()


def test_a_killed_front_takes_its_worker_along(custody: RunningCustody) -> None:
    worker = custody.worker
    custody.kill()
    wait_until(lambda: not Path(f"/proc/{worker}").exists())


def test_the_front_loads_no_pkcs11_module(custody: RunningCustody) -> None:
    def maps(process: int) -> str:
        return Path(f"/proc/{process}/maps").read_text()

    assert "fault_module" in maps(custody.worker)
    assert "softhsm" in maps(custody.worker)
    assert "fault_module" not in maps(custody.process.pid)
    assert "softhsm" not in maps(custody.process.pid)


@pytest.mark.parametrize("code", [SESSION_HANDLE_INVALID, DEVICE_ERROR])
@pytest.mark.parametrize("function", ["C_SignInit", "C_Sign"])
def test_a_session_that_became_invalid_is_replaced_by_a_new_log_in(
    custody: RunningCustody, faults: Faults, function: str, code: int
) -> None:
    logged_in = faults.calls("C_Login")
    faults.fail(function, code)
    wait_until(lambda: says(custody.files, "out of service"))
    faults.lift()
    wait_until(lambda: signs(custody.files))
    assert faults.calls("C_Login") > logged_in


@pytest.mark.parametrize("function", ["C_SignInit", "C_Sign"])
def test_a_caller_does_not_notice_that_the_session_became_invalid(
    patient: RunningCustody, faults: Faults, function: str
) -> None:
    with CustodyClient(patient.files.socket(SERVER_SOCKET), PATIENT_SECONDS) as client:
        client.sign(SIGNING, [DIGEST])
        # A third in a row would open the circuit.
        for _ in range(2):
            before = patient.worker
            faults.fail_once(function, SESSION_HANDLE_INVALID)
            assert len(client.sign(SIGNING, [DIGEST] * 100)) == 100
            wait_until(lambda: faults.is_lifted)
            wait_until(lambda: workers_of(patient.process.pid) not in ([before], []))  # noqa: B023


def test_a_token_that_fails_in_general_is_out_of_service_until_it_works(
    custody: RunningCustody, faults: Faults
) -> None:
    faults.fail("C_Sign", GENERAL_ERROR)
    wait_until(lambda: says(custody.files, "the token failed (GeneralError)"))
    faults.lift()
    wait_until(lambda: signs(custody.files))


def test_a_removed_token_is_missed_without_any_caller_and_used_again_when_it_is_back(
    custody: RunningCustody, faults: Faults
) -> None:
    faults.remove_token()
    wait_until(lambda: "no token is labelled" in log_file(custody.files.configuration).read_text())
    wait_until(lambda: says(custody.files, "no token is labelled 'cs-221309'"))
    faults.lift()
    wait_until(lambda: signs(custody.files))


@pytest.mark.parametrize("function", ["C_Sign", "C_Login"])
def test_a_worker_whose_module_hangs_is_replaced_and_callers_are_refused_meanwhile(
    custody: RunningCustody, faults: Faults, function: str
) -> None:
    before = custody.worker
    faults.hang(function, 3600)
    if function == "C_Login":
        os.kill(before, signal.SIGKILL)
    wait_until(lambda: says(custody.files, "the module hangs"))
    with CustodyClient(custody.files.socket(SERVER_SOCKET)) as client:
        begin = time.monotonic()
        with pytest.raises(JukiError):
            client.health()
        print(f"refused after {time.monotonic() - begin:.3f} s")
    wait_until(lambda: "the module hangs" in log_file(custody.files.configuration).read_text())
    faults.lift()
    wait_until(lambda: signs(custody.files))
    assert custody.worker != before


def test_a_call_under_way_when_the_module_hangs_once_is_answered_by_the_next_worker(
    patient: RunningCustody, faults: Faults
) -> None:
    answers: list[int] = []

    def ask() -> None:
        with CustodyClient(patient.files.socket(SERVER_SOCKET), PATIENT_SECONDS) as client:
            answers.append(len(client.sign(SIGNING, [DIGEST] * 100)))

    faults.hang("C_Sign", 3600)
    caller = threading.Thread(target=ask)
    caller.start()
    wait_until(lambda: "the module hangs" in log_file(patient.files.configuration).read_text())
    faults.lift()
    caller.join()
    assert answers == [100]


def test_a_refused_pin_is_tried_once_however_often_custody_is_started(
    own_host: HostFiles, faults: Faults
) -> None:
    pin = own_host.directory / "pin"
    right = pin.read_text()
    pin.write_text("0123456789abcdef")
    for _ in range(3):
        process = await_waiting(own_host)
        wait_until(lambda: says(own_host, "the PIN in its file"))
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait() == 0
        close(process)
    assert faults.calls("C_Login") == 1
    process = await_waiting(own_host)
    pin.write_text(right)
    wait_until(lambda: signs(own_host))
    close(process)
    assert faults.calls("C_Login") == 2
    assert not (own_host.directory / "pin_refused.json").exists()


def test_what_is_kept_of_a_refused_pin_says_nothing_of_it(
    own_host: HostFiles, faults: Faults
) -> None:
    (own_host.directory / "pin").write_text("0123456789abcdef")
    close(await_waiting(own_host))
    kept = json.loads((own_host.directory / "pin_refused.json").read_text())
    assert kept.keys() == {"inode", "size", "changed", "locked", "warned", "at"}
    assert "0123456789abcdef" not in log_file(own_host.configuration).read_text()


def test_the_last_attempt_before_a_pin_is_locked_is_never_used(
    own_host: HostFiles, faults: Faults
) -> None:
    faults.leave_one_attempt()
    process = await_waiting(own_host)
    wait_until(lambda: says(own_host, "one more wrong attempt"))
    assert faults.calls("C_Login") == 0
    faults.lift()
    wait_until(lambda: signs(own_host))
    close(process)


def test_a_locked_pin_is_not_tried_and_custody_goes_on_when_it_is_unlocked(
    custody: RunningCustody, faults: Faults
) -> None:
    tried = faults.calls("C_Login")
    faults.lock_pin()
    os.kill(custody.worker, signal.SIGKILL)
    wait_until(lambda: says(custody.files, "has locked its PIN"))
    assert faults.calls("C_Login") == tried
    faults.lift()
    wait_until(lambda: signs(custody.files))


def test_a_token_that_says_only_at_log_in_that_it_is_locked_is_asked_seldom(
    custody: RunningCustody, faults: Faults
) -> None:
    tried = faults.calls("C_Login")
    faults.fail("C_Login", PIN_LOCKED)
    os.kill(custody.worker, signal.SIGKILL)
    wait_until(lambda: says(custody.files, "has locked its PIN"))
    wait_until(lambda: says(custody.files, "has refused the PIN"))
    assert faults.calls("C_Login") == tried + 1


@pytest.mark.parametrize("absent", list(required_mechanisms()), ids=lambda one: one.name)
def test_a_missing_mechanism_is_named_with_what_fails_without_it(
    own_host: HostFiles, faults: Faults, absent: Mechanism
) -> None:
    faults.hide(absent)
    with pytest.raises(AssertionError) as refused:
        start_custody(own_host.configuration)
    assert f"{absent.name} (to {required_mechanisms()[absent]})" in str(refused.value)


def test_a_token_exchanged_for_one_without_a_key_does_not_end_custody(
    custody: RunningCustody, faults: Faults
) -> None:
    absent = next(iter(required_mechanisms()))
    faults.hide(absent)
    os.kill(custody.worker, signal.SIGKILL)
    wait_until(lambda: says(custody.files, f"the token does not offer {absent.name}"))
    faults.lift()
    wait_until(lambda: signs(custody.files))


def test_several_workers_share_the_callers_and_one_that_dies_is_not_missed(
    own_host: HostFiles, faults: Faults
) -> None:
    configure(own_host, "workers = 3")
    with running_custody(own_host) as custody:
        wait_until(lambda: faults.calls("C_Login") == 3)
        answered: list[int] = []

        def ask() -> None:
            with CustodyClient(own_host.socket(SERVER_SOCKET), PATIENT_SECONDS) as client:
                for _ in range(50):
                    answered.append(len(client.sign(SIGNING, [DIGEST] * 10)))

        callers = [threading.Thread(target=ask) for _ in range(6)]
        for caller in callers:
            caller.start()
        first, *_ = workers_of(custody.process.pid)
        os.kill(first, signal.SIGKILL)
        for caller in callers:
            caller.join()
        assert answered == [10] * 300
        wait_until(lambda: faults.calls("C_Login") == 4)


def test_a_wrong_pin_is_tried_by_one_of_several_workers_only(
    own_host: HostFiles, faults: Faults
) -> None:
    configure(own_host, "workers = 3")
    pin = own_host.directory / "pin"
    right = pin.read_text()
    pin.write_text("0123456789abcdef")
    process = await_waiting(own_host)
    wait_until(lambda: says(own_host, "has refused the PIN"))
    assert faults.calls("C_Login") == 1
    assert len(workers_of(process.pid)) == 1
    pin.write_text(right)
    wait_until(lambda: faults.calls("C_Login") == 4)
    wait_until(lambda: len(workers_of(process.pid)) == 3)
    close(process)


def test_the_fault_module_is_no_other_than_softhsm_without_faults(
    custody: RunningCustody, faults: Faults
) -> None:
    health = custody.client.health()
    assert health.manufacturer.startswith("SoftHSM")
    assert str(DEFAULT_MODULE) not in custody.files.configuration.read_text()
    assert faults.calls("C_Sign") > 0
