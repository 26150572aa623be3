"""gRPC's TLS credentials from custody: client keys sign in the token, server leaves in memory."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import grpc
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpc import experimental

from juki.custody.port import SERVER_ISSUER, TLS_CLIENT, Custody
from juki.custody.verify import signature_to_der
from juki.domain.errors import JukiError

_RETRY_AFTER = timedelta(seconds=30)
"""After a failed renewal handshakes go on with the old leaf, and the next try waits this long."""

_log = structlog.get_logger(__name__)


def channel_credentials(
    custody: Custody, roots_pem: bytes, key: str = TLS_CLIENT
) -> grpc.ChannelCredentials:
    """Credentials of a client whose key signs each handshake in the token.

    Raises `JukiError` where custody has no certificate for the key. A custody that is down later
    makes handshakes fail (the caller sees UNAVAILABLE), never open connections.
    """

    def sign(message: bytes, algorithm: int, on_complete: Any) -> bytes:
        """TLS 1.3 CertificateVerify (RFC 8446 section 4.4.3): a DER signature over SHA-256."""
        if algorithm != experimental.PrivateKeySignatureAlgorithm.ECDSA_SECP256R1_SHA256:
            raise ValueError("a P-256 key signs with ecdsa_secp256r1_sha256 only")
        (signature,) = custody.sign(key, [sha256(message).digest()])
        return signature_to_der(signature)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", experimental.ExperimentalApiWarning)
        credentials: grpc.ChannelCredentials = (
            experimental.ssl_channel_credentials_with_custom_signer(
                private_key_sign_fn=sign,
                root_certificates=roots_pem,
                certificate_chain=_pem(custody.certificate_chain(key)),
            )
        )
    return credentials


def server_credentials(
    custody: Custody,
    roots_pem: bytes,
    issuer_key: str = SERVER_ISSUER,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> grpc.ServerCredentials:
    """Credentials of a server that demands client certificates under `roots_pem`.

    Its leaf key lives in memory only and is replaced, with its certificate, when half the
    certificate's life is over. Raises `JukiError` where custody does not certify the first leaf.
    """
    leaf = _RenewedLeaf(custody, roots_pem, issuer_key, clock)
    return grpc.dynamic_ssl_server_credentials(
        leaf.first(),
        leaf.renewed,  # type: ignore[arg-type]  # None keeps what is in use; the stubs omit it
        require_client_authentication=True,
    )


@dataclass(frozen=True)
class ServerLeaf:
    """A TLS leaf in memory: its key and chain in PEM, and when it is to be replaced."""

    private_key: bytes
    certificate_chain: bytes
    replace_at: datetime
    not_after: datetime

    def __repr__(self) -> str:
        return f"ServerLeaf(not_after={self.not_after.isoformat()})"


def new_server_leaf(custody: Custody, issuer_key: str = SERVER_ISSUER) -> ServerLeaf:
    """A new P-256 key in memory, certified by custody for this host's server names."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, hashes.SHA256())
    chain = custody.certify_server_leaf(
        issuer_key, request.public_bytes(serialization.Encoding.DER)
    )
    certificate = x509.load_der_x509_certificate(chain[0])
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return ServerLeaf(
        private_key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        certificate_chain=_pem(chain),
        replace_at=begin + (end - begin) / 2,
        not_after=end,
    )


class _RenewedLeaf:
    """The leaf in use; gRPC asks at each handshake whether there is a new one."""

    def __init__(
        self,
        custody: Custody,
        roots_pem: bytes,
        issuer_key: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._custody = custody
        self._roots_pem = roots_pem
        self._issuer_key = issuer_key
        self._clock = clock
        self._lock = threading.Lock()
        self._renew_at = clock()

    def first(self) -> grpc.ServerCertificateConfiguration:
        """The first leaf."""
        leaf = new_server_leaf(self._custody, self._issuer_key)
        self._renew_at = leaf.replace_at
        return self._configuration(leaf)

    def renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """A new leaf when the old one is half spent, otherwise None: keep what is in use."""
        if self._clock() < self._renew_at or not self._lock.acquire(blocking=False):
            return None
        try:
            leaf = new_server_leaf(self._custody, self._issuer_key)
        except JukiError as error:
            self._renew_at = self._clock() + _RETRY_AFTER
            _log.warning("server leaf not renewed", reason=str(error.reason))
            return None
        else:
            self._renew_at = leaf.replace_at
            return self._configuration(leaf)
        finally:
            self._lock.release()

    def _configuration(self, leaf: ServerLeaf) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(leaf.private_key, leaf.certificate_chain)], root_certificates=self._roots_pem
        )


def _pem(chain: Sequence[bytes]) -> bytes:
    return b"".join(
        x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
        for der in chain
    )
