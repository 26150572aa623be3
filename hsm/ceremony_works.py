"""What a ceremony over a plan would make now: looks at files, opens nothing, changes nothing."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from hsm.authority import Names, names_for
from hsm.certificate_names import names_in, permitted_names
from hsm.certificates import chain_file, read_chain
from hsm.configuration_writing import OperatorSettings, changes, custody_toml
from hsm.generations import current_label
from hsm.host_files import ROOT_HOST, ROOT_LABEL, ceremony_files, host_files, root_file
from hsm.key_classes import certified_labels, profile_of
from hsm.plan import AES256, HMAC_SHA256, P256, P256_AGREEMENT, Host, ProvisioningPlan
from hsm.transcript import is_unfinished
from juki.custody.port import ISSUING_AUTHORITY


class What(StrEnum):
    """Kinds of work."""

    TOKEN = "token"  # noqa: S105 - a word, not a secret
    KEY = "key"
    CERTIFICATE = "certificate"
    CONFIGURATION = "custody.toml"
    TRANSCRIPT = "transcript of an interrupted ceremony"


@dataclass(frozen=True)
class Work:
    """One thing to make."""

    what: What
    host: str = ""
    label: str = ""
    """Of the key."""
    detail: str = ""
    """A key's kind, a certificate's validity, what changes in a configuration."""

    def __str__(self) -> str:
        return " ".join(part for part in (self.host, self.what, self.label) if part)


def works(plan: ProvisioningPlan, now: datetime) -> list[Work]:
    """Everything that is due, in the plan's order; empty where a ceremony would change nothing."""
    due = [] if root_file(plan.directory).exists() else list(_root(plan))
    for host in plan.hosts():
        due += _host(plan, host, now)
    if is_unfinished(ceremony_files(plan.directory).transcripts):
        due.append(Work(What.TRANSCRIPT))
    return due


def has_keys(plan: ProvisioningPlan, host: Host) -> bool:
    """Whether the host's token was made with its keys: its directory of certificates says so."""
    return host_files(plan.directory, host.name).certificates.is_dir()


def keys_of(host: Host) -> list[tuple[str, str]]:
    """Labels and kinds of a host's keys."""
    return [
        *((label, AES256) for label in host.wrapping_labels()),
        *((label, HMAC_SHA256) for label in host.mac_labels()),
        *((label, P256) for label in host.signing_labels()),
        *((label, P256_AGREEMENT) for label in host.agreement_labels()),
    ]


def wanted_configuration(
    plan: ProvisioningPlan, host: Host, token_serial: str | None = None
) -> str:
    """What the plan wants custody's configuration to be.

    The serial number of a host's token is known to whoever has just made it; one that a
    configuration names stays, and so does what its operator has set.
    """
    present = present_configuration(plan, host)
    serial = token_serial or _serial_in(present)
    directory = host_files(plan.directory, host.name).directory
    owner = directory.stat().st_uid if directory.exists() else os.getuid()
    uids = plan.allowed_uids or (owner,)
    settings = OperatorSettings.of(present)
    return custody_toml(host, plan.module, uids, plan.uids_of(host), serial, settings=settings)


def present_configuration(plan: ProvisioningPlan, host: Host) -> str:
    """What custody's configuration is; empty where there is none."""
    file = host_files(plan.directory, host.name).configuration
    return file.read_text("utf-8", errors="replace") if file.exists() else ""


def _serial_in(configuration: str) -> str | None:
    try:
        serial = tomllib.loads(configuration)["token"]["serial"]
    except (ValueError, KeyError, TypeError):
        return None
    return serial if isinstance(serial, str) else None


def wanted_names(plan: ProvisioningPlan, host: Host, label: str) -> Names:
    """The names in a key's certificate, or the constraints of an authority's."""
    if label == ISSUING_AUTHORITY:
        return host.issuing_names or Names()
    profile = profile_of(plan, label)
    return names_for(profile, Names((host.identity,), host.dns if profile.takes_dns else ()))


def certificate_is_due(plan: ProvisioningPlan, host: Host, label: str, now: datetime) -> bool:
    """Whether it is missing, or two thirds of its life are over, or it has other names."""
    folder = host_files(plan.directory, host.name).certificates
    file = chain_file(folder, current_label(folder, label))
    if not file.exists():
        return True
    certificate = read_chain(file)[0]
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now >= begin + (end - begin) * 2 / 3:
        return True
    is_authority = profile_of(plan, label).constrains_names
    has = permitted_names(certificate) if is_authority else names_in(certificate)
    return has != wanted_names(plan, host, label)


def _root(plan: ProvisioningPlan) -> Iterator[Work]:
    yield Work(What.TOKEN, ROOT_HOST)
    yield Work(What.KEY, ROOT_HOST, ROOT_LABEL, P256)
    yield Work(What.CERTIFICATE, ROOT_HOST, ROOT_LABEL, _validity(plan, ROOT_LABEL))


def _host(plan: ProvisioningPlan, host: Host, now: datetime) -> Iterator[Work]:
    is_new = not has_keys(plan, host)
    if is_new:
        yield Work(What.TOKEN, host.name)
        for label, kind in keys_of(host):
            yield Work(What.KEY, host.name, label, kind)
    present, wanted = present_configuration(plan, host), wanted_configuration(plan, host)
    if present != wanted:
        detail = "new" if is_new else "\n".join(changes(present, wanted))
        yield Work(What.CONFIGURATION, host.name, detail=detail)
    for label in certified_labels(host):
        if certificate_is_due(plan, host, label, now):
            yield Work(What.CERTIFICATE, host.name, label, _validity(plan, label))


def _validity(plan: ProvisioningPlan, label: str) -> str:
    return f"{profile_of(plan, label).lifetime.days} days"
