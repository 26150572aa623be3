"""Checks receipts against the certificates that came with them, and remembers good signers."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Sequence

from juki.custody.chains import chain_of
from juki.custody.verify import VerifiedSigner, verify_chain, verify_signature
from juki.domain.envelope import receipt_digest
from juki.domain.errors import JukiError, Reason
from juki.v1 import notification_pb2


class CertifiedReceipts:
    """A `ReceiptVerifier` that trusts the network's roots."""

    def __init__(self, roots: Sequence[bytes], now: Callable[[], datetime.datetime]) -> None:
        """`roots` are DER certificates; `now` gives an aware instant."""
        self._roots = roots
        self._now = now
        self._signers: dict[tuple[bytes, str], VerifiedSigner] = {}
        self._lock = threading.Lock()

    def __call__(
        self,
        receipt: notification_pb2.SignedReceipt,
        certificates: Sequence[bytes],
        identity: str,
    ) -> notification_pb2.Receipt:
        """See `cs_gateway.ports.ReceiptVerifier`."""
        signer = self._signer(receipt.key_id, certificates, identity)
        digest = receipt_digest(receipt.receipt)
        if not verify_signature(signer.public_key, digest, receipt.signature):
            raise JukiError(Reason.SIGNATURE_INVALID, "a receipt's signature does not verify")
        return notification_pb2.Receipt.FromString(receipt.receipt)

    def _signer(
        self, key_id: bytes, certificates: Sequence[bytes], identity: str
    ) -> VerifiedSigner:
        now = self._now()
        with self._lock:
            known = self._signers.get((key_id, identity))
        if known is not None and known.not_before <= now <= known.not_after:
            return known
        # Receipts given before the sender's key was rotated come with several chains.
        signer = verify_chain(chain_of(key_id, certificates), self._roots, now, identity)
        with self._lock:
            self._signers[key_id, identity] = signer
        return signer
