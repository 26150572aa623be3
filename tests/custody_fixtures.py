"""Real custody for tests: hosts provisioned once in SoftHSM, and custody processes over them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hsm.host_files import HostFiles, ceremony_files, host_files, root_file
from hsm.plan import SERVER_SOCKET, Prefecture, ProvisioningPlan
from hsm.provision import provision, unattended_table
from hsm.sealed_pins import open_sealed_pins
from juki.custody.client import CustodyClient

REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True)
class TrustDomain:
    """A provisioned trust domain."""

    plan: ProvisioningPlan

    @property
    def roots_pem(self) -> bytes:
        """The root certificate."""
        return root_file(self.plan.directory).read_bytes()

    def files(self, host: str) -> HostFiles:
        """The files of a host's custody."""
        return host_files(self.plan.directory, host)

    def pin(self, name: str) -> str:
        """A PIN that the unattended officer can open."""
        file = ceremony_files(self.plan.directory).sealed_pins
        with open_sealed_pins(file, unattended_table(self.plan)) as pins:
            return pins.get(name)


@dataclass
class RunningCustody:
    """A custody process and a client of its server socket."""

    files: HostFiles
    process: subprocess.Popen[str]
    client: CustodyClient

    def kill(self) -> None:
        """`kill -9`, and wait for the end."""
        self.process.kill()
        self.process.wait()

    @property
    def worker(self) -> int:
        """The process id of its worker; raises ValueError while there is not just one."""
        (worker,) = workers_of(self.process.pid)
        return worker

    def start_again(self) -> None:
        """Start custody anew on the same files."""
        close(self.process)
        self.process = start_custody(self.files.configuration)


def start_custody(configuration: Path) -> subprocess.Popen[str]:
    """Start custody and wait until it is ready; fails with its own words, also where it waits."""
    with log_file(configuration).open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "hsm", "--config", str(configuration)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    if process.stdout.readline() != "custody ready\n":
        close(process)
        raise AssertionError(log_file(configuration).read_text())
    return process


def workers_of(front: int) -> list[int]:
    """The process ids of the workers of a custody (proc(5))."""
    return [int(one) for one in Path(f"/proc/{front}/task/{front}/children").read_text().split()]


def log_file(configuration: Path) -> Path:
    """Where `start_custody` keeps what custody says."""
    return configuration.with_name("custody.log")


def close(process: subprocess.Popen[str]) -> None:
    """End a process and close its pipe."""
    process.terminate()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


@contextmanager
def running_custody(files: HostFiles) -> Iterator[RunningCustody]:
    """Custody of a provisioned host, running for the block."""
    with CustodyClient(files.socket(SERVER_SOCKET)) as client:
        custody = RunningCustody(files, start_custody(files.configuration), client)
        try:
            yield custody
        finally:
            close(custody.process)


def new_trust_domain(directory: Path) -> TrustDomain:
    """The nation, Shizuoka with one municipality, Tokyo without any, and one agency."""
    plan = ProvisioningPlan(
        directory=directory,
        prefectures=(Prefecture("22", ("221309",)), Prefecture("13", ())),
        agencies=("pension",),
    )
    provision(plan)
    return TrustDomain(plan)


@pytest.fixture(scope="session")
def trust_domain(tmp_path_factory: pytest.TempPathFactory) -> TrustDomain:
    """A trust domain whose custody of 221309 may run for the whole session."""
    return new_trust_domain(tmp_path_factory.mktemp("domain"))


@pytest.fixture(scope="session")
def provisioned_host(trust_domain: TrustDomain) -> Iterator[RunningCustody]:
    """The running custody of the CS gateway of 221309; do not kill it."""
    with running_custody(trust_domain.files("cs-221309")) as custody:
        yield custody


@pytest.fixture
def own_host(trust_domain: TrustDomain, tmp_path: Path) -> HostFiles:
    """A copy of the custody of the CS gateway of 221309, to kill and to break."""
    files = HostFiles(tmp_path / "hsm")
    shutil.copytree(
        trust_domain.files("cs-221309").directory,
        files.directory,
        ignore=shutil.ignore_patterns("*.sock"),
    )
    (files.directory / "softhsm2.conf").write_text(
        f"directories.tokendir = {files.directory / 'tokens'}\nobjectstore.backend = file\n"
    )
    return files
