"""Checks receipts against the certificates that came with them."""

from __future__ import annotations

from collections.abc import Sequence

from juki.domain.envelope import receipt_digest
from juki.register.signers import SignerDirectory, check_signature
from juki.v1 import notification_pb2


class CertifiedReceipts:
    """A `ReceiptVerifier` over the directory of signers, which remembers the good ones."""

    def __init__(self, signers: SignerDirectory) -> None:
        self._signers = signers

    def __call__(
        self,
        receipt: notification_pb2.SignedReceipt,
        certificates: Sequence[bytes],
        identity: str,
    ) -> notification_pb2.Receipt:
        """See `cs_gateway.ports.ReceiptVerifier`."""
        signer = self._signers.find(receipt.key_id, identity, certificates)
        check_signature(signer, receipt_digest(receipt.receipt), receipt.signature)
        return notification_pb2.Receipt.FromString(receipt.receipt)
