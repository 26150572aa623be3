"""Puts a server's register of acts together: for composition roots."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

from juki.audit.port import AuditLog
from juki.custody.signing import DocumentSigner, SigningCustody
from juki.policy.acts.config import ActsConfiguration
from juki.policy.acts.following import OfficersFile
from juki.policy.acts.running import ActRegister
from juki.policy.acts.verification import ActVerifier, OfficerRevocation
from juki.policy.revisions import Law
from juki.worker import Worker


def open_register(
    config: ActsConfiguration,
    *,
    identity: str,
    roots_der: Sequence[bytes],
    revocation: OfficerRevocation,
    custody: SigningCustody,
    audit: AuditLog,
    laws: Sequence[Law],
) -> ActRegister:
    """The register of the server with this identity; raises as `ActRegister` does."""
    return ActRegister(
        config.directory,
        verifier=ActVerifier(identity, OfficersFile(config.officers), roots_der, revocation),
        signer=DocumentSigner(custody),
        audit=audit,
        laws=laws,
        clock=time.time_ns,
    )


def follow_proposals(register: ActRegister, stack: ExitStack) -> None:
    """Takes in what officers sign from now on, until the stack is closed."""
    worker = Worker("administrative-acts", register.work, wake=register.wake)
    worker.start()
    stack.callback(worker.close)
