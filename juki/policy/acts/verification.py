"""Verifies acts: the officers' signatures, four eyes where something is given, the server's own."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from juki.custody.verify import VerifiedSigner, verify_chain, verify_signature
from juki.domain.errors import JukiError, Reason
from juki.policy.acts.dates import of_nanos
from juki.policy.acts.dispositions import gives
from juki.policy.acts.officers import Officer
from juki.policy.acts.signing import statement_digest
from juki.policy.acts.wire import decode, decode_act, digest
from juki.revocation.lists import CertificateFacts, facts_of_der
from juki.v1 import acts_pb2 as pb

CLOCK_TOLERANCE: Final = datetime.timedelta(minutes=5)
"""How far an officer's clock may be ahead of the server's."""

LEARNING_TIME: Final = datetime.timedelta(seconds=60)
"""How long after a revocation an accepted act still counts: the server had to learn of it first."""


class OfficerRevocation(Protocol):
    """What verification asks of the server's `juki.revocation.book.RevocationBook`."""

    def refuse_revoked(self, facts: CertificateFacts, identity: str, reason: Reason) -> None:
        """Raises `reason` for a revoked certificate, CRL_UNKNOWN or CRL_STALE."""
        ...

    def revoked_at(self, facts: CertificateFacts) -> datetime.datetime | None:
        """When the certificate was revoked, if it is."""
        ...


@dataclass(frozen=True, slots=True)
class VerifiedAct:
    """An accepted act whose every signature has been verified."""

    act: pb.AdministrativeAct
    signed: pb.SignedAct
    accepted_at: datetime.datetime
    file_digest: bytes
    """SHA-256 of the AcceptedAct: what the next act names as its predecessor."""

    @property
    def act_digest(self) -> bytes:
        """SHA-256 of the signed bytes: what stands in the audit log."""
        return digest(self.signed.act)


class ActVerifier:
    """Judges acts by the officers' list, the roots and the revocation lists."""

    def __init__(
        self,
        register_of: str,
        officers: Callable[[], Mapping[str, Officer]],
        roots_der: Sequence[bytes],
        revocation: OfficerRevocation,
    ) -> None:
        """`register_of` is the identity of the server whose acts these are."""
        self.register_of = register_of
        self._officers = officers
        self._roots = roots_der
        self._revocation = revocation

    def judge_new(self, signed: pb.SignedAct, now: datetime.datetime) -> pb.AdministrativeAct:
        """The act of a signed one that has just come, judged at `now`.

        Raises FOUR_EYES_REQUIRED while a second signature is missing; SIGNER_REVOKED, CRL_UNKNOWN,
        CRL_STALE, UNKNOWN_SIGNING_KEY, SIGNER_MISMATCH, SIGNATURE_INVALID, IDENTITY_NOT_PERMITTED,
        INVALID_FIELD or TAMPERING_DETECTED for one that will never be taken like this.
        """
        act = self._judge(signed, now)
        for signature in signed.signatures:
            facts = facts_of_der(signature.certificates[0])
            self._revocation.refuse_revoked(facts, signature.officer, Reason.SIGNER_REVOKED)
        return act

    def judge_accepted(self, data: bytes) -> VerifiedAct:
        """An act of the log, judged as of the instant at which the server accepted it.

        Raises as `judge_new` does, but does not ask whether revocation lists are fresh.
        """
        accepted = decode(data, pb.AcceptedAct)
        acceptance = decode(accepted.acceptance, pb.ActAcceptance)
        at = of_nanos(acceptance.accepted_at_unix_nanos)
        server = verify_chain(list(acceptance.certificates), self._roots, at, self.register_of)
        _check_signature(
            server, acceptance.key_id, digest(accepted.acceptance), accepted.signature, "the server"
        )
        act = self._judge(acceptance.signed, at)
        for signature in acceptance.signed.signatures:
            revoked_at = self._revocation.revoked_at(facts_of_der(signature.certificates[0]))
            if revoked_at is not None and revoked_at + LEARNING_TIME < at:
                raise JukiError(
                    Reason.SIGNER_REVOKED, f"{signature.officer} had been revoked before"
                )
        return VerifiedAct(act, acceptance.signed, at, digest(data))

    def _judge(self, signed: pb.SignedAct, at: datetime.datetime) -> pb.AdministrativeAct:
        act = decode_act(signed)
        if act.register_of != self.register_of:
            raise JukiError(Reason.SIGNER_MISMATCH, "the act is addressed to another register")
        for signature in signed.signatures:
            self._check_officer(signed.act, signature, at)
        check_four_eyes(act, signed)
        return act

    def _check_officer(
        self, act: bytes, signature: pb.OfficerSignature, at: datetime.datetime
    ) -> None:
        officer = self._officers().get(signature.officer)
        if officer is None or not officer.appointed.covers(at):
            raise JukiError(
                Reason.IDENTITY_NOT_PERMITTED,
                f"{signature.officer} is not listed as an officer for that day",
            )
        if signature.key_id not in officer.key_ids:
            raise JukiError(
                Reason.UNKNOWN_SIGNING_KEY, f"{signature.officer} signed with a key not listed"
            )
        if of_nanos(signature.signed_at_unix_nanos) > at + CLOCK_TOLERANCE:
            raise JukiError(Reason.SIGNATURE_INVALID, f"{signature.officer} signed in the future")
        signer = verify_chain(list(signature.certificates), self._roots, at, signature.officer)
        statement = statement_digest(
            act, signature.officer, signature.part, signature.signed_at_unix_nanos
        )
        _check_signature(
            signer, signature.key_id, statement, signature.signature, signature.officer
        )


def check_four_eyes(act: pb.AdministrativeAct, signed: pb.SignedAct) -> None:
    """Raises unless an officer proposes and, where the act gives anything, another one approves.

    FOUR_EYES_REQUIRED, or SIGNATURE_INVALID where the parts are mixed up.
    """
    proposal, *approvals = signed.signatures
    if proposal.part != pb.OFFICER_PART_PROPOSES or any(
        one.part != pb.OFFICER_PART_APPROVES for one in approvals
    ):
        raise JukiError(Reason.SIGNATURE_INVALID, "an act is first proposed, then approved")
    if any(one.officer == proposal.officer or one.key_id == proposal.key_id for one in approvals):
        raise JukiError(
            Reason.FOUR_EYES_REQUIRED, "who proposed the act cannot approve it: one pair of eyes"
        )
    if gives(act) and not approvals:
        raise JukiError(
            Reason.FOUR_EYES_REQUIRED, "the act gives something: a second officer has to approve it"
        )


def _check_signature(
    signer: VerifiedSigner, key_id: bytes, statement: bytes, signature: bytes, who: str
) -> None:
    if signer.key_id != key_id:
        raise JukiError(Reason.UNKNOWN_SIGNING_KEY, f"{who}: the certificate is of another key")
    if not verify_signature(signer.public_key, statement, signature):
        raise JukiError(Reason.SIGNATURE_INVALID, f"{who}: the signature does not verify")
