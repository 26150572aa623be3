"""Puts together who may ask a server: by its register of acts, or by a file nobody has signed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from juki.audit.port import AuditLog
from juki.custody.signing import DocumentSigner, SigningCustody
from juki.domain.errors import JukiError, Reason
from juki.policy.acts.config import ActsConfiguration
from juki.policy.acts.following import OfficersFile
from juki.policy.acts.running import ActRegister
from juki.policy.acts.verification import ActVerifier, OfficerRevocation
from juki.policy.evaluator import Policy
from juki.policy.revisions import load_laws
from juki.worker import Worker


@dataclass(frozen=True, slots=True)
class Askers:
    """What a server's services need to know of those who ask."""

    policy: Policy
    """Decides; it follows further acts by itself."""

    admit: Callable[[str, str, str], None]
    """Given identity, office and operator; raises OPERATOR_NOT_REGISTERED."""


def who_may_ask(
    stack: ExitStack,
    acts: ActsConfiguration | None,
    unsigned: Policy | None,
    *,
    identity: str,
    roots_der: Sequence[bytes],
    revocation: OfficerRevocation,
    custody: SigningCustody,
    audit: AuditLog,
    law_revisions: Path | None,
) -> Askers:
    """By the acts of the server with this identity, which are followed until the stack is closed.

    `unsigned` is the policy of a file, for servers that have no register of acts. Raises as
    `ActRegister` does, and CONFIGURATION_INVALID where there is neither.
    """
    if acts is not None:
        register = ActRegister(
            acts.directory,
            verifier=ActVerifier(identity, OfficersFile(acts.officers), roots_der, revocation),
            signer=DocumentSigner(custody),
            audit=audit,
            laws=load_laws(law_revisions),
            clock=time.time_ns,
        )
        worker = Worker("administrative-acts", register.work, wake=register.wake)
        worker.start()
        stack.callback(worker.close)
        return Askers(register.policy, register.admit)
    if unsigned is None:
        raise JukiError(Reason.CONFIGURATION_INVALID, "nothing says who may ask")
    return Askers(unsigned, _anybody)


def _anybody(identity: str, office: str, operator: str) -> None:
    """A file that nobody has signed registers no departments and no operators."""
