"""What tests of the gateway share: custody, a prefecture in memory, events of people."""

from __future__ import annotations

import datetime
import itertools
import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from cs_gateway.code_pool import CodePool
from cs_gateway.covered import SECTIONS
from cs_gateway.events import EventChecker
from cs_gateway.intake import Intake
from cs_gateway.metrics import GatewayMetrics
from cs_gateway.progress import Progress
from cs_gateway.remaking import NumberRemaking
from cs_gateway.signing import StreamSigner
from cs_gateway.standing import read_standing
from cs_gateway.store import GatewayStore, open_store
from cs_gateway.tables import REGISTER_ROOT
from cs_gateway.writer import StreamWriter
from juki.domain.change import ChangeReason
from juki.domain.codes import IndividualNumber, LocalGovernmentCode, ResidentRecordCode
from juki.domain.errors import JukiError, Reason
from juki.store.engine import migrate
from juki.store.verification import RootedDatabase, verify
from juki.v1 import identification_pb2, intake_pb2, register_pb2

MUNICIPALITY = "221309"
WARD = "221384"
OTHER_MUNICIPALITY = "221007"
START = 1_790_000_000_000_000


@dataclass(frozen=True)
class MemoryDataKey:
    """A data key as custody gives it."""

    plaintext: bytes
    wrapped: bytes


class MemoryCustody:
    """Custody without a token, for unit tests only; `fail` makes it refuse to sign."""

    def __init__(self) -> None:
        self.fail = False
        self.calls = 0
        self._wrapping = AESGCM(bytes(range(32)))
        self.rotate()

    def rotate(self) -> None:
        """A new signing key."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
        start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=3650))
            .sign(self._key, SHA256())
        )
        self._chain = [certificate.public_bytes(Encoding.DER)]

    def sign(self, key: str, digests: Sequence[bytes]) -> list[bytes]:
        """Signatures, in one call."""
        self.calls += 1
        if self.fail:
            raise JukiError(Reason.CUSTODY_UNAVAILABLE, "custody of keys cannot be reached")
        signatures = []
        for digest in digests:
            r, s = decode_dss_signature(self._key.sign(digest, ec.ECDSA(Prehashed(SHA256()))))
            signatures.append(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        return signatures

    def certificate_chain(self, key: str) -> list[bytes]:
        """One self-signed certificate."""
        return list(self._chain)

    def new_data_key(self, wrapping_key: str) -> MemoryDataKey:
        """A key wrapped with a fixed one."""
        plaintext = AESGCM.generate_key(256)
        return MemoryDataKey(plaintext, self._wrapping.encrypt(bytes(12), plaintext, None))

    def unwrap_data_key(self, wrapping_key: str, wrapped: bytes) -> bytes:
        """The key again."""
        return self._wrapping.decrypt(bytes(12), wrapped, None)


def number_for(code: int) -> int:
    """A stand-in for the nation's one-way conversion: the same number for the same code."""
    return int(IndividualNumber.from_body(code * 7919 % 10**11))


@dataclass
class MemoryUpstream:
    """A prefecture in memory that allots codes and makes numbers."""

    available: bool = True
    refused_codes: set[int] = field(default_factory=set)
    allotted: dict[str, list[int]] = field(default_factory=dict)
    requests: list[tuple[str, int]] = field(default_factory=list)
    number_calls: int = 0
    remake_requests: list[str] = field(default_factory=list)
    _next: Iterator[int] = field(default_factory=lambda: itertools.count(1_000))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def _check(self) -> None:
        if not self.available:
            raise JukiError(Reason.UPSTREAM_UNAVAILABLE, "the peer does not answer")

    def allot_codes(self, municipality: str, request_id: str, count: int) -> list[int]:
        """Codes, the same for the same request."""
        self._check()
        with self._lock:
            self.requests.append((request_id, count))
            if request_id not in self.allotted:
                self.allotted[request_id] = [
                    int(ResidentRecordCode.from_body(next(self._next) * 104729 % 10**10))
                    for _ in range(count)
                ]
            return self.allotted[request_id]

    def generate_numbers(
        self, municipality: str, codes: Sequence[int], timeout: float
    ) -> list[int]:
        """Numbers for codes."""
        self._check()
        self.number_calls += 1
        if self.refused_codes.intersection(codes):
            raise JukiError(Reason.CODE_NOT_ALLOTTED, "a code was not allotted")
        return [number_for(code) for code in codes]

    def remake_number(self, municipality: str, request_id: str, code: int, former: int) -> int:
        """A number is replaced once."""
        self._check()
        self.remake_requests.append(request_id)
        return int(IndividualNumber.from_body((former // 10 * 7919 + 1) % 10**11))

    def submit_notifications(
        self, request: intake_pb2.SubmitNotificationsRequest
    ) -> intake_pb2.SubmitNotificationsResponse:
        """Not needed by unit tests of the intake."""
        raise JukiError(Reason.UPSTREAM_UNAVAILABLE, "the peer does not answer")

    def get_stream_head(self, municipality: str) -> intake_pb2.GetStreamHeadResponse:
        """Not needed by unit tests of the intake."""
        raise JukiError(Reason.UPSTREAM_UNAVAILABLE, "the peer does not answer")

    def fetch_notifications(
        self, request: intake_pb2.FetchNotificationsRequest
    ) -> intake_pb2.FetchNotificationsResponse:
        """Not needed by unit tests of the intake."""
        raise JukiError(Reason.UPSTREAM_UNAVAILABLE, "the peer does not answer")

    def follow_returns(self, after_cursor: int) -> Iterator[intake_pb2.FollowReturnsResponse]:
        """Nothing flows back."""
        return iter(())

    def close_returns(self) -> None:
        """Nothing to end."""


class TickingClock:
    """A clock that moves a millisecond at each look."""

    def __init__(self, start: int = START) -> None:
        self._ticks = itertools.count(start, 1000)
        self._skipped = 0

    def __call__(self) -> int:
        return next(self._ticks) + self._skipped

    def advance(self, microseconds: int) -> None:
        self._skipped += microseconds


class GatewayCore:
    """Store, pool, writer and intake of one gateway, over a real database."""

    def __init__(
        self,
        engine: Engine,
        custody: MemoryCustody | None = None,
        upstream: MemoryUpstream | None = None,
        codes: int = 2000,
        reserve_seconds: float = 0.0,
    ) -> None:
        migrate(engine, "gateway")
        self.engine = engine
        self.tampered_with = False
        """Whether the test writes past the gateway, so that its root cannot fit."""

        self.custody = custody or MemoryCustody()
        self.upstream = upstream or MemoryUpstream()
        self.clock = TickingClock()
        self.store: GatewayStore = open_store(engine, self.custody, MUNICIPALITY)
        self.progress = Progress(read_standing(self.store))
        self.registry = CollectorRegistry()
        self.metrics = GatewayMetrics(self.registry)
        self.pool = CodePool(self.store, random.SystemRandom(), self.clock, self.progress)
        self.signer = StreamSigner(self.custody)
        self.writer = StreamWriter(
            municipality=MUNICIPALITY,
            store=self.store,
            signer=self.signer,
            pool=self.pool,
            clock=self.clock,
            progress=self.progress,
            metrics=self.metrics,
        )
        self.intake = Intake(
            municipality=MUNICIPALITY,
            checker=EventChecker(LocalGovernmentCode(MUNICIPALITY), self.store.sealer),
            pool=self.pool,
            writer=self.writer,
            upstream=self.upstream,
            remaking=NumberRemaking(MUNICIPALITY, self.store, self.upstream),
            metrics=self.metrics,
            reserve_seconds=reserve_seconds,
        )
        if codes:
            self.refill(codes)
        self.writer.start()

    def refill(self, count: int) -> None:
        """Fetches codes by hand."""
        request_id, wanted = self.pool.open_request(random.randbytes(16).hex(), count)
        values = self.upstream.allot_codes(MUNICIPALITY, request_id, wanted)
        self.pool.add_allotment(request_id, values)

    def close(self) -> None:
        """Ends the writer; whatever a test did, the root is as it must be."""
        self.progress.close()
        self.writer.close()
        if not self.tampered_with:
            database = RootedDatabase(self.engine, self.store.sealer, REGISTER_ROOT, SECTIONS)
            assert verify(database, None).findings == []


def four_items(
    written: str = "浜松　太郎", town: str = "中央区元城町", ward: str = WARD
) -> identification_pb2.FourItems:
    """Items of an invented person."""
    return identification_pb2.FourItems(
        name=identification_pb2.PersonName(written=written, reading="ハママツ　タロウ"),
        birth_date=identification_pb2.BirthDate(year=1985, month=4, day=2),
        sex=identification_pb2.SEX_MALE,
        address=identification_pb2.Address(municipality=ward, town=town, remainder="103番地の2"),
    )


def register_event(
    event_id: str,
    record_id: str,
    reason: ChangeReason,
    *,
    items: identification_pb2.FourItems | None = None,
    code: str = "",
    number: str = "",
    moved_from: str = "",
    moved_to: str = "",
) -> register_pb2.RegisterEvent:
    """An event of the municipality's register; entries and corrections get items by themselves."""
    if items is None and reason // 10 in (1, 3):
        items = four_items()
    event = register_pb2.RegisterEvent(
        event_id=event_id,
        record_id=record_id,
        reason=reason.value,  # type: ignore[arg-type]
        event_date=identification_pb2.CalendarDate(year=2026, month=11, day=1),
        resident_record_code=code,
        individual_number=number,
        moved_from=moved_from,
        moved_to=moved_to,
    )
    if items is not None:
        event.four_items.CopyFrom(items)
    return event
