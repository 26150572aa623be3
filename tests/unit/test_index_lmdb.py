"""The index follows the register: who is found under which key, and what is given of them."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from juki.domain.errors import JukiError, Reason
from juki.domain.legal_basis import Field
from juki.domain.outcome import Outcome
from juki.domain.residency import ResidencyStatus
from juki.index.lmdb_index import LmdbIndex
from juki.index.memory_backed import require_memory_backed
from juki.index.port import PersonState
from juki.index.reading import LookedUp
from juki.index.wire import FieldMask
from juki.v1 import identification_pb2 as pb
from juki.wire import four_items_from_proto
from tests.people import code, four_items_of, memory_directory, number, person

EVERYTHING = FieldMask.of(frozenset(Field), number_in_change=True, code_in_change=True)


@pytest.fixture
def index() -> Iterator[LmdbIndex]:
    with memory_directory() as directory:
        made = LmdbIndex(directory / "index", map_bytes=1 << 30)
        made.rebuild([])
        yield made
        made.close()


def state(
    ordinal: int,
    information: pb.IdentificationInformation,
    status: ResidencyStatus = ResidencyStatus.RESIDENT,
) -> PersonState:
    return PersonState(ordinal, status, information.SerializeToString())


def disputed(ordinal: int, *claims: pb.IdentificationInformation) -> PersonState:
    claimed = tuple(claim.SerializeToString() for claim in claims)
    return PersonState(ordinal, ResidencyStatus.DISPUTED, b"", claimed)


def by_number(index: LmdbIndex, *bodies: int) -> LookedUp:
    return index.by_individual_number([int(number(body)) for body in bodies], EVERYTHING)


def by_items(index: LmdbIndex, *people: pb.IdentificationInformation) -> LookedUp:
    items = [four_items_from_proto(four_items_of(one)) for one in people]
    return index.by_four_items(items, EVERYTHING)


def outcomes(found: LookedUp) -> list[Outcome]:
    return [Outcome(one) for one in found.outcomes]


def test_a_person_is_found_by_number_by_code_and_by_the_four_items(index: LmdbIndex) -> None:
    index.apply([state(7, person(1))], [])
    for found in (
        by_number(index, 1),
        index.by_resident_record_code([int(code(1))], EVERYTHING),
        by_items(index, person(1)),
    ):
        assert outcomes(found) == [Outcome.FOUND]
        assert found.ordinals == (7).to_bytes(8, "big")
        assert pb.IdentificationInformation.FromString(found.information[0]) == person(1)


def test_answers_come_in_the_order_of_the_keys(index: LmdbIndex) -> None:
    index.apply([state(body, person(body)) for body in (1, 2, 3)], [])
    found = by_number(index, 3, 9, 1, 1)
    assert outcomes(found) == [Outcome.FOUND, Outcome.NOT_FOUND, Outcome.FOUND, Outcome.FOUND]
    assert [int.from_bytes(found.ordinals[at : at + 8], "big") for at in range(0, 32, 8)] == [
        3,
        0,
        1,
        1,
    ]
    assert found.information[1] == b""


def test_a_number_with_a_wrong_check_digit_is_simply_not_found(index: LmdbIndex) -> None:
    index.apply([state(1, person(1))], [])
    wrong = int(number(1)) ^ 1
    found = index.by_individual_number([wrong, 2**64 - 1, 0], EVERYTHING)
    assert set(outcomes(found)) == {Outcome.NOT_FOUND}


def test_variants_of_writing_lead_to_the_same_person(index: LmdbIndex) -> None:
    index.apply([state(1, person(1, written="髙橋　太郎", remainder="5番1号"))], [])
    found = by_items(index, person(1, written="高橋太郎", remainder="５－１"))
    assert outcomes(found) == [Outcome.FOUND]


def test_a_person_is_found_by_each_of_their_names(index: LmdbIndex) -> None:
    index.apply([state(1, person(1, written="李　明", alphabet="LI MING"))], [])
    assert outcomes(by_items(index, person(1, written="Li Ming"))) == [Outcome.FOUND]


def test_two_persons_under_the_same_four_items_are_ambiguous_and_nothing_is_given(
    index: LmdbIndex,
) -> None:
    twin = person(1)
    twin.individual_number, twin.resident_record_code = number(2), code(2)
    index.apply([state(1, person(1)), state(2, twin)], [])
    found = by_items(index, person(1))
    assert outcomes(found) == [Outcome.AMBIGUOUS]
    assert found.information[0] == b""
    assert found.ordinals == bytes(8)
    index.apply([], [2])
    assert outcomes(by_items(index, person(1))) == [Outcome.FOUND]


def test_nothing_is_given_of_a_disputed_person_under_any_key_of_any_claim(
    index: LmdbIndex,
) -> None:
    elsewhere = person(1, town="駿府町")
    index.apply([disputed(5, person(1), elsewhere)], [])
    for found in (by_number(index, 1), by_items(index, person(1)), by_items(index, elsewhere)):
        assert outcomes(found) == [Outcome.DISPUTED]
        assert found.information[0] == b""


def test_a_dispute_that_ends_gives_the_person_again(index: LmdbIndex) -> None:
    elsewhere = person(1, town="駿府町")
    index.apply([disputed(5, person(1), elsewhere)], [])
    index.apply([state(5, elsewhere)], [])
    assert outcomes(by_number(index, 1)) == [Outcome.FOUND]
    assert outcomes(by_items(index, elsewhere)) == [Outcome.FOUND]
    assert outcomes(by_items(index, person(1))) == [Outcome.NOT_FOUND]


@pytest.mark.parametrize(
    "status",
    [
        ResidencyStatus.PENDING_TRANSFER,
        ResidencyStatus.MOVED_ABROAD,
        ResidencyStatus.DECEASED,
        ResidencyStatus.DELETED,
    ],
)
def test_who_died_or_moved_abroad_is_found_with_the_change_that_says_so(
    index: LmdbIndex, status: ResidencyStatus
) -> None:
    gone = person(1, reason=pb.CHANGE_REASON_DEATH, kind=pb.CHANGE_KIND_DELETION)
    index.apply([state(1, gone, status)], [])
    found = by_number(index, 1)
    assert outcomes(found) == [Outcome.FOUND]
    given = pb.IdentificationInformation.FromString(found.information[0])
    assert given.change.reason == pb.CHANGE_REASON_DEATH


def test_a_changed_number_is_the_only_one_that_leads_to_the_person(index: LmdbIndex) -> None:
    index.apply([state(1, person(1))], [])
    changed = person(1)
    changed.individual_number = number(99)
    index.apply([state(1, changed)], [])
    assert outcomes(by_number(index, 1, 99)) == [Outcome.NOT_FOUND, Outcome.FOUND]


def test_a_person_merged_into_another_is_gone_and_their_keys_lead_to_the_other(
    index: LmdbIndex,
) -> None:
    index.apply([state(1, person(1)), state(2, person(2))], [])
    merged = person(1)
    merged.resident_record_code = code(2)
    index.apply([state(1, merged)], [2])
    found = index.by_resident_record_code([int(code(1)), int(code(2))], EVERYTHING)
    assert outcomes(found) == [Outcome.NOT_FOUND, Outcome.FOUND]
    assert index.count() == 1


def test_a_claim_with_impossible_values_still_leads_to_its_dispute(index: LmdbIndex) -> None:
    impossible = person(1)
    impossible.birth_date.month, impossible.birth_date.day = 2, 31
    index.apply([disputed(1, impossible)], [])
    assert outcomes(by_number(index, 1)) == [Outcome.DISPUTED]


def test_a_rebuild_replaces_everything(index: LmdbIndex) -> None:
    index.apply([state(1, person(1))], [])
    assert index.rebuild(state(body, person(body)) for body in range(2, 12)) == 10
    assert outcomes(by_number(index, 1, 2, 11)) == [
        Outcome.NOT_FOUND,
        Outcome.FOUND,
        Outcome.FOUND,
    ]


def test_a_rebuild_that_fails_leaves_what_was_there(index: LmdbIndex) -> None:
    index.apply([state(1, person(1))], [])

    def broken() -> Iterator[PersonState]:
        yield state(2, person(2))
        raise OSError("the register went away")

    with pytest.raises(OSError, match="went away"):
        index.rebuild(broken())
    assert outcomes(by_number(index, 1, 2)) == [Outcome.FOUND, Outcome.NOT_FOUND]


def test_before_it_is_built_the_index_refuses_rather_than_finds_nobody() -> None:
    with memory_directory() as directory:
        index = LmdbIndex(directory)
        with pytest.raises(JukiError) as refused:
            by_number(index, 1)
        assert refused.value.reason is Reason.STORE_UNAVAILABLE


def test_what_an_earlier_run_left_is_wiped_and_the_directory_is_the_owners_alone() -> None:
    with memory_directory() as directory:
        earlier = LmdbIndex(directory / "index", map_bytes=1 << 30)
        earlier.rebuild([state(1, person(1))])
        LmdbIndex(directory / "index", map_bytes=1 << 30)
        assert list((directory / "index").iterdir()) == []
        assert stat.S_IMODE((directory / "index").stat().st_mode) == 0o700


def test_an_index_on_a_disk_is_refused(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/root rw\n"
        "2 1 0:5 / /dev/shm rw shared:2 - tmpfs tmpfs rw\n"
        "3 2 8:2 / /dev/shm/not\\040memory rw - xfs /dev/sdb rw\n",
        encoding="utf-8",
    )
    require_memory_backed(Path("/dev/shm/index"), mounts)
    for elsewhere in (Path("/var/lib/juki"), Path("/dev/shm/not memory/index"), Path("/dev/shmx")):
        with pytest.raises(JukiError) as refused:
            require_memory_backed(elsewhere, mounts)
        assert refused.value.reason is Reason.CONFIGURATION_INVALID


def test_a_lookup_sees_all_of_a_commit_or_nothing_of_it(index: LmdbIndex) -> None:
    def commit(turn: int) -> None:
        index.apply([state(body, person(body, town=f"町{turn}")) for body in (1, 2)], [])

    commit(0)
    ended = threading.Event()

    def write() -> None:
        for turn in range(1, 300):
            commit(turn)
            if turn % 100 == 0:
                index.rebuild(state(body, person(body, town=f"町{turn}")) for body in (1, 2))
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    torn = 0
    while not ended.is_set():
        found = by_number(index, 1, 2)
        towns = {
            pb.IdentificationInformation.FromString(one).address.town for one in found.information
        }
        torn += len(towns) != 1
    writer.join()
    assert torn == 0
