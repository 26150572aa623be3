"""The classes of keys of a plan: what is made, who holds it, who may use it, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from hsm.host_files import ROOT_HOST, ROOT_LABEL
from hsm.plan import AES256, HMAC_SHA256, P256, P256_AGREEMENT, Host, ProvisioningPlan
from hsm.profiles import CERTIFIABLE, ISSUING, ROOT, Profile
from juki.custody.port import ISSUING_AUTHORITY

_PROFILES = {ROOT_LABEL: ROOT, ISSUING_AUTHORITY: ISSUING, **CERTIFIABLE}


@dataclass(frozen=True)
class KeyClass:
    """All keys of one label."""

    label: str
    kind: str
    """"P-256", "P-256 agreement", "AES-256" or "HMAC-SHA256"."""
    holders: tuple[str, ...]
    """Names of the hosts that hold one each."""
    uses: tuple[tuple[str, str], ...]
    """Pairs of socket and operation; none for the root, which only ceremonies use."""
    lifetime: timedelta | None
    """Of its certificates; None for a key that has none."""


def profile_of(plan: ProvisioningPlan, label: str) -> Profile:
    """The certificate profile of a key, with the validity that the plan asks for."""
    profile = _PROFILES[label]
    days = plan.lifetime_days.get(label)
    return profile if days is None else replace(profile, lifetime=timedelta(days=days))


def certified_labels(host: Host) -> tuple[str, ...]:
    """Labels of a host's keys that get a certificate."""
    return tuple(label for label in host.elliptic_labels() if label in _PROFILES)


def key_classes(plan: ProvisioningPlan) -> tuple[KeyClass, ...]:
    """Every class of keys that ceremonies over the plan make, the root's first."""
    kinds: dict[str, str] = {ROOT_LABEL: P256}
    holders: dict[str, list[str]] = {ROOT_LABEL: [ROOT_HOST]}
    uses: dict[str, set[tuple[str, str]]] = {ROOT_LABEL: set()}
    for host in plan.hosts():
        for kind, labels in (
            (P256, host.signing_labels()),
            (P256_AGREEMENT, host.agreement_labels()),
            (AES256, host.wrapping_labels()),
            (HMAC_SHA256, host.mac_labels()),
        ):
            for label in labels:
                kinds[label] = kind
                holders.setdefault(label, []).append(host.name)
                uses.setdefault(label, set()).update(
                    (socket, str(operation))
                    for socket, grants in host.sockets().items()
                    for key, operations in grants
                    if key == label
                    for operation in operations
                )
    return tuple(
        KeyClass(
            label=label,
            kind=kind,
            holders=tuple(holders[label]),
            uses=tuple(sorted(uses[label])),
            lifetime=profile_of(plan, label).lifetime if label in _PROFILES else None,
        )
        for label, kind in kinds.items()
    )
