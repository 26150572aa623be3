"""Unattended rotation, for development and tests: the one generated officer of `hsm.provision`.

`rotate` works in a process of its own, for the same reasons as `hsm.provision`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from hsm.ceremony import Ceremony
from hsm.plan import ProvisioningPlan
from hsm.provision import unattended_table
from hsm.retirement import Retirement, hold_retirement
from hsm.rotation import Rotation, hold_rotation
from juki.domain.errors import JukiError, Reason


@dataclass(frozen=True)
class _Order:
    plan: ProvisioningPlan
    work: Rotation | Retirement


_ORDER = TypeAdapter(_Order)


def rotate(plan: ProvisioningPlan, key_class: str, *hosts: str) -> None:
    """Rotate a class of keys at some of its holders, or all; raises CONFIGURATION_INVALID."""
    _order(plan, Rotation(key_class, hosts))


def retire(
    plan: ProvisioningPlan, key_class: str, generation: int, *hosts: str, destroy: bool = False
) -> None:
    """Take a generation out of use at some of its holders, or all, or destroy it.

    Raises CONFIGURATION_INVALID.
    """
    _order(plan, Retirement(key_class, generation, hosts, destroy))


def _order(plan: ProvisioningPlan, work: Rotation | Retirement) -> None:
    worker = subprocess.run(
        [sys.executable, "-m", "hsm.unattended_rotation"],
        input=_ORDER.dump_json(_Order(plan, work)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        check=False,
    )
    if worker.returncode != 0:
        raise JukiError(
            Reason.CONFIGURATION_INVALID,
            f"the rotation failed: {worker.stderr.decode(errors='replace').strip()}",
        )


def _perform(order: _Order) -> None:
    plan = replace(order.plan, directory=order.plan.directory.resolve())
    ceremony = Ceremony(plan, unattended_table(plan))
    if isinstance(order.work, Rotation):
        hold_rotation(ceremony, order.work)
    else:
        hold_retirement(ceremony, order.work)


if __name__ == "__main__":
    try:
        _perform(_ORDER.validate_json(sys.stdin.buffer.read()))
    except JukiError as failure:
        sys.stderr.write(f"{failure}\n")
        sys.exit(1)
