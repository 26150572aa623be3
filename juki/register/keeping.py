"""How a host's token signs the checkpoints of its register root."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from juki.custody.port import SIGNING
from juki.store.checkpoint import CheckpointSigning
from juki.store.engine import now_microseconds


class SigningCustody(Protocol):
    """What of custody is needed here."""

    def sign(self, key: str, digests: Sequence[bytes]) -> list[bytes]:
        """ECDSA P-256 signatures over SHA-256 digests."""

    def certificate_chain(self, key: str) -> list[bytes]:
        """DER certificates of `key`, leaf first."""


def checkpoint_signing(custody: SigningCustody) -> CheckpointSigning:
    """Under the key of the host's receipts or notifications."""
    return CheckpointSigning(
        sign=lambda digest: custody.sign(SIGNING, [digest])[0],
        chain=lambda: custody.certificate_chain(SIGNING),
        clock=now_microseconds,
    )
