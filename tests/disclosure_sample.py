"""A made-up person's disclosure: several municipalities, a variant of a name, provisions."""

from __future__ import annotations

import datetime

from juki.audit.persons.port import EntryPosition, HistoryEntry, HistoryPage
from juki.disclosure import words
from juki.disclosure.document import Discloser, DocumentMaker
from juki.disclosure.held import HeldNotification, HeldPerson
from juki.domain.change import ChangeReason, RecordState
from juki.domain.legal_basis import Field, SearchKey
from juki.domain.outcome import Outcome
from juki.domain.residency import Claim, ResidencyStatus
from juki.policy.registry import Registry
from juki.register.held import HeldClaim
from juki.v1 import disclosure_pb2, identification_pb2, notification_pb2

WRITTEN = "渡\u9089\U000e0101　花子"
"""The second character in a variant of its own."""

CODE, NUMBER, FORMER = "24727059608", "123456789018", "621498320257"
AT = datetime.datetime(2026, 11, 24, 13, 5, 9, tzinfo=datetime.UTC)
HAMAMATSU, SHIZUOKA, CHIYODA = "221309", "221007", "131016"


def _information(
    reason: ChangeReason,
    day: datetime.date,
    *,
    name: str = WRITTEN,
    place: tuple[str, str, str] = ("221309", "元城町", "103番地の2"),
    number: str = NUMBER,
    former_number: str = "",
) -> identification_pb2.IdentificationInformation:
    message = identification_pb2.IdentificationInformation(
        name=identification_pb2.PersonName(written=name, reading="ワタナベ　ハナコ"),
        birth_date=identification_pb2.BirthDate(year=1958, month=4, day=2),
        sex=identification_pb2.SEX_FEMALE,
        address=identification_pb2.Address(
            municipality=place[0], town=place[1], remainder=place[2]
        ),
        resident_record_code=CODE,
        individual_number=number,
    )
    change = message.change
    change.kind = identification_pb2.ChangeKind.ValueType(int(reason.kind))
    change.reason = identification_pb2.ChangeReason.ValueType(int(reason))
    change.event_date.CopyFrom(
        identification_pb2.CalendarDate(year=day.year, month=day.month, day=day.day)
    )
    change.former_individual_number = former_number
    return message


_TOKYO = ("131016", "大手町一丁目", "3番1号")
_LIFE = (
    (
        CHIYODA,
        ChangeReason.EX_OFFICIO_ENTRY,
        (2003, 8, 25),
        {"place": _TOKYO, "number": ""},
        "",
        "",
    ),
    (
        CHIYODA,
        ChangeReason.NUMBER_DESIGNATION,
        (2015, 10, 5),
        {"place": _TOKYO, "number": FORMER},
        "",
        "",
    ),
    (
        CHIYODA,
        ChangeReason.MOVING_OUT,
        (2021, 3, 28),
        {"place": _TOKYO, "number": FORMER},
        "",
        HAMAMATSU,
    ),
    (
        HAMAMATSU,
        ChangeReason.MOVING_IN,
        (2021, 4, 1),
        {"number": FORMER, "name": "渡辺　花子"},
        CHIYODA,
        "",
    ),
    (HAMAMATSU, ChangeReason.MINOR_CORRECTION, (2023, 6, 12), {"number": FORMER}, "", ""),
    (
        HAMAMATSU,
        ChangeReason.NUMBER_CHANGE_REQUEST,
        (2026, 2, 3),
        {"former_number": FORMER},
        "",
        "",
    ),
)

_PROVISIONS = (
    (
        "spiffe://pref22.juki.example/cs/221309",
        "市民課",
        "operator-17",
        "30-32",
        "",
        tuple(Field),
        Outcome.FOUND,
    ),
    (
        "spiffe://agency.juki.example/nenkin",
        "浜松東年金事務所",
        "batch-3",
        "30-9",
        "1:77",
        (Field.NAME, Field.BIRTH_DATE, Field.SEX, Field.ADDRESS, Field.CHANGE),
        Outcome.FOUND,
    ),
    (
        "spiffe://pref22.juki.example/server",
        "税務課",
        "operator-204",
        "30-15(1)(i)",
        "5:3",
        (Field.NAME, Field.ADDRESS),
        Outcome.FOUND,
    ),
    (
        "spiffe://agency.juki.example/nenkin",
        "浜松東年金事務所",
        "batch-3",
        "30-9",
        "1:77",
        (),
        Outcome.DISPUTED,
    ),
    (
        "spiffe://agency.juki.example/unknown",
        "第一係",
        "operator-1",
        "30-12(1)(i)",
        "4:2",
        (Field.NAME,),
        Outcome.FOUND,
    ),
)


class _Entries:
    def history(self, ordinal: int, *, limit: int = 100, page_token: str = "") -> HistoryPage:
        """The made-up entries, the newest first."""
        entries = []
        for at, (body, office, operator, article, affair, fields, outcome) in enumerate(
            _PROVISIONS
        ):
            time = AT - datetime.timedelta(days=17 * at, minutes=7)
            entries.append(
                HistoryEntry(
                    EntryPosition(99_120 - 4_017 * at, 3 * at),
                    int(time.timestamp()) * 10**9,
                    body,
                    office,
                    operator,
                    article,
                    affair,
                    SearchKey.INDIVIDUAL_NUMBER,
                    fields,
                    outcome,
                    f"request-{at:04d}",
                    1,
                )
            )
        return HistoryPage(tuple(entries), "", 99_120)


class _Agency:
    name = "日本年金機構"


def sample_disclosure() -> disclosure_pb2.Disclosure:
    """What J-LIS discloses to her."""
    notifications = []
    for sequence, (municipality, reason, day, parts, moved_from, moved_to) in enumerate(_LIFE, 40):
        date = datetime.date(*day)
        at = datetime.datetime(*day, 5, 30, 0, tzinfo=datetime.UTC)
        notifications.append(
            HeldNotification(
                municipality,
                1,
                sequence * 1_031,
                at,
                int(at.timestamp() + 2) * 10**6,
                notification_pb2.RecordChange(
                    information=_information(reason, date, **parts),
                    moved_from=moved_from,
                    moved_to=moved_to,
                ),
                False,
            )
        )
    entered = datetime.date(2021, 4, 1)
    claims = (
        HeldClaim(
            Claim(
                CHIYODA,
                RecordState.MOVED_OUT,
                datetime.date(2003, 8, 25),
                ChangeReason.EX_OFFICIO_ENTRY,
            ),
            1,
            1,
            notifications[2].change.information.SerializeToString(),
        ),
        HeldClaim(
            Claim(HAMAMATSU, RecordState.CURRENT, entered, ChangeReason.MOVING_IN),
            1,
            1,
            notifications[5].change.information.SerializeToString(),
        ),
    )
    person = HeldPerson(
        7, (7,), ResidencyStatus.RESIDENT, HAMAMATSU, claims, tuple(reversed(notifications)), True
    )
    registry = Registry({"spiffe://agency.juki.example/nenkin": _Agency()}, {}, {})  # type: ignore[dict-item]
    discloser = Discloser(
        words.J_LIS, "spiffe://national.juki.example/server", "juki.example", lambda: registry
    )
    maker = DocumentMaker(discloser, _Entries(), lambda: 0)
    return maker.document("D-2026-00000012", person, AT)
