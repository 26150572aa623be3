"""Well-signed oddities: values beyond every calendar and counter, expired and renewed signers."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from juki.custody.port import SIGNING
from juki.domain.change import ChangeReason
from juki.domain.errors import JukiError, Reason
from juki.register.signers import SignerDirectory
from juki.v1 import intake_pb2, notification_pb2
from tests.contract.test_intake_store import HERE, births, contents, refusal
from tests.register_fixtures import Nation, identity_of
from tests.revocation_fixtures import NothingRevoked
from tests.stream import Stream, information


def signed_with(
    stream: Stream, change: Callable[[notification_pb2.Notification], None]
) -> notification_pb2.SignedNotification:
    """The stream's next notification, a birth, changed before it is signed."""
    notification = notification_pb2.Notification.FromString(
        stream.add(information("24727059608", ChangeReason.BIRTH)).notification
    )
    change(notification)
    return stream.sign(notification.SerializeToString())


@pytest.mark.parametrize("part", ["year", "month", "day"])
@pytest.mark.parametrize("value", [0, 2**31 - 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize("date", ["event", "birth"])
def test_a_date_beyond_every_calendar_is_disputed_and_does_not_block_the_stream(
    nation: Nation, date: str, part: str, value: int
) -> None:
    stream = nation.stream(HERE)
    message = information(nation.code(HERE), ChangeReason.BIRTH)
    setattr(message.change.event_date if date == "event" else message.birth_date, part, value)
    unknown_day = (date, part, value) == ("birth", "day", 0)
    submission = nation.submit(stream, stream.add(message))
    assert (submission.accepted, submission.disputed) == (1, int(not unknown_day))
    assert nation.submit(stream, *births(nation, stream, 1)).accepted == 1


@pytest.mark.parametrize(("field", "value"), [("sequence", 2**63), ("sequence", 2**64 - 1)])
def test_a_sequence_beyond_every_counter_is_refused_and_what_stands_before_it_is_kept(
    nation: Nation, field: str, value: int
) -> None:
    stream = nation.stream(HERE)
    nation.submit(stream, *births(nation, stream, 2))
    beyond = signed_with(stream, lambda notification: setattr(notification, field, value))
    assert refusal(nation, stream, beyond).reason is Reason.INVALID_FIELD
    submission = nation.submit(stream, stream.sent[0], beyond)
    assert submission.duplicates == 1
    assert submission.refused is not None
    assert submission.refused.reason is Reason.INVALID_FIELD


@pytest.mark.parametrize("value", [2**31, 2**32 - 1])
def test_an_epoch_beyond_every_counter_is_refused(nation: Nation, value: int) -> None:
    stream = nation.stream(HERE)
    nation.submit(stream, *births(nation, stream, 1))
    beyond = signed_with(stream, lambda notification: setattr(notification, "epoch", value))
    assert refusal(nation, stream, beyond).reason is Reason.INVALID_FIELD


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reason", ""),
        ("reason", "x" * 201),
        ("declared_by", ""),
        ("previous_epoch", 0),
        ("previous_epoch", 2),
        ("last_known_digest", bytes(33)),
        ("last_known_sequence", 2**63),
    ],
)
def test_an_epoch_start_that_breaks_the_contract_starts_nothing(
    nation: Nation, field: str, value: object
) -> None:
    stream = nation.stream(HERE)
    nation.submit(stream, *births(nation, stream, 1))
    right = stream.start_epoch(known_sequence=1, known_digest=stream.digest)
    notification = notification_pb2.Notification.FromString(right.notification)
    setattr(notification.epoch_start, field, value)
    broken = stream.sign(notification.SerializeToString())
    assert refusal(nation, stream, broken).reason is Reason.INVALID_FIELD
    assert nation.submit(stream, right).accepted == 1


@pytest.mark.parametrize("rubbish", [b"", b"\x30", b"\x30\x82\xff\xff", b"no certificate"])
def test_rubbish_among_the_certificates_is_no_fault_of_ours(nation: Nation, rubbish: bytes) -> None:
    stream = nation.stream(HERE)
    (signed,) = births(nation, stream, 1)
    before = contents(nation.engine)
    for certificates in (
        [rubbish],
        [rubbish, *stream.certificates],
        [stream.certificates[0], rubbish],
    ):
        request = intake_pb2.SubmitNotificationsRequest(
            notifications=[signed], certificates=certificates
        )
        with pytest.raises(JukiError) as refused:
            nation.intake.submit(request, HERE)
        assert refused.value.reason is Reason.UNKNOWN_SIGNING_KEY
    assert contents(nation.engine) == before


class MovableClock:
    """Now, and later when told."""

    def __init__(self) -> None:
        self.ahead = datetime.timedelta()

    def __call__(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC) + self.ahead


YEARS_LATER = datetime.timedelta(days=4 * 365)
"""Beyond the life of a signing certificate, within that of its issuer."""


def test_a_server_starts_although_a_signer_of_long_ago_has_expired(
    nation: Nation, engine: Engine
) -> None:
    stream = nation.stream(HERE)
    nation.submit(stream, *births(nation, stream, 1))
    clock = MovableClock()
    directory = SignerDirectory(nation.hosts.roots_der, clock, NothingRevoked())
    clock.ahead = YEARS_LATER
    directory.load(engine)
    with pytest.raises(JukiError) as refused:
        directory.find(stream.sent[0].key_id, identity_of(HERE), stream.certificates)
    assert refused.value.reason is Reason.UNKNOWN_SIGNING_KEY


def test_a_certificate_renewed_for_the_same_key_takes_the_place_of_the_expired_one(
    nation: Nation, engine: Engine
) -> None:
    stream = nation.stream(HERE)
    (signed,) = births(nation, stream, 1)
    clock = MovableClock()
    directory = SignerDirectory(nation.hosts.roots_der, clock, NothingRevoked())
    first = directory.find(signed.key_id, identity_of(HERE), stream.certificates)
    with engine.begin() as connection:
        directory.store(connection, [first])
    clock.ahead = YEARS_LATER
    renewed = nation.hosts.custody(identity_of(HERE)).renewed_chain(SIGNING, clock)
    found = directory.find(signed.key_id, identity_of(HERE), renewed)
    assert found.not_after > clock()
    with engine.begin() as connection:
        directory.store(connection, [found])
    after_a_restart = SignerDirectory(nation.hosts.roots_der, clock, NothingRevoked())
    after_a_restart.load(engine)
    kept = after_a_restart.find(signed.key_id, identity_of(HERE), [])
    assert kept.certificate == renewed[0]
