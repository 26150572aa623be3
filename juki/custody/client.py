"""The client of custody: the port over a unix socket, for many threads, across restarts."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from google.protobuf.message import DecodeError

from juki.custody.framing import MAXIMUM_FRAME_BYTES, frame, take_frames
from juki.custody.port import (
    MAXIMUM_ITEMS,
    CertifiedKey,
    CustodyHealth,
    DataKey,
    IssuedRevocationList,
    KeyGenerations,
    SealedMessage,
)
from juki.domain.errors import JukiError, Reason
from juki.v1 import custody_pb2 as pb

_FIRST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.5
_READ_BYTES = 1 << 16
_MESSAGE_BYTES_PER_REQUEST = MAXIMUM_FRAME_BYTES // 2


class _Connection:
    """One connected socket, used by one thread at a time."""

    def __init__(self, path: Path, timeout_seconds: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(timeout_seconds)
            self._socket.connect(str(path))
        except BaseException:
            self._socket.close()
            raise
        self._next_request_id = 1

    def settimeout(self, timeout_seconds: float) -> None:
        self._socket.settimeout(timeout_seconds)

    def exchange(self, request: pb.CustodyRequest) -> pb.CustodyResponse:
        """Send the request and wait for its response."""
        request.request_id = self._next_request_id
        self._next_request_id += 1
        # Who is refused as a whole finds the answer waiting, maybe before having asked.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(frame(request.SerializeToString()))
        response = pb.CustodyResponse.FromString(self._receive())
        # 0: the connection as a whole is refused, whatever was asked.
        if response.request_id not in (0, request.request_id):
            raise ConnectionError("custody answered another request")
        return response

    def _receive(self) -> bytes:
        received = bytearray()
        while True:
            # Length and message in one call of the kernel: most answers are short.
            data = self._socket.recv(_READ_BYTES)
            if not data:
                raise ConnectionError("custody closed the connection")
            received += data
            try:
                frames = take_frames(received)
            except JukiError:
                raise ConnectionError("custody sent an impossible length") from None
            if len(frames) > 1 or (frames and received):
                raise ConnectionError("custody answered more than was asked")
            if frames:
                return frames[0]

    def close(self) -> None:
        self._socket.close()


class CustodyClient:
    """`juki.custody.port.Custody` over a unix socket.

    Safe for many threads: each call takes an idle connection or opens one, so that no thread
    waits for another. A lost connection (custody or its worker was killed and started again) is
    opened anew, with growing pauses, until `timeout_seconds` have passed since the call began; then
    CUSTODY_UNAVAILABLE is raised. Repeating is safe because every operation may be repeated. A
    custody that says that it is out of service is believed at once, with its reason.
    """

    def __init__(
        self,
        socket_path: Path,
        timeout_seconds: float = 5.0,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = socket_path
        self._timeout_seconds = timeout_seconds
        self._monotonic = monotonic
        self._pause = pause
        self._lock = threading.Lock()
        self._idle: list[_Connection] = []
        self._closed = False

    def sign(self, key: str, digests: Sequence[bytes]) -> list[bytes]:
        """See `Custody.sign`."""
        return self._items(
            digests,
            lambda part: pb.CustodyRequest(sign=pb.CustodySignRequest(key=key, digests=part)),
        )

    def mac(self, key: str, messages: Sequence[bytes]) -> list[bytes]:
        """See `Custody.mac`."""
        return self._items(
            messages,
            lambda part: pb.CustodyRequest(mac=pb.CustodyMacRequest(key=key, messages=part)),
        )

    def random(self, length: int) -> bytes:
        """See `Custody.random`."""
        return self._call(
            pb.CustodyRequest(random=pb.CustodyRandomRequest(length=length))
        ).value.value

    def new_data_key(self, wrapping_key: str) -> DataKey:
        """See `Custody.new_data_key`."""
        asked = pb.CustodyNewDataKeyRequest(wrapping_key=wrapping_key)
        made = self._call(pb.CustodyRequest(new_data_key=asked)).data_key
        return DataKey(plaintext=made.plaintext, wrapped=made.wrapped)

    def unwrap_data_key(self, wrapping_key: str, wrapped: bytes) -> bytes:
        """See `Custody.unwrap_data_key`."""
        asked = pb.CustodyUnwrapDataKeyRequest(wrapping_key=wrapping_key, wrapped=wrapped)
        return self._call(pb.CustodyRequest(unwrap_data_key=asked)).value.value

    def open_sealed(self, key: str, message: SealedMessage) -> bytes:
        """See `Custody.open_sealed`."""
        asked = pb.CustodyOpenRequest(
            key=key,
            aead=int(message.aead),
            encapsulated_key=message.encapsulated_key,
            ciphertext=message.ciphertext,
            info=message.info,
            associated_data=message.associated_data,
        )
        return self._call(pb.CustodyRequest(open=asked)).value.value

    def certificate_chain(self, key: str) -> list[bytes]:
        """See `Custody.certificate_chain`."""
        return list(self.certified_key(key).chain)

    def certified_key(self, key: str) -> CertifiedKey:
        """See `Custody.certified_key`."""
        asked = pb.CustodyCertificateChainRequest(key=key)
        read = self._call(pb.CustodyRequest(certificate_chain=asked)).certificates
        return CertifiedKey(read.key, tuple(read.certificates))

    def generations(self, key: str) -> KeyGenerations:
        """See `Custody.generations`."""
        asked = pb.CustodyGenerationsRequest(key=key)
        found = self._call(pb.CustodyRequest(generations=asked)).generations
        return KeyGenerations(found.current, tuple(found.usable), tuple(found.certified))

    def rewrap_data_key(self, wrapping_key: str, wrapped: bytes) -> bytes:
        """See `Custody.rewrap_data_key`."""
        asked = pb.CustodyRewrapDataKeyRequest(wrapping_key=wrapping_key, wrapped=wrapped)
        return self._call(pb.CustodyRequest(rewrap_data_key=asked)).value.value

    def certify_server_leaf(self, issuer_key: str, signing_request: bytes) -> list[bytes]:
        """See `Custody.certify_server_leaf`."""
        asked = pb.CustodyCertifyServerLeafRequest(
            issuer_key=issuer_key, signing_request=signing_request
        )
        response = self._call(pb.CustodyRequest(certify_server_leaf=asked))
        return list(response.certificates.certificates)

    def certify(self, issuer_key: str, signing_request: bytes, profile: str) -> list[bytes]:
        """See `Custody.certify`."""
        asked = pb.CustodyCertifyRequest(
            issuer_key=issuer_key, signing_request=signing_request, profile=profile
        )
        return list(self._call(pb.CustodyRequest(certify=asked)).certificates.certificates)

    def health(self) -> CustodyHealth:
        """See `Custody.health`."""
        state = self._call(pb.CustodyRequest(health=pb.CustodyHealthRequest())).health
        return CustodyHealth(
            key=state.key,
            sign_microseconds=state.sign_microseconds,
            token_label=state.token_label,
            manufacturer=state.manufacturer,
            model=state.model,
            uptime_seconds=state.uptime_seconds,
        )

    def revocation_list(self, issuer_key: str) -> IssuedRevocationList:
        """See `juki.custody.port.RevocationSource`."""
        asked = pb.CustodyRevocationListRequest(issuer_key=issuer_key)
        return _issued(self._call(pb.CustodyRequest(revocation_list=asked)).revocation_list)

    def revoke(
        self, issuer_key: str, identity: str, serial_numbers: Sequence[int], reason: str
    ) -> IssuedRevocationList:
        """Revoke, for good, an identity's certificates on record and those with these serials.

        `identity` may be empty. Raises INVALID_FIELD for an unknown reason (RFC 5280 section
        5.3.1), RECORD_NOT_FOUND where the authority has no certificate of the identity on record.
        """
        asked = pb.CustodyRevokeRequest(
            issuer_key=issuer_key,
            identity=identity,
            serial_numbers=[one.to_bytes((one.bit_length() + 7) // 8) for one in serial_numbers],
            reason=reason,
        )
        return _issued(self._call(pb.CustodyRequest(revoke=asked)).revocation_list)

    def close(self) -> None:
        """Close the idle connections; a call under way closes its own when it ends."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def __enter__(self) -> CustodyClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _items(
        self, items: Sequence[bytes], request: Callable[[Sequence[bytes]], pb.CustodyRequest]
    ) -> list[bytes]:
        results: list[bytes] = []
        for part in _parts(items):
            results += self._call(request(part)).items.items
        return results

    def _call(self, request: pb.CustodyRequest) -> pb.CustodyResponse:
        response = self._exchange(request)
        if response.HasField("error"):
            _raise_error(response.error)
        return response

    def _exchange(self, request: pb.CustodyRequest) -> pb.CustodyResponse:
        deadline = self._monotonic() + self._timeout_seconds
        pause_seconds = _FIRST_PAUSE_SECONDS
        while True:
            remaining = deadline - self._monotonic()
            if remaining <= 0:
                raise JukiError(Reason.CUSTODY_UNAVAILABLE, "custody of keys cannot be reached")
            was_idle = False
            try:
                connection, was_idle = self._take(remaining)
                try:
                    response = connection.exchange(request)
                except BaseException:
                    connection.close()
                    raise
            except (OSError, DecodeError):
                # A connection that had lain idle may just be stale: the next try is immediate.
                if not was_idle:
                    self._pause(min(pause_seconds, max(deadline - self._monotonic(), 0)))
                    pause_seconds = min(pause_seconds * 2, _LONGEST_PAUSE_SECONDS)
                continue
            if response.request_id == 0:
                connection.close()
            else:
                self._give_back(connection)
            return response

    def _take(self, timeout_seconds: float) -> tuple[_Connection, bool]:
        with self._lock:
            if self._closed:
                raise JukiError(Reason.CUSTODY_UNAVAILABLE, "the client of custody is closed")
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            return _Connection(self._path, timeout_seconds), False
        connection.settimeout(timeout_seconds)
        return connection, True

    def _give_back(self, connection: _Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()


def _parts(items: Sequence[bytes]) -> list[Sequence[bytes]]:
    """Cut a long list into requests that keep custody's limits on items and bytes."""
    parts: list[Sequence[bytes]] = []
    start = size = 0
    for place, item in enumerate(items):
        if place - start == MAXIMUM_ITEMS or (
            place > start and size + len(item) > _MESSAGE_BYTES_PER_REQUEST
        ):
            parts.append(items[start:place])
            start, size = place, 0
        size += len(item)
    if start < len(items):
        parts.append(items[start:])
    return parts


def _issued(made: pb.CustodyRevocationList) -> IssuedRevocationList:
    return IssuedRevocationList(
        made.list,
        tuple(made.certificates),
        tuple(int.from_bytes(serial) for serial in made.newly_revoked),
    )


def _raise_error(error: pb.CustodyError) -> None:
    try:
        reason = Reason(error.reason)
    except ValueError:
        reason = Reason.CUSTODY_UNAVAILABLE
    raise JukiError(reason, error.message)
