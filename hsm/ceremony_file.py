"""The ceremony file: what to make, who may use it, for how long, and which officers open it.

TOML; unknown keys are refused. What fits no host, no municipality or no authority is refused
before anything is made, naming the file and the key.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from hsm.key_classes import key_classes
from hsm.officers import PERSON_COST, Officers, Passphrases
from hsm.permissions import TOKEN, Operation
from hsm.plan import (
    AES256,
    DEFAULT_MODULE,
    HMAC_SHA256,
    P256,
    P256_AGREEMENT,
    Grants,
    Host,
    Prefecture,
    ProvisioningPlan,
)
from hsm.sealed_pins import OfficersTable
from juki.config import Configuration, load_config
from juki.custody.port import (
    EXCHANGE,
    INDIVIDUAL_NUMBER,
    ISSUING_AUTHORITY,
    SERVER_ISSUER,
    WRAPPING,
)
from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.domain.municipalities import municipality_directory

_HOST_NAME = r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$"
"""Of a directory and a token: PKCS#11 keeps 32 bytes of a token's label."""
_LABEL = r"^[a-z0-9]([a-z0-9.-]{0,30}[a-z0-9])?$"
_DOMAIN = r"^[a-z0-9-]+(\.[a-z0-9-]+)*$"
_SOCKET = r"^[a-z0-9-]+\.sock$"
_LONGEST_DAYS = 36_500
_KINDS = {WRAPPING: AES256, INDIVIDUAL_NUMBER: HMAC_SHA256, EXCHANGE: P256_AGREEMENT}


class OfficersSection(Configuration):
    """Who opens ceremonies (鍵管理者)."""

    threshold: int = Field(ge=1, le=255)
    """How many of them have to be present."""
    names: tuple[str, ...] = Field(min_length=1)
    shares: Path = Path("shares")
    """A directory for each officer is made under it."""
    directories: dict[str, Path] = Field(default_factory=dict)
    """Where an officer keeps the share instead, for example on a stick of their own."""
    former: tuple[str, ...] = ()
    """Officers who hold a share until the next resharing, named for their `directories`."""


class PrefectureSection(Configuration):
    """A prefecture and its municipalities that have a CS gateway."""

    code: str = Field(pattern="^[0-9]{2}$")
    municipalities: tuple[str, ...] | Literal["all"]
    """Local government codes, or all that keep a register."""


class CallersSection(Configuration):
    """Users of one socket, where they are not `allowed_uids`."""

    socket: str = Field(pattern=_SOCKET)
    uids: tuple[int, ...] = Field(min_length=1)
    hosts: tuple[str, ...] = ()
    """Of which hosts; empty: of every host that has it."""


class KeySection(Configuration):
    """A key of a host that fits no template."""

    label: str = Field(pattern=_LABEL)
    kind: Literal["P-256", "P-256 agreement", "AES-256", "HMAC-SHA256"] | None = None
    """Not needed for a label that the templates know."""


class PermissionSection(Configuration):
    """Operations on one key; `token` stands for the token itself."""

    key: str
    operations: tuple[Operation, ...] = Field(min_length=1)


class SocketSection(Configuration):
    """A socket of a host that fits no template."""

    path: str = Field(pattern=_SOCKET)
    uids: tuple[int, ...] = ()
    """Who may call it; empty: `allowed_uids`."""
    permissions: tuple[PermissionSection, ...] = Field(min_length=1)


class HostSection(Configuration):
    """A further host; without keys and sockets it gets a server's (with `dns`) or a client's."""

    name: str = Field(pattern=_HOST_NAME)
    identity: str = Field(pattern=r"^spiffe://[a-z0-9.-]+/[^\s]+$")
    issuer: str
    dns: tuple[str, ...] = ()
    keys: tuple[KeySection, ...] = ()
    sockets: tuple[SocketSection, ...] = ()


class CeremonyFile(Configuration):
    """The whole file."""

    trust_domain: str = Field(pattern=_DOMAIN)
    directory: Path
    """Gets a directory for each host, and `root`; relative to the file."""
    module: Path = DEFAULT_MODULE
    allowed_uids: tuple[int, ...] = Field(min_length=1)
    """Users who may call custody on the hosts, by number: the ceremony's machine knows no names."""
    officers: OfficersSection
    agencies: tuple[str, ...] = ()
    prefectures: tuple[PrefectureSection, ...] = ()
    callers: tuple[CallersSection, ...] = ()
    further_hosts: tuple[HostSection, ...] = ()
    nginx_before: tuple[str, ...] = ()
    """Hosts before whose servers nginx ends TLS, with its key in a token of its own."""
    validity_days: dict[str, int] = Field(default_factory=dict)
    """By class of keys."""


@dataclass(frozen=True)
class ReadCeremony:
    """What a ceremony file asks for."""

    plan: ProvisioningPlan
    officers: Officers
    shares: Path
    """Holds a directory for each officer without one of their own."""
    directories: dict[str, Path]
    """Directories of officers' own, which have to be there: a stick put in, for example."""
    digest: str
    """SHA-256 (hex) of the file."""

    def folder_of(self, officer: str) -> Path:
        """Where an officer's share is kept."""
        return self.directories.get(officer, self.shares / officer)

    def table(
        self,
        officers: Officers,
        passphrases: Passphrases,
        attempts: int = 1,
        refused: Callable[[JukiError], None] = lambda _: None,
    ) -> OfficersTable:
        """These officers at the table; the directories that the file does not name are made."""
        for name in officers.names:
            if name not in self.directories:
                self.folder_of(name).mkdir(mode=0o700, parents=True, exist_ok=True)
        return OfficersTable(
            officers=officers,
            folder=self.shares,
            passphrases=passphrases,
            folders={name: self.folder_of(name) for name in officers.names},
            attempts=attempts,
            refused=refused,
            cost=PERSON_COST,
        )


def read_ceremony(file: Path) -> ReadCeremony:
    """Read a ceremony file; raises CONFIGURATION_INVALID naming the file and the key at fault."""
    read = load_config(file, CeremonyFile)
    folder = file.parent.resolve()
    try:
        officers = Officers(read.officers.threshold, read.officers.names)
        known = {*officers.names, *read.officers.former}
        strangers = sorted(set(read.officers.directories) - known)
        if strangers:
            raise _refused(f"officers.directories.{strangers[0]}: names no officer")
        plan = _plan(read, folder)
        for fault in _faults(read, plan):
            raise _refused(fault)
    except JukiError as error:
        raise JukiError(
            Reason.CONFIGURATION_INVALID, f"ceremony file {file.name}: {error.message}"
        ) from None
    return ReadCeremony(
        plan=plan,
        officers=officers,
        shares=folder / read.officers.shares,
        directories={name: folder / one for name, one in read.officers.directories.items()},
        digest=sha256(file.read_bytes()).hexdigest(),
    )


def _plan(read: CeremonyFile, folder: Path) -> ProvisioningPlan:
    further = tuple(_host(section) for section in read.further_hosts)
    uids = {
        f"{host}/{one.socket}" if host else one.socket: one.uids
        for one in read.callers
        for host in one.hosts or ("",)
    }
    for section in read.further_hosts:
        uids |= {f"{section.name}/{one.path}": one.uids for one in section.sockets if one.uids}
    return ProvisioningPlan(
        directory=folder / read.directory,
        prefectures=tuple(_prefecture(section) for section in read.prefectures),
        agencies=read.agencies,
        trust_domain=read.trust_domain,
        module=folder / read.module,
        allowed_uids=read.allowed_uids,
        socket_uids=uids,
        further_hosts=further,
        nginx_before=read.nginx_before,
        lifetime_days=read.validity_days,
    )


def _prefecture(section: PrefectureSection) -> Prefecture:
    directory = municipality_directory()
    try:
        if section.municipalities == "all":
            everyone = directory.municipalities_of(section.code)
            return Prefecture(section.code, tuple(one.code.digits for one in everyone))
        for digits in section.municipalities:
            code = LocalGovernmentCode(digits)
            if code.prefecture != section.code or not directory.is_register_keeper(code):
                raise InvalidValue(f"{digits} is no municipality of this prefecture")
        directory.municipalities_of(section.code)
    except InvalidValue as error:
        raise _refused(f"prefectures.{section.code}: {error.message}") from None
    return Prefecture(section.code, section.municipalities)


def _host(section: HostSection) -> Host:
    keys = tuple((one.label, one.kind or _KINDS.get(one.label, P256)) for one in section.keys)
    sockets = tuple((one.path, _grants(one)) for one in section.sockets)
    where = f"further_hosts.{section.name}"
    if len(dict(keys)) != len(keys) or len(dict(sockets)) != len(sockets):
        raise _refused(f"{where}: a key or a socket is described twice")
    if bool(keys) != bool(sockets):
        raise _refused(f"{where}: keys and sockets are described together or not at all")
    if keys and P256 not in {kind for _, kind in keys}:
        raise _refused(f"{where}.keys: custody's health needs a P-256 key to sign with")
    if ISSUING_AUTHORITY in dict(keys):
        raise _refused(f"{where}.keys: only the nation and prefectures have an issuing authority")
    granted = {key for _, grants in sockets for key, _ in grants} - {TOKEN}
    for label in sorted(granted ^ set(dict(keys))):
        raise _refused(f"{where}: {label} is not both a key and used by a socket")
    return Host(
        name=section.name,
        identity=section.identity,
        issuer=section.issuer,
        dns=section.dns,
        own_keys=keys,
        own_sockets=sockets,
    )


def _grants(section: SocketSection) -> Grants:
    return tuple((one.key, one.operations) for one in section.permissions)


def _faults(read: CeremonyFile, plan: ProvisioningPlan) -> Iterator[str]:
    """What would fail in the middle of a ceremony, or pass it and be of no use."""
    hosts = {host.name: host for host in plan.hosts()}
    counted = Counter(host.name for host in plan.hosts()) + Counter(["root"])
    yield from (f"host {name} is described twice" for name, count in counted.items() if count > 1)
    yield from (
        f"{name} is no name of a host: at most 32 small letters, digits, hyphens"
        for name in hosts
        if not re.fullmatch(_HOST_NAME, name)
    )
    # An nginx bears the identity of the server it stands before.
    identities = Counter(host.identity for host in plan.hosts() if not host.ends_tls)
    yield from (f"two hosts are {one}" for one, count in identities.items() if count > 1)
    for section in read.further_hosts:
        yield from _misfits(section, hosts)
    for caller in read.callers:
        wanted = [hosts.get(name) for name in caller.hosts] or list(hosts.values())
        having = [host for host in wanted if host and caller.socket in host.sockets()]
        if not having or (caller.hosts and len(having) != len(wanted)):
            yield f"callers.{caller.socket}: there is no such socket on these hosts"
    yield from _validity_faults(plan)


def _misfits(section: HostSection, hosts: dict[str, Host]) -> Iterator[str]:
    where = f"further_hosts.{section.name}"
    issuer = hosts.get(section.issuer)
    if issuer is None or issuer.issuing_names is None:
        yield f"{where}.issuer: {section.issuer} has no issuing authority"
        return
    if (urlsplit(section.identity).hostname or "") not in issuer.issuing_names.uris:
        yield f"{where}.identity: {section.issuer} may not name this host"
    for name in section.dns:
        if not any(name == tree or name.endswith(f".{tree}") for tree in issuer.issuing_names.dns):
            yield f"{where}.dns: {section.issuer} may not name this server"
    labels = hosts[section.name].signing_labels()
    if SERVER_ISSUER in labels and not section.dns:
        yield f"{where}.dns: a server-issuer needs the name of its server"


def _validity_faults(plan: ProvisioningPlan) -> Iterator[str]:
    certified = {one.label: one.lifetime for one in key_classes(plan) if one.lifetime}
    for label, days in plan.lifetime_days.items():
        if label not in certified:
            yield f"validity_days.{label}: no key class of this ceremony has certificates of it"
        elif not 1 <= days <= _LONGEST_DAYS:
            yield f"validity_days.{label}: from 1 to {_LONGEST_DAYS} days"
    for label, lifetime in certified.items():
        above = "root" if label == ISSUING_AUTHORITY else ISSUING_AUTHORITY
        if label != "root" and lifetime > certified[above]:
            yield f"validity_days.{label}: longer than that of {above}, which certifies it"


def _refused(what: str) -> JukiError:
    return JukiError(Reason.CONFIGURATION_INVALID, what)
