"""Unattended provisioning, for development and tests: a ceremony with one generated officer.

The officer's share and passphrase lie in files which only their owner may read, under the
directory `root`; everything else is the same as with people (`hsm.ceremony`).

`provision` works in a process of its own, since the caller may have threads, and the PKCS#11
module wants one thread and one token at a time. `python -m hsm.provision` reads a plan as JSON
from its standard input.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from pydantic import TypeAdapter

from hsm.ceremony import Ceremony, hold_ceremony
from hsm.host_files import ceremony_files
from hsm.officers import GENERATED_COST, Officers, passphrases_in
from hsm.plan import ProvisioningPlan
from hsm.sealed_pins import OfficersTable
from hsm.token_making import PIN_BYTES, write_secret
from juki.domain.errors import JukiError, Reason

_PLAN = TypeAdapter(ProvisioningPlan)
_OFFICER = "unattended"


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
    random_pin: Callable[[], str] = lambda: secrets.token_hex(PIN_BYTES),
) -> None:
    """Provision in this process; only for one that uses PKCS#11 for nothing else."""
    hold_ceremony(Ceremony(plan, unattended_table(plan), clock, random_pin))


def unattended_table(plan: ProvisioningPlan) -> OfficersTable:
    """The one generated officer, who is always present; the first call makes the passphrase."""
    folder = ceremony_files(plan.directory).unattended_officer
    file = folder / _OFFICER
    if not file.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_secret(file, secrets.token_hex(32))
    return OfficersTable(Officers(1, (_OFFICER,)), folder, passphrases_in(folder), GENERATED_COST)


if __name__ == "__main__":
    try:
        provision_here(_PLAN.validate_json(sys.stdin.buffer.read()))
    except JukiError as failure:
        sys.stderr.write(f"{failure}\n")
        sys.exit(1)
