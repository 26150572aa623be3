"""How a host's token signs the checkpoints of its register root."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from juki.custody.port import SIGNING, CertifiedKey
from juki.store.checkpoint import CheckpointKey, CheckpointSigning
from juki.store.engine import now_microseconds


class SigningCustody(Protocol):
    """What of custody is needed here."""

    def sign(self, key: str, digests: Sequence[bytes]) -> list[bytes]:
        """ECDSA P-256 signatures over SHA-256 digests."""

    def certified_key(self, key: str) -> CertifiedKey:
        """A key's generation and its certificates."""


def checkpoint_signing(custody: SigningCustody) -> CheckpointSigning:
    """Under the key of the host's receipts or notifications."""

    def key() -> CheckpointKey:
        using = custody.certified_key(SIGNING)
        return CheckpointKey(lambda digest: custody.sign(using.name, [digest])[0], using.chain)

    return CheckpointSigning(key, now_microseconds)
