"""gRPC's TLS credentials from custody: client keys sign in the token, server leaves in memory."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Hashable, Sequence
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
from juki.custody.roots import Roots
from juki.custody.verify import signature_to_der
from juki.domain.errors import JukiError

_ASK_AGAIN = timedelta(seconds=2)
"""A handshake asks custody for the server issuer's certificates when this long has passed."""
_RETRY_AFTER = timedelta(seconds=30)
"""After a failed renewal handshakes go on with the old leaf, and the next try waits this long."""

_log = structlog.get_logger(__name__)


def channel_credentials(
    custody: Custody, roots_pem: bytes, key: str = TLS_CLIENT
) -> grpc.ChannelCredentials:
    """Credentials of a client whose key signs each handshake in the token.

    The generation in use now signs as long as the channel lives, since its certificate is fixed
    then; see `ClientIdentity` for channels that live longer than a generation. Raises `JukiError`
    where custody has no certificate for the key. A custody that is down later makes handshakes
    fail (the caller sees UNAVAILABLE), never open connections.
    """
    certified = custody.certified_key(key)

    def sign(message: bytes, algorithm: int, on_complete: Any) -> bytes:
        """TLS 1.3 CertificateVerify (RFC 8446 section 4.4.3): a DER signature over SHA-256."""
        if algorithm != experimental.PrivateKeySignatureAlgorithm.ECDSA_SECP256R1_SHA256:
            raise ValueError("a P-256 key signs with ecdsa_secp256r1_sha256 only")
        (signature,) = custody.sign(certified.name, [sha256(message).digest()])
        return signature_to_der(signature)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", experimental.ExperimentalApiWarning)
        credentials: grpc.ChannelCredentials = (
            experimental.ssl_channel_credentials_with_custom_signer(
                private_key_sign_fn=sign,
                root_certificates=roots_pem,
                certificate_chain=_pem(certified.chain),
            )
        )
    return credentials


class ClientIdentity:
    """A client's key in the token and the roots it trusts, both of which may be rotated."""

    def __init__(self, custody: Custody, roots: Roots, key: str = TLS_CLIENT) -> None:
        self._custody = custody
        self._roots = roots
        self._key = key

    def version(self) -> Hashable:
        """Another value when credentials made now would be others; raises what custody raises."""
        return (self._custody.certified_key(self._key), self._roots.pem)

    def credentials(self) -> grpc.ChannelCredentials:
        """Credentials by what is in use now."""
        return channel_credentials(self._custody, self._roots.pem, self._key)


def server_credentials(
    custody: Custody,
    roots_pem: bytes | Roots,
    issuer_key: str = SERVER_ISSUER,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> grpc.ServerCredentials:
    """Credentials of a server that demands client certificates under `roots_pem`.

    Its leaf key lives in memory only and is replaced, with its certificate, when half the
    certificate's life is over, or when the server issuer has another key or certificate. `Roots`
    are followed when their file changes. Raises `JukiError` where custody does not certify the
    first leaf.
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
    issuer: tuple[bytes, ...]
    """The chain of the server issuer that certified it, in DER."""
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
        issuer=tuple(chain[1:]),
        replace_at=begin + (end - begin) / 2,
        not_after=end,
    )


class _RenewedLeaf:
    """The leaf in use; gRPC asks at each handshake whether there is a new one."""

    def __init__(
        self,
        custody: Custody,
        roots_pem: bytes | Roots,
        issuer_key: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._custody = custody
        self._roots = roots_pem
        self._issuer_key = issuer_key
        self._clock = clock
        self._lock = threading.Lock()

    def first(self) -> grpc.ServerCertificateConfiguration:
        """The first leaf."""
        self._leaf = new_server_leaf(self._custody, self._issuer_key)
        self._ask_at = self._clock() + _ASK_AGAIN
        return self._configuration(self._trusted())

    def renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """What to use from this handshake on; None: what is in use."""
        trusted = self._trusted()
        if (trusted == self._used and self._clock() < self._ask_at) or not self._lock.acquire(
            blocking=False
        ):
            return None
        try:
            replaced = self._clock() >= self._ask_at and self._replace_leaf()
            if replaced or trusted != self._used:
                return self._configuration(trusted)
            return None
        finally:
            self._lock.release()

    def _replace_leaf(self) -> bool:
        self._ask_at = self._clock() + _ASK_AGAIN
        try:
            issuer = self._custody.certificate_chain(self._issuer_key)
            if self._clock() < self._leaf.replace_at and tuple(issuer) == self._leaf.issuer:
                return False
            self._leaf = new_server_leaf(self._custody, self._issuer_key)
        except JukiError as error:
            self._ask_at = self._clock() + _RETRY_AFTER
            _log.warning("server leaf not renewed", reason=str(error.reason))
            return False
        return True

    def _trusted(self) -> bytes:
        return self._roots.pem if isinstance(self._roots, Roots) else self._roots

    def _configuration(self, trusted: bytes) -> grpc.ServerCertificateConfiguration:
        self._used = trusted
        pair = (self._leaf.private_key, self._leaf.certificate_chain)
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=trusted)


def _pem(chain: Sequence[bytes]) -> bytes:
    return b"".join(
        x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
        for der in chain
    )
