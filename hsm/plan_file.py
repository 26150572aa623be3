"""The plan file of `juki hsm init`: a network whose one officer is generated."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from hsm.plan import DEFAULT_MODULE, DEFAULT_TRUST_DOMAIN, Prefecture, ProvisioningPlan
from juki.config import Configuration, load_config


class PrefectureEntry(Configuration):
    """A prefecture of the plan file."""

    code: str = Field(pattern="^[0-9]{2}$")
    municipalities: tuple[str, ...]


class PlanFile(Configuration):
    """What `juki hsm init` is to make."""

    trust_domain: str = DEFAULT_TRUST_DOMAIN
    module: Path = DEFAULT_MODULE
    agencies: tuple[str, ...] = ()
    prefectures: tuple[PrefectureEntry, ...]
    nginx_before: tuple[str, ...] = ()
    """Hosts before whose servers nginx ends TLS."""


def read_plan(file: Path, directory: Path) -> ProvisioningPlan:
    """The plan of a file, over a directory; raises CONFIGURATION_INVALID."""
    read = load_config(file, PlanFile)
    return ProvisioningPlan(
        directory=directory,
        prefectures=tuple(Prefecture(p.code, p.municipalities) for p in read.prefectures),
        agencies=read.agencies,
        trust_domain=read.trust_domain,
        module=read.module,
        nginx_before=read.nginx_before,
    )
