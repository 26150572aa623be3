"""The plan of a trust domain: which hosts there are, their names, and the keys each holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hsm.authority import Names
from hsm.permissions import TOKEN, Operation
from juki.custody.port import (
    EXCHANGE,
    INDIVIDUAL_NUMBER,
    ISSUING_AUTHORITY,
    SERVER_ISSUER,
    SIGNING,
    TLS_CLIENT,
    TLS_SERVER,
    WRAPPING,
)
from juki.domain.errors import JukiError, Reason

DEFAULT_TRUST_DOMAIN = "juki.example"
DEFAULT_MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
"""Where Debian's libsofthsm2 puts the module."""

SERVER_SOCKET = "custody.sock"
"""The socket of the host's own server or system."""
AUTHORITY_SOCKET = "authority.sock"
"""The socket of whoever certifies new hosts with the issuing authority."""

P256, AES256, HMAC_SHA256 = "P-256", "AES-256", "HMAC-SHA256"
P256_AGREEMENT = "P-256 agreement"
"""Kinds of keys: "P-256" signs, "P-256 agreement" agrees on secrets (ECDH) and never signs."""

Grants = tuple[tuple[str, tuple[Operation, ...]], ...]

_SIGNER = (Operation.SIGN, Operation.CERTIFICATE_CHAIN)
_CLIENT_GRANTS: Grants = (
    (TLS_CLIENT, _SIGNER),
    (TOKEN, (Operation.RANDOM, Operation.HEALTH)),
)
_SERVER_GRANTS: Grants = (
    *_CLIENT_GRANTS,
    (SIGNING, _SIGNER),
    (SERVER_ISSUER, (Operation.CERTIFY_SERVER_LEAF, Operation.CERTIFICATE_CHAIN)),
    (
        WRAPPING,
        (Operation.NEW_DATA_KEY, Operation.UNWRAP_DATA_KEY, Operation.REWRAP_DATA_KEY),
    ),
)
_EXCHANGE_GRANTS: Grants = ((EXCHANGE, (Operation.OPEN, Operation.CERTIFICATE_CHAIN)),)
_AUTHORITY_GRANTS: Grants = (
    (
        ISSUING_AUTHORITY,
        (
            Operation.CERTIFY,
            Operation.CERTIFICATE_CHAIN,
            Operation.REVOKE,
            Operation.REVOCATION_LIST,
        ),
    ),
    (TOKEN, (Operation.HEALTH,)),
)


@dataclass(frozen=True)
class Host:
    """One host with a token of its own."""

    name: str
    """Name of its directory."""
    identity: str
    """Its URI, for example `spiffe://pref22.juki.example/cs/221309`."""
    issuer: str
    """Name of the host whose issuing authority certifies it."""
    dns: tuple[str, ...] = ()
    """Names of its server; empty for a host that only calls."""
    issuing_names: Names | None = None
    """What its issuing authority may name; None where it has none."""
    converts_individual_numbers: bool = False
    """Whether it holds the key of the conversion (the nation only)."""
    own_keys: tuple[tuple[str, str], ...] = ()
    """Labels and kinds of its keys, all of them, where it fits no template."""
    own_sockets: tuple[tuple[str, Grants], ...] = ()
    """Its sockets, all of them, where it fits no template."""
    receives_sealed: bool = False
    """Whether others seal messages to it that no host between may read (municipalities only)."""
    ends_tls: bool = False
    """Whether it is the nginx before a server: its token holds the one key, custody is not run."""

    def signing_labels(self) -> tuple[str, ...]:
        """Labels of its P-256 keys that sign."""
        if self.own_keys:
            return self._own_labels(P256)
        if self.ends_tls:
            return (TLS_SERVER,)
        labels: tuple[str, ...] = (TLS_CLIENT,)
        if self.dns:
            labels += (SIGNING, SERVER_ISSUER)
        return labels + ((ISSUING_AUTHORITY,) if self.issuing_names else ())

    def agreement_labels(self) -> tuple[str, ...]:
        """Labels of its P-256 keys that agree on secrets and never sign."""
        if self.own_keys:
            return self._own_labels(P256_AGREEMENT)
        return (EXCHANGE,) if self.receives_sealed else ()

    def elliptic_labels(self) -> tuple[str, ...]:
        """Labels of all its P-256 keys."""
        return self.signing_labels() + self.agreement_labels()

    def wrapping_labels(self) -> tuple[str, ...]:
        """Labels of its AES-256 keys."""
        if self.own_keys:
            return self._own_labels(AES256)
        return (WRAPPING,) if self.dns and not self.ends_tls else ()

    def mac_labels(self) -> tuple[str, ...]:
        """Labels of its HMAC keys."""
        if self.own_keys:
            return self._own_labels(HMAC_SHA256)
        return (INDIVIDUAL_NUMBER,) if self.converts_individual_numbers else ()

    def sockets(self) -> dict[str, Grants]:
        """Its sockets and what is granted on each."""
        if self.own_sockets:
            return dict(self.own_sockets)
        if self.ends_tls:
            return {}
        grants = _SERVER_GRANTS if self.dns else _CLIENT_GRANTS
        if self.converts_individual_numbers:
            grants += ((INDIVIDUAL_NUMBER, (Operation.MAC,)),)
        if self.receives_sealed:
            grants += _EXCHANGE_GRANTS
        if self.issuing_names:
            # Its server spreads the lists, but can neither revoke nor un-revoke.
            grants += ((ISSUING_AUTHORITY, (Operation.REVOCATION_LIST,)),)
        sockets = {SERVER_SOCKET: grants}
        if self.issuing_names:
            sockets[AUTHORITY_SOCKET] = _AUTHORITY_GRANTS
        return sockets

    def _own_labels(self, kind: str) -> tuple[str, ...]:
        return tuple(label for label, of in self.own_keys if of == kind)


@dataclass(frozen=True)
class Prefecture:
    """A prefecture and its municipalities that have a CS gateway."""

    code: str
    """Two digits, for example "22" (Shizuoka)."""
    municipalities: tuple[str, ...]
    """Local government codes (団体コード), six digits, for example "221309"."""


@dataclass(frozen=True)
class ProvisioningPlan:
    """What to provision, and where."""

    directory: Path
    """Gets one directory for each host, and `root.pem`."""
    prefectures: tuple[Prefecture, ...]
    agencies: tuple[str, ...] = ()
    """Names of national bodies, as in `spiffe://agency.<trust domain>/<name>`."""
    officers: tuple[str, ...] = ()
    """Names of the officers who sign administrative acts at the nation."""
    trust_domain: str = DEFAULT_TRUST_DOMAIN
    module: Path = DEFAULT_MODULE
    allowed_uids: tuple[int, ...] = field(default=())
    """Users who may call custody; empty: the owner of the host's directory."""
    socket_uids: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Users of one socket where they differ, by its name (`authority.sock`) or, before that, by
    host and name (`national/authority.sock`)."""
    further_hosts: tuple[Host, ...] = ()
    """Hosts described one by one, beside those of the templates."""
    nginx_before: tuple[str, ...] = ()
    """Names of hosts before whose servers nginx ends TLS, with a token of its own."""
    lifetime_days: dict[str, int] = field(default_factory=dict)
    """Validity of certificates by key label, where it differs from the profile's."""

    def uids_of(self, host: Host) -> dict[str, tuple[int, ...]]:
        """The users of those sockets of a host whose users differ from `allowed_uids`."""
        named = {
            socket: self.socket_uids.get(f"{host.name}/{socket}", self.socket_uids.get(socket))
            for socket in host.sockets()
        }
        return {socket: uids for socket, uids in named.items() if uids is not None}

    def hosts(self) -> tuple[Host, ...]:
        """Every host, issuing authorities before those they certify."""
        hosts = (
            national_host(self.trust_domain),
            *(agency_host(self.trust_domain, name) for name in self.agencies),
            *(officer_host(self.trust_domain, name) for name in self.officers),
            *(
                host
                for prefecture in self.prefectures
                for host in _prefecture_hosts(self.trust_domain, prefecture)
            ),
            *self.further_hosts,
        )
        servers = {host.name: host for host in hosts if host.dns}
        for name in self.nginx_before:
            if name not in servers:
                raise JukiError(
                    Reason.CONFIGURATION_INVALID,
                    f"nginx_before: {name!r} has no server",
                )
        return hosts + tuple(nginx_host(servers[name]) for name in self.nginx_before)


def national_host(trust_domain: str) -> Host:
    """The nation's server."""
    hosts = (f"national.{trust_domain}", f"agency.{trust_domain}")
    return Host(
        name="national",
        identity=f"spiffe://national.{trust_domain}/server",
        issuer="national",
        dns=(f"server.national.{trust_domain}",),
        issuing_names=Names(hosts, hosts),
        converts_individual_numbers=True,
    )


def agency_host(trust_domain: str, name: str) -> Host:
    """A national body that asks."""
    return Host(f"agency-{name}", f"spiffe://agency.{trust_domain}/{name}", issuer="national")


def officer_host(trust_domain: str, name: str) -> Host:
    """The token of an officer who signs administrative acts of the nation's register."""
    return Host(
        name=f"officer-{name}",
        identity=f"spiffe://national.{trust_domain}/officer/{name}",
        issuer="national",
        own_keys=((SIGNING, P256),),
        own_sockets=(
            (
                SERVER_SOCKET,
                ((SIGNING, _SIGNER), (TOKEN, (Operation.RANDOM, Operation.HEALTH))),
            ),
        ),
    )


def nginx_name(server: str) -> str:
    """Name of the nginx before a host's server: of its directory and its token."""
    return f"{server}-nginx"


def nginx_host(server: Host) -> Host:
    """The nginx before a host's server: the same names, a token that holds one key."""
    return Host(
        name=nginx_name(server.name),
        identity=server.identity,
        issuer=server.issuer,
        dns=server.dns,
        ends_tls=True,
    )


def _prefecture_hosts(trust_domain: str, prefecture: Prefecture) -> tuple[Host, ...]:
    domain = f"pref{prefecture.code}.{trust_domain}"
    name = f"pref{prefecture.code}"
    server = Host(
        name=name,
        identity=f"spiffe://{domain}/server",
        issuer=name,
        dns=(f"server.{domain}",),
        issuing_names=Names((domain,), (domain,)),
    )
    hosts = [server]
    for code in prefecture.municipalities:
        identity = f"spiffe://{domain}/cs/{code}"
        dns = (f"cs-{code}.{domain}",)
        hosts.append(Host(f"cs-{code}", identity, issuer=name, dns=dns, receives_sealed=True))
        hosts.append(Host(f"cs-{code}-register", f"{identity}/register", issuer=name))
    return tuple(hosts)
