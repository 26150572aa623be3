"""What officers and the accepting server sign, and the making of their signatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from juki.custody.signing import DocumentSigner
from juki.policy.acts.wire import digest, encode
from juki.v1 import acts_pb2 as pb

_PURPOSE: Final = b"juki-act-v1\0"


def statement_digest(
    act: bytes, officer: str, part: pb.OfficerPart.ValueType, signed_at_unix_nanos: int
) -> bytes:
    """What an officer's signature is over (32 bytes); see `OfficerSignature.signature`."""
    return digest(
        _PURPOSE
        + part.to_bytes(1)
        + signed_at_unix_nanos.to_bytes(8)
        + digest(act)
        + officer.encode()
    )


def sign_act(
    act: bytes,
    officer: str,
    part: pb.OfficerPart.ValueType,
    signer: DocumentSigner,
    now_unix_nanos: int,
) -> pb.OfficerSignature:
    """An officer's signature under an act's bytes; raises what custody raises."""
    signed = signer.sign([statement_digest(act, officer, part, now_unix_nanos)])
    return pb.OfficerSignature(
        officer=officer,
        part=part,
        signed_at_unix_nanos=now_unix_nanos,
        key_id=signed.key.key_id,
        certificates=signed.key.chain,
        signature=signed.signatures[0],
    )


def with_signatures(act: bytes, signatures: Sequence[pb.OfficerSignature]) -> pb.SignedAct:
    """An act with the signatures that it has so far."""
    return pb.SignedAct(act=act, signatures=signatures)


def accept(signed: pb.SignedAct, signer: DocumentSigner, now_unix_nanos: int) -> bytes:
    """The bytes of an AcceptedAct, as the server writes them; raises what custody raises."""
    key = signer.key
    while True:
        acceptance = encode(
            pb.ActAcceptance(
                signed=signed,
                accepted_at_unix_nanos=now_unix_nanos,
                key_id=key.key_id,
                certificates=key.chain,
            )
        )
        made = signer.sign([digest(acceptance)])
        if made.key.key_id == key.key_id:
            return encode(pb.AcceptedAct(acceptance=acceptance, signature=made.signatures[0]))
        key = made.key  # rotated in between: the acceptance has to name the key that signs
