"""Registers a local network's bodies, as two officers do it: one proposes, one approves."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable
from typing import Final

from hsm.certificates import chain_file
from hsm.host_files import host_files
from hsm.plan import officer_host
from juki.custody.client import CustodyClient
from juki.custody.port import SIGNING
from juki.custody.signing import DocumentSigner
from juki.localnet.plan import NetworkPlan
from juki.policy.acts.dates import of_nanos
from juki.policy.acts.document import dispositions_for
from juki.policy.acts.files import list_proposals, read_acts, read_proposal
from juki.policy.acts.proposing import approve, make_act, propose
from juki.policy.acts.replay import EMPTY
from juki.rpc.names import national_identity

_AUTHORITY: Final = "local network"


def write_officers(plan: NetworkPlan) -> None:
    """Lists the plan's officers, each by the certificate in its token."""
    entries = []
    for name in plan.officers:
        host = officer_host(plan.trust_domain, name)
        chain = chain_file(host_files(plan.directory, host.name).certificates, SIGNING)
        entries.append(
            f'[[officer]]\nidentity = "{host.identity}"\ncertificates = ["{chain.resolve()}"]\n'
        )
    plan.officers_file.write_text("\n".join(entries), encoding="utf-8")


def register_bodies(plan: NetworkPlan, custody: Callable[[str], CustodyClient]) -> None:
    """Act 1: everything in the agencies file; nothing where there is one already.

    The officers' custody has to run. The server takes the act up when it starts.
    """
    directory = plan.acts_directory
    directory.mkdir(exist_ok=True)
    if read_acts(directory) or list_proposals(directory):
        return
    proposer, approver = (
        DocumentSigner(custody(officer_host(plan.trust_domain, name).name))
        for name in plan.officers[:2]
    )
    now = time.time_ns()
    document = tomllib.loads(plan.agencies_file.read_text(encoding="utf-8"))
    act = make_act(
        EMPTY,
        national_identity(plan.trust_domain),
        dispositions_for(document, EMPTY.register, of_nanos(now)),
        authority=_AUTHORITY,
        request_id="local-network-1",
        now_unix_nanos=now,
    )
    path = propose(directory, act, proposer, now)
    approve(directory, read_proposal(path), approver, time.time_ns())
