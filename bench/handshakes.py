"""What a handshake costs with the client's key in the token, against a key in memory."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from statistics import median
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from grpc import experimental

from juki.custody.client import CustodyClient
from juki.custody.port import ISSUING_AUTHORITY, TLS_CLIENT
from juki.custody.tls import channel_credentials
from juki.rpc.channel import ChannelSettings, open_channel

SERVICE = "bench.Handshake"
METHOD = "Answer"
TOKEN = "token"  # noqa: S105 - a kind, not a secret
"""The key is in the token: grpcio calls back, custody signs."""
CALLED_BACK = "called back"
"""The key is in memory; grpcio calls back all the same, and Python signs."""
MEMORY = "memory"
"""The key is in memory, and grpcio itself signs."""

_CALL_SECONDS = 30.0
_ONCE = ChannelSettings(attempts=1)


@dataclass(frozen=True, slots=True)
class HandshakeTimes:
    """Seconds from nothing to the first answer over a new connection, by kind."""

    seconds: dict[str, list[float]]

    def milliseconds(self, kind: str) -> float:
        """Median of a kind."""
        return 1000 * median(self.seconds[kind])

    def ratio(self, to: str) -> float:
        """Key in the token to another kind, of medians."""
        return self.milliseconds(TOKEN) / self.milliseconds(to)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "handshakes": len(self.seconds[TOKEN]),
            "milliseconds": {kind: round(self.milliseconds(kind), 2) for kind in self.seconds},
            "ratio_of_token": {
                kind: round(self.ratio(kind), 3) for kind in self.seconds if kind != TOKEN
            },
        }


def client_credentials(
    client: CustodyClient, authority: CustodyClient, identity: str, roots_pem: bytes
) -> dict[str, grpc.ChannelCredentials]:
    """Credentials of each kind; the key in memory is made here and certified like the token's."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
    request = (
        x509.CertificateSigningRequestBuilder(x509.Name([]))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )
    chain = b"".join(
        x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
        for der in authority.certify(ISSUING_AUTHORITY, request, TLS_CLIENT)
    )

    def sign(message: bytes, _algorithm: int, _on_complete: Any) -> bytes:
        return key.sign(message, ec.ECDSA(hashes.SHA256()))

    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", experimental.ExperimentalApiWarning)
        called_back = experimental.ssl_channel_credentials_with_custom_signer(
            private_key_sign_fn=sign, root_certificates=roots_pem, certificate_chain=chain
        )
    return {
        TOKEN: channel_credentials(client, roots_pem),
        CALLED_BACK: called_back,
        MEMORY: grpc.ssl_channel_credentials(roots_pem, pem, chain),
    }


def measure_client_handshakes(
    address: str,
    server_name: str,
    credentials: dict[str, grpc.ChannelCredentials],
    handshakes: int,
) -> HandshakeTimes:
    """So many full TLS 1.3 handshakes of each kind, one after the other, in turns."""
    seconds: dict[str, list[float]] = {kind: [] for kind in credentials}
    for number in range(-1, handshakes):
        for kind, one in credentials.items():
            spent = _seconds(address, server_name, one)
            if number >= 0:  # before, libraries load and caches fill
                seconds[kind].append(spent)
    return HandshakeTimes(seconds)


def _seconds(address: str, server_name: str, credentials: grpc.ChannelCredentials) -> float:
    begin = time.perf_counter()
    with open_channel(address, server_name, credentials, _ONCE) as channel:
        answer = channel.unary_unary(f"/{SERVICE}/{METHOD}", bytes, bytes)
        answer(b"", timeout=_CALL_SECONDS)
        return time.perf_counter() - begin
