"""A server's register of acts: replayed at the start, extended while the server runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from juki.audit.port import AuditLog, AuditRecord
from juki.custody.signing import DocumentSigner
from juki.domain.errors import JukiError, Reason
from juki.policy.acts.building import build_registry
from juki.policy.acts.dates import of_nanos
from juki.policy.acts.dispositions import gives
from juki.policy.acts.document import document_from
from juki.policy.acts.files import (
    Proposal,
    append_act,
    list_proposals,
    proposals_directory,
    read_proposal,
    remove_partials,
)
from juki.policy.acts.operators import Operators
from juki.policy.acts.replay import replay
from juki.policy.acts.signing import accept
from juki.policy.acts.verification import ActVerifier
from juki.policy.acts.wire import decode_act, digest
from juki.policy.evaluator import Policy
from juki.policy.revisions import Law
from juki.v1 import acts_pb2 as pb

_LOOK_AGAIN_SECONDS: Final = 1.0
_LARGEST_PROPOSAL: Final = 2 * 1024 * 1024
_LOG: Final = structlog.get_logger(__name__)


class ActRegister:
    """The one writer of an acts log, and the policy that follows from it.

    An act is recorded in the audit log, then durable in the acts log, and only then counts. A crash
    in between leaves its proposal, which is taken in at the next start: then the audit log has two
    records of it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        verifier: ActVerifier,
        signer: DocumentSigner,
        audit: AuditLog,
        laws: Sequence[Law],
        clock: Callable[[], int],
    ) -> None:
        """`clock` gives nanoseconds since 1970-01-01 UTC.

        Replays the log, takes in what has been proposed and approved, and refuses to start on
        nothing: raises CONFIGURATION_INVALID where no act has registered a body that may ask
        anything, and whatever `juki.policy.acts.replay.replay` raises.
        """
        self._directory = directory
        self._verifier = verifier
        self._signer = signer
        self._audit = audit
        self._laws = laws
        self._clock = clock
        self._refused: dict[str, str] = {}
        """Why a proposal was refused when it was last judged, by its name: said once."""
        self._stopped = threading.Event()
        self._policy: Policy | None = None
        proposals_directory(directory).mkdir(parents=True, exist_ok=True, mode=0o770)
        remove_partials(directory)
        self._history = replay(directory, verifier)
        self.take_in()
        if not self._history.acts:
            raise JukiError(
                Reason.CONFIGURATION_INVALID,
                "no administrative act has been accepted: an empty register refuses to start",
            )
        self._operators = Operators.of(self._history.register)
        now = of_nanos(clock())
        document = document_from(self._history.register, now)
        self._policy = Policy(laws, build_registry(document, laws))

    @property
    def policy(self) -> Policy:
        """The policy, which goes on deciding by the newest acts."""
        assert self._policy is not None
        return self._policy

    def admit(self, identity: str, office: str, operator: str) -> None:
        """Raises OPERATOR_NOT_REGISTERED for a department or operator that the body has not."""
        self._operators.require(identity, office, operator, of_nanos(self._clock()))

    def take_in(self) -> int:
        """Accepts every proposal whose turn has come; how many. Raises AUDIT_UNAVAILABLE and the
        like where an act could not be recorded; then it is tried again."""
        accepted = 0
        while any(self._consider(path) for path in list_proposals(self._directory)):
            accepted += 1
        return accepted

    def work(self) -> None:
        """One round of a `juki.worker.Worker`."""
        self.take_in()
        self._stopped.wait(_LOOK_AGAIN_SECONDS)

    def wake(self) -> None:
        """Ends the wait of a round."""
        self._stopped.set()

    def _consider(self, path: Path) -> bool:
        """Whether a proposal has been accepted, so that others may have their turn."""
        try:
            if path.stat().st_size > _LARGEST_PROPOSAL:
                raise JukiError(Reason.MESSAGE_TOO_LARGE, "the proposal is too large")
            proposal = read_proposal(path)
            act = decode_act(proposal.signed)
        except OSError:
            return False  # taken away, or not yet to be read
        except JukiError as error:
            self._say_refused(path.name, error)
            return False
        if act.number != self._history.next_number:
            if any(one.signed.act == proposal.signed.act for one in self._history.acts):
                path.unlink(missing_ok=True)  # accepted before a crash
            return False
        if gives(act) and len(proposal.signed.signatures) == 1:
            return False  # waits for whoever approves it
        try:
            self._accept(proposal)
        except JukiError as error:
            if error.reason in (Reason.AUDIT_UNAVAILABLE, Reason.CUSTODY_UNAVAILABLE):
                raise
            self._say_refused(path.name, error)
            return False
        return True

    def _accept(self, proposal: Proposal) -> None:
        last = self._history.acts[-1].accepted_at if self._history.acts else None
        nanos = self._clock()
        if last is not None and of_nanos(nanos) < last:
            raise JukiError(Reason.STORE_UNAVAILABLE, "the clock is behind the last act")
        now = of_nanos(nanos)
        act = self._verifier.judge_new(proposal.signed, now)
        data = accept(proposal.signed, self._signer, nanos)
        history = self._history.extended(self._verifier.judge_accepted(data))
        registry = build_registry(document_from(history.register, now), self._laws)
        self._audit.append(self._record(act, proposal.signed, nanos))
        try:
            append_act(self._directory, act.number, data)
        except OSError as error:
            raise JukiError(
                Reason.STORE_UNAVAILABLE, f"the act cannot be written ({error.strerror})"
            ) from None
        self._history = history
        self._operators = Operators.of(history.register)
        if self._policy is not None:
            self._policy.take_over(registry)
        self._refused.pop(proposal.path.name, None)
        proposal.path.unlink(missing_ok=True)
        _LOG.info("act_accepted", act=act.number, digest=digest(proposal.signed.act).hex())

    def _record(self, act: pb.AdministrativeAct, signed: pb.SignedAct, nanos: int) -> AuditRecord:
        return AuditRecord(
            time_unix_nanos=nanos,
            body_identity=self._verifier.register_of,
            request_id=act.request_id,
            operator=signed.signatures[-1].officer,
            affair=None,
            search_key=None,
            act_digest=digest(signed.act),
        )

    def _say_refused(self, name: str, error: JukiError) -> None:
        if self._refused.get(name) != error.message:
            self._refused[name] = error.message
            _LOG.warning("act_refused", proposal=name, reason=error.reason.value, why=error.message)
