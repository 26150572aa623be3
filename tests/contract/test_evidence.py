"""Evidence outlives keys and hash functions: time-stamped, renewed, proved to outsiders."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import delete, select, update

from juki.domain.change import ChangeReason
from juki.domain.errors import JukiError, Reason
from juki.evidence.hashing import HashAlgorithm
from juki.evidence.proving import EvidenceArchive
from juki.evidence.renewal import EvidenceRenewal
from juki.evidence.stamping import EvidenceMetrics, TimeStamper
from juki.evidence.verifying import Proved, RecordVerifier
from juki.register import tables as t
from juki.rpc.names import national_identity
from juki.v1 import evidence_pb2
from tests.register_fixtures import DOMAIN, Nation, identity_of
from tests.stream import Stream, information

HERE, THERE = "221309", "221007"
SHA_256, SHA_512 = HashAlgorithm.SHA_256, HashAlgorithm.SHA_512


def now() -> datetime:
    return datetime.now(UTC)


class Keeping:
    """A nation's register whose evidence is kept."""

    def __init__(self, nation: Nation) -> None:
        self.nation = nation
        self.metrics = EvidenceMetrics(CollectorRegistry())
        self.archive = EvidenceArchive(nation.engine, nation.sealer)
        self.streams = {one: nation.stream(one) for one in (HERE, THERE)}

    def births(self, municipality: str, count: int) -> Stream:
        stream = self.streams[municipality]
        run = [
            stream.add(information(code, ChangeReason.BIRTH, municipality=municipality))
            for code in self.nation.codes(municipality, count)
        ]
        self.nation.submit(stream, *run)
        return stream

    def stamp(self, algorithm: HashAlgorithm = SHA_256) -> int | None:
        return TimeStamper(
            engine=self.nation.engine,
            custody=self.nation.custody,
            issuer=national_identity(DOMAIN),
            metrics=self.metrics,
            algorithm=algorithm,
        ).stamp()

    def renewal(self, algorithm: HashAlgorithm, page: int = 3) -> EvidenceRenewal:
        return EvidenceRenewal(
            engine=self.nation.engine,
            sealer=self.nation.sealer,
            algorithm=algorithm,
            intake_paused=self.nation.intake.paused,
            metrics=self.metrics,
            page=page,
            head_every=4,
        )

    def renew(self, algorithm: HashAlgorithm) -> None:
        while self.renewal(algorithm).advance():
            pass

    def verify(
        self,
        record: evidence_pb2.EvidenceRecord,
        weak_since: dict[HashAlgorithm, datetime] | None = None,
        at: datetime | None = None,
    ) -> Proved:
        witnesses = frozenset({national_identity(DOMAIN)})
        verifier = RecordVerifier(
            self.nation.hosts.roots_der, identity_of, lambda _: witnesses, weak_since
        )
        return verifier.verify(record, at or now())

    def refusal(self, record: evidence_pb2.EvidenceRecord, **given: object) -> Reason:
        with pytest.raises(JukiError) as refused:
            self.verify(record, **given)  # type: ignore[arg-type]
        return refused.value.reason


@pytest.fixture
def keeping(nation: Nation) -> Keeping:
    return Keeping(nation)


def test_every_notification_of_every_stream_is_proved_by_the_first_time_stamp_after_it(
    keeping: Keeping,
) -> None:
    keeping.births(HERE, 3)
    before = now()
    assert keeping.stamp() == 1
    keeping.births(HERE, 2)
    keeping.births(HERE, 2)
    keeping.births(THERE, 1)
    assert keeping.stamp() == 2
    for municipality, count in ((HERE, 7), (THERE, 1)):
        for sequence in range(1, count + 1):
            record = keeping.archive.prove(municipality, 1, sequence)
            proved = keeping.verify(record)
            assert (proved.municipality, proved.sequence) == (municipality, sequence)
            assert proved.signer == identity_of(municipality)
            assert proved.existed_at >= before - timedelta(seconds=1)
    first = keeping.archive.prove(HERE, 1, 2)
    assert (
        evidence_pb2.TimeStamp.FromString(first.streams[0].stamps.stamps[0].stamp.time_stamp).serial
        == 1
    ), "proved by the earliest stamp, not by a later one"


def test_nothing_new_makes_no_time_stamp(keeping: Keeping) -> None:
    keeping.births(HERE, 1)
    assert keeping.stamp() == 1
    assert keeping.stamp() is None


def test_what_is_not_stamped_yet_is_not_proved(keeping: Keeping) -> None:
    keeping.births(HERE, 1)
    keeping.stamp()
    keeping.births(HERE, 1)
    with pytest.raises(JukiError) as refused:
        keeping.archive.prove(HERE, 1, 2)
    assert refused.value.reason is Reason.RECORD_NOT_FOUND


def altered(record: evidence_pb2.EvidenceRecord, what: str) -> None:
    part = record.streams[0]
    stamped = part.stamps.stamps[0]
    if what == "notification":
        record.notification.signature = bytes(64)
    elif what == "chain":
        part.following[0] = bytes(32)
    elif what == "head":
        part.head.sequence += 1
    elif what == "path":
        stamped.path.index += 1
    elif what == "time":
        stamp = evidence_pb2.TimeStamp.FromString(stamped.stamp.time_stamp)
        stamp.made_at.FromDatetime(now() - timedelta(days=10))
        stamped.stamp.time_stamp = stamp.SerializeToString()
    elif what == "witness":
        stamped.certificates[:] = record.certificates
    elif what == "certificate":
        record.certificates[:] = stamped.certificates


@pytest.mark.parametrize(
    ("what", "reasons"),
    [
        ("notification", {Reason.TAMPERING_DETECTED}),
        ("chain", {Reason.TAMPERING_DETECTED}),
        ("head", {Reason.TAMPERING_DETECTED}),
        ("path", {Reason.TAMPERING_DETECTED}),
        ("time", {Reason.SIGNATURE_INVALID}),
        ("witness", {Reason.SIGNER_MISMATCH}),
        ("certificate", {Reason.TAMPERING_DETECTED}),
    ],
)
def test_an_altered_record_proves_nothing(
    keeping: Keeping, what: str, reasons: set[Reason]
) -> None:
    keeping.births(HERE, 3)
    keeping.births(THERE, 1)
    keeping.stamp()
    record = keeping.archive.prove(HERE, 1, 1)
    keeping.verify(record)
    altered(record, what)
    assert keeping.refusal(record) in reasons


def age(keeping: Keeping, serial: int, *, expires_in: timedelta) -> None:
    """Makes a time stamp look as if its certificate would end soon."""
    table = t.time_stamp
    made = int((now() - timedelta(days=300)).timestamp() * 1e6)
    ends = int((now() + expires_in).timestamp() * 1e6)
    with keeping.nation.engine.begin() as connection:
        connection.execute(
            update(table).where(table.c.serial == serial).values(made_at=made, expires_at=ends)
        )


def test_a_time_stamp_whose_certificate_ends_soon_is_renewed_by_the_next(keeping: Keeping) -> None:
    keeping.births(HERE, 2)
    keeping.stamp()
    age(keeping, 1, expires_in=timedelta(days=30))
    assert keeping.stamp() == 2
    record = keeping.archive.prove(HERE, 1, 1)
    assert len(record.streams[0].stamps.stamps) == 2
    keeping.verify(record)
    assert keeping.stamp() is None, "renewed once"


def test_a_signature_that_would_not_hold_today_holds_by_the_stamp_over_it(
    keeping: Keeping,
) -> None:
    keeping.births(HERE, 1)
    keeping.stamp()
    record = keeping.archive.prove(HERE, 1, 1)
    in_ten_years = now() + timedelta(days=3650)
    assert keeping.refusal(record, at=in_ten_years) is Reason.UNKNOWN_SIGNING_KEY


def test_the_evidence_is_taken_to_another_hash_function_and_outlives_the_first(
    keeping: Keeping,
) -> None:
    keeping.births(HERE, 10)
    keeping.births(THERE, 2)
    keeping.stamp()
    keeping.renew(SHA_512)
    keeping.births(HERE, 3)
    assert keeping.stamp(SHA_512) == 2
    broken = {SHA_256: now()}
    for sequence in range(1, 14):
        record = keeping.archive.prove(HERE, 1, sequence)
        proved = keeping.verify(record, weak_since=broken, at=now() + timedelta(days=1))
        wanted = (SHA_256, SHA_512) if sequence <= 10 else (SHA_512,)
        assert proved.hash_algorithms == wanted
    long = keeping.archive.prove(HERE, 1, 1)
    assert len(long.streams[1].following) <= 4, "no proof holds a whole stream's hashes"


def test_without_renewal_a_broken_hash_function_takes_the_proof_with_it(keeping: Keeping) -> None:
    keeping.births(HERE, 2)
    keeping.stamp()
    record = keeping.archive.prove(HERE, 1, 1)
    assert keeping.refusal(record, weak_since={SHA_256: now()}) is Reason.TAMPERING_DETECTED


def test_a_renewal_goes_on_where_it_was_while_notifications_come(keeping: Keeping) -> None:
    keeping.births(HERE, 7)
    keeping.stamp()
    for _ in range(2):
        assert keeping.renewal(SHA_512).advance()
    keeping.births(HERE, 4)
    keeping.renew(SHA_512)
    with keeping.nation.engine.connect() as connection:
        row = connection.execute(select(t.evidence_chain)).one()
        assert connection.execute(select(t.evidence_renewal)).first() is None
    assert (row.hash_algorithm, row.sequence) == (SHA_512, 11)
    keeping.stamp(SHA_512)
    keeping.verify(keeping.archive.prove(HERE, 1, 9))


def test_a_stream_older_than_its_evidence_gets_a_chain_from_its_beginning(
    keeping: Keeping,
) -> None:
    keeping.births(HERE, 5)
    with keeping.nation.engine.begin() as connection:
        connection.execute(delete(t.evidence_chain))
    keeping.births(HERE, 1)
    keeping.renew(SHA_256)
    keeping.stamp()
    for sequence in range(1, 7):
        keeping.verify(keeping.archive.prove(HERE, 1, sequence))
