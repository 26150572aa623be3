"""Whatever a log holds, a person is shown their own entries, all of them, and nobody else's."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from juki.audit.log import FileAuditLog
from juki.audit.persons.following import LogFollower
from juki.audit.persons.history import PersonHistory
from juki.audit.persons.index import FilePersonIndex
from juki.audit.port import AuditRecord
from juki.audit.pseudonym import Pseudonymiser
from juki.audit.reading import LogRecords
from juki.disclosure.document import Discloser, DocumentMaker
from juki.disclosure.held import HeldPerson
from juki.domain.legal_basis import AffairReference, Field, SearchKey
from juki.domain.outcome import Outcome
from juki.domain.residency import ResidencyStatus
from juki.policy.registry import Registry

KEYS = [Pseudonymiser(bytes([version]) * 32, version) for version in (1, 2)]
PEOPLE = range(1, 7)

calls = st.tuples(
    st.sampled_from(KEYS),
    st.lists(
        st.tuples(
            st.sampled_from(PEOPLE),
            st.sampled_from([Outcome.FOUND, Outcome.NOT_FOUND, Outcome.DISPUTED]),
        ),
        max_size=6,
    ),
    st.frozensets(st.sampled_from(list(Field)), min_size=1),
)


def person(*ordinals: int) -> HeldPerson:
    return HeldPerson(ordinals[0], ordinals, ResidencyStatus.RESIDENT, "", (), (), True)


@settings(max_examples=40, deadline=None)
@given(st.lists(calls, max_size=12), st.integers(1, 5))
def test_a_person_is_shown_their_own_entries_and_nobody_elses(
    log: list[tuple[Pseudonymiser, list[tuple[int, Outcome]], frozenset[Field]]], size: int
) -> None:
    expected: dict[int, list[tuple[int, int, tuple[Field, ...]]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with FileAuditLog(directory / "audit") as audit:
            for sequence, (key, asked, fields) in enumerate(log, 1):
                ordinals = [0 if o is Outcome.NOT_FOUND else one for one, o in asked]
                audit.append(
                    AuditRecord(
                        time_unix_nanos=sequence,
                        body_identity="spiffe://agency.juki.example/pension",
                        request_id=f"request-{sequence}",
                        affair=AffairReference(1, "77"),
                        search_key=SearchKey.INDIVIDUAL_NUMBER,
                        article="30-9",
                        granted_fields=fields,
                        pseudonyms=key.pseudonyms(ordinals),
                        pseudonym_key=key.version if asked else 0,
                        outcomes=bytes(o for _, o in asked),
                    )
                )
                for index, (one, outcome) in enumerate(asked):
                    if outcome is not Outcome.NOT_FOUND:
                        given_fields = tuple(sorted(fields)) if outcome is Outcome.FOUND else ()
                        expected[one].append((sequence, index, given_fields))
            records = LogRecords(directory / "audit")
            index_ = FilePersonIndex(directory / "persons", records)
            LogFollower(index_, records, lambda: audit.position.sequence).catch_up()
            maker = DocumentMaker(
                Discloser("", "", "juki.example", lambda: Registry({}, {}, {})),
                PersonHistory(index_, lambda: KEYS),
                lambda: audit.position.sequence,
            )

            def shown(who: HeldPerson) -> list[tuple[int, int, tuple[Field, ...]]]:
                found, token = [], ""
                while True:
                    page = maker.provisions(who, size, token)
                    assert len(page.entries) <= size
                    found += [
                        (one.log_sequence, one.log_index, tuple(map(Field, one.fields)))
                        for one in maker.shown(page)
                    ]
                    token = page.next_page_token
                    if not token:
                        return found

            try:
                for one in PEOPLE:
                    assert shown(person(one)) == sorted(expected[one], reverse=True)
                # Two who turned out to be one are shown both histories, once and in order.
                both = sorted(expected[1] + expected[2], reverse=True)
                assert shown(person(1, 2)) == both
            finally:
                index_.close()
                records.close()
