"""Provisioning: tokens, keys and certificates of every host of a plan.

Run again it changes nothing, except that what is missing is made, and a certificate with a third
of its life left is made anew for the same key (custody reads it when it is started again).

`provision` works in a process of its own, since the caller may have threads, and the PKCS#11
module wants one thread and one token at a time. `python -m hsm.provision` reads a plan as JSON
from its standard input.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import TypeAdapter

from hsm.authority import Authority, Issuer, Names, names_for, subject_of
from hsm.certificates import chain_file, read_chain, write_chain
from hsm.configuration_writing import custody_toml
from hsm.plan import Host, ProvisioningPlan
from hsm.profiles import CERTIFIABLE, ISSUING, ROOT
from hsm.token import Token, TokenLocation, open_token
from hsm.token_making import make_softhsm_token, write_secret
from juki.custody.port import ISSUING_AUTHORITY
from juki.domain.errors import JukiError, Reason

ROOT_HOST = "root"
ROOT_LABEL = "root"
_PLAN = TypeAdapter(ProvisioningPlan)


@dataclass(frozen=True)
class HostFiles:
    """Where the files of a host's custody are."""

    directory: Path
    """The directory `hsm` of the host."""

    @property
    def configuration(self) -> Path:
        """Custody's configuration."""
        return self.directory / "custody.toml"

    @property
    def certificates(self) -> Path:
        """The public chains."""
        return self.directory / "certificates"

    def socket(self, name: str) -> Path:
        """One of its sockets, for example `custody.sock`."""
        return self.directory / name

    def token(self, module: Path, label: str) -> TokenLocation:
        """Its token."""
        return TokenLocation(
            module=module,
            label=label,
            pin_file=self.directory / "pin",
            softhsm_configuration=self.directory / "softhsm2.conf",
        )


def host_files(directory: Path, host: str) -> HostFiles:
    """The files of a host under a plan's directory."""
    return HostFiles(directory / host / "hsm")


def root_file(directory: Path) -> Path:
    """The root certificate (PEM) under a plan's directory."""
    return directory / "root.pem"


def provision(plan: ProvisioningPlan) -> None:
    """Provision every host of the plan in a process of its own; raises CONFIGURATION_INVALID."""
    worker = subprocess.run(
        [sys.executable, "-m", "hsm.provision"],
        input=_PLAN.dump_json(plan),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        check=False,
    )
    if worker.returncode != 0:
        raise JukiError(
            Reason.CONFIGURATION_INVALID,
            f"provisioning failed: {worker.stderr.decode(errors='replace').strip()}",
        )


def provision_here(
    plan: ProvisioningPlan,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    random_pin: Callable[[], str] = lambda: secrets.token_hex(16),
) -> None:
    """Provision in this process; only for one that uses PKCS#11 for nothing else."""
    # SoftHSM's configuration holds an absolute path: custody may be started from anywhere.
    plan = replace(plan, directory=plan.directory.resolve())
    work = _Provisioning(plan, clock, random_pin)
    hosts = plan.hosts()
    work.make_root()
    for host in hosts:
        work.make_host(host)
    work.certify_authorities([host for host in hosts if host.issuing_names])
    for issuer in [host for host in hosts if host.issuing_names]:
        work.certify_hosts(issuer, [host for host in hosts if host.issuer == issuer.name])


class _Provisioning:
    """The steps; each looks first at what is already there."""

    def __init__(
        self,
        plan: ProvisioningPlan,
        clock: Callable[[], datetime],
        random_pin: Callable[[], str],
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._authority = Authority(clock)
        self._random_pin = random_pin
        self._public_keys: dict[tuple[str, str], ec.EllipticCurvePublicKey] = {}

    def make_root(self) -> None:
        """The root's token and certificate."""
        file = root_file(self._plan.directory)
        if file.exists():
            return
        with self._new_token(ROOT_HOST) as token:
            token.generate_signing_key(ROOT_LABEL)
            name = f"Juki-Net root {self._plan.trust_domain}"
            write_chain(file, [self._authority.root(token.signing_key(ROOT_LABEL), name, ROOT)])

    def make_host(self, host: Host) -> None:
        """A host's token, its keys, and last its configuration, which says that it is whole."""
        files = self._files(host.name)
        if files.configuration.exists():
            return
        with self._new_token(host.name) as token:
            for label in host.wrapping_labels():
                token.generate_wrapping_key(label)
            for label in host.mac_labels():
                token.generate_mac_key(label)
            for label in host.signing_labels():
                token.generate_signing_key(label)
                self._public_keys[host.name, label] = token.public_key(label)
        files.certificates.mkdir()
        uids = self._plan.allowed_uids or (os.getuid(),)
        files.configuration.write_text(custody_toml(host, self._plan.module, uids), "utf-8")

    def certify_authorities(self, hosts: Sequence[Host]) -> None:
        """The issuing authorities' certificates, by the root; names bound to their hosts."""
        wanted = [host for host in hosts if self._is_due(host, ISSUING_AUTHORITY)]
        if not wanted:
            return
        keys = {host: self._public_key(host, ISSUING_AUTHORITY) for host in wanted}
        root = read_chain(root_file(self._plan.directory))
        with self._open(ROOT_HOST) as token:
            issuer = Issuer(token.signing_key(ROOT_LABEL), root)
            for host in wanted:
                subject = f"Juki-Net issuing authority {host.name} {self._plan.trust_domain}"
                names = host.issuing_names or Names()
                made = self._authority.certify(issuer, keys[host], subject, names, ISSUING)
                write_chain(self._chain_file(host, ISSUING_AUTHORITY), [made])

    def certify_hosts(self, issuing: Host, hosts: Sequence[Host]) -> None:
        """The certificates of hosts, by their prefecture's or the nation's authority."""
        wanted = [
            (host, label)
            for host in hosts
            for label in host.signing_labels()
            if label in CERTIFIABLE and self._is_due(host, label)
        ]
        if not wanted:
            return
        keys = [self._public_key(host, label) for host, label in wanted]
        chain = read_chain(self._chain_file(issuing, ISSUING_AUTHORITY))
        with self._open(issuing.name) as token:
            issuer = Issuer(token.signing_key(ISSUING_AUTHORITY), chain)
            for (host, label), key in zip(wanted, keys, strict=True):
                profile = CERTIFIABLE[label]
                asked = Names((host.identity,), host.dns if profile.constrains_names else ())
                subject, names = subject_of(profile, asked), names_for(profile, asked)
                made = self._authority.certify(issuer, key, subject, names, profile)
                write_chain(self._chain_file(host, label), [made, *chain])

    def _files(self, host: str) -> HostFiles:
        return host_files(self._plan.directory, host)

    def _chain_file(self, host: Host, label: str) -> Path:
        return chain_file(self._files(host.name).certificates, label)

    def _is_due(self, host: Host, label: str) -> bool:
        """Whether a certificate is missing, or two thirds of its life are over."""
        file = self._chain_file(host, label)
        if not file.exists():
            return True
        certificate = read_chain(file)[0]
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        return self._clock() >= begin + (end - begin) * 2 / 3

    @contextmanager
    def _new_token(self, host: str) -> Iterator[Token]:
        """A new token, open; what an interrupted run left behind goes first."""
        directory = self._files(host).directory
        if directory.exists():
            shutil.rmtree(directory)
        directory.mkdir(mode=0o700, parents=True)
        officers = self._plan.directory / ROOT_HOST / "security_officer_pins"
        officers.mkdir(mode=0o700, parents=True, exist_ok=True)
        officer_pin = self._random_pin()
        write_secret(officers / host, officer_pin)
        location = self._files(host).token(self._plan.module, host)
        make_softhsm_token(location, self._random_pin(), officer_pin)
        with open_token(location, writable=True) as token:
            yield token

    def _open(self, host: str) -> AbstractContextManager[Token]:
        return open_token(self._files(host).token(self._plan.module, host))

    def _public_key(self, host: Host, label: str) -> ec.EllipticCurvePublicKey:
        known = self._public_keys.get((host.name, label))
        if known is not None:
            return known
        with self._open(host.name) as token:
            return token.public_key(label)


if __name__ == "__main__":
    try:
        provision_here(_PLAN.validate_json(sys.stdin.buffer.read()))
    except JukiError as failure:
        sys.stderr.write(f"{failure}\n")
        sys.exit(1)
