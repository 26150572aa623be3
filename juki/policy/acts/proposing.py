"""What officers do: put an act together, propose it, approve another's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography import x509

from juki.custody.signing import DocumentSigner
from juki.domain.errors import JukiError, Reason
from juki.policy.acts.dates import of_nanos
from juki.policy.acts.files import Proposal, write_proposal
from juki.policy.acts.replay import History
from juki.policy.acts.signing import sign_act, with_signatures
from juki.policy.acts.verification import check_four_eyes
from juki.policy.acts.wire import check, decode_act, encode
from juki.v1 import acts_pb2 as pb


def make_act(
    history: History,
    register_of: str,
    dispositions: Sequence[pb.ActDisposition],
    *,
    authority: str,
    request_id: str,
    reason: str = "",
    in_force_from: str = "",
    last_day: str = "",
    now_unix_nanos: int,
) -> pb.AdministrativeAct:
    """The next act of a register; raises JukiError (INVALID_FIELD) where it cannot be accepted."""
    act = pb.AdministrativeAct(
        register_of=register_of,
        number=history.next_number,
        predecessor_digest=history.head_digest,
        in_force_from=in_force_from,
        last_day=last_day,
        request_id=request_id,
        authority=authority,
        reason=reason,
        dispositions=dispositions,
    )
    check(act)
    history.register.apply(act, of_nanos(now_unix_nanos))
    return act


def propose(
    directory: Path, act: pb.AdministrativeAct, signer: DocumentSigner, now_unix_nanos: int
) -> Path:
    """Signs an act as its proposer; durable among the proposals when it returns."""
    data = encode(act)
    part = pb.OFFICER_PART_PROPOSES
    signature = sign_act(data, officer_of(signer), part, signer, now_unix_nanos)
    return write_proposal(directory, with_signatures(data, [signature]))


def approve(
    directory: Path, proposal: Proposal, signer: DocumentSigner, now_unix_nanos: int
) -> Path:
    """Adds the signature of a second officer; durable when it returns.

    Raises JukiError FOUR_EYES_REQUIRED for the officer who proposed the act, SEQUENCE_CONFLICT for
    an act that has been approved already.
    """
    signed = proposal.signed
    if len(signed.signatures) > 1:
        raise JukiError(Reason.SEQUENCE_CONFLICT, "the act has been approved already")
    part = pb.OFFICER_PART_APPROVES
    signature = sign_act(signed.act, officer_of(signer), part, signer, now_unix_nanos)
    both = with_signatures(signed.act, [*signed.signatures, signature])
    check_four_eyes(decode_act(both), both)
    return write_proposal(directory, both)


def officer_of(signer: DocumentSigner) -> str:
    """The identity in the certificate of the officer's own key."""
    certificate = x509.load_der_x509_certificate(signer.key.chain[0])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
    return uri
