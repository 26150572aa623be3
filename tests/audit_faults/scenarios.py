"""The states in which a log is opened before faults are injected, and what must hold after them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from juki.audit.log import FileAuditLog
from juki.audit.segment import HEADER_BYTES, segments
from juki.audit.verify import verify
from juki.domain.errors import Reason
from tests.audit_faults.injection import Told
from tests.audit_faults.logs import SEGMENT_BYTES, numbered_record, records_in
from tests.audit_keys import signing_with

APPENDED: Final = 9
"""Records that a run appends."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A log as it is found, made anew for every fault."""

    name: str
    records: int
    """What it holds; none of them may ever be lost."""

    make: Callable[[Path, ec.EllipticCurvePrivateKey], None]


def _nothing(directory: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """The log is begun by the run."""


def _closed(directory: Path, key: ec.EllipticCurvePrivateKey) -> None:
    with FileAuditLog(directory, signing=signing_with(key), segment_bytes=SEGMENT_BYTES) as log:
        for number in range(1, 6):
            log.append(numbered_record(number))


def _torn(directory: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Power failed in the middle of a sixth record."""
    _closed(directory, key)
    longer = directory.with_name("longer")
    shutil.copytree(directory, longer)
    with FileAuditLog(longer) as log:
        log.append(numbered_record(6))
    last = segments(longer)[-1].name
    whole = (longer / last).read_bytes()
    (directory / last).write_bytes(whole[: (directory / last).stat().st_size + 50])
    shutil.rmtree(longer)


def _half_begun(directory: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Power failed while a segment was begun, and while a checkpoint was written."""
    _closed(directory, key)
    number = len(segments(directory))
    (directory / f"{number:08d}.seg").write_bytes(bytes(HEADER_BYTES // 2))
    (directory / "public" / ".checkpoint.new").write_bytes(b"national.juki.ex")


SCENARIOS: Final = (
    Scenario("a log begun", 0, _nothing),
    Scenario("a log gone on with", 5, _closed),
    Scenario("a log with a torn record", 5, _torn),
    Scenario("a log with a segment half begun", 5, _half_begun),
)


def check_promises(
    directory: Path, key: ec.EllipticCurvePrivateKey, scenario: Scenario, told: Told
) -> str:
    """Fails unless the log kept its promises; says in a few words what was seen.

    Reopens the log with the recovery that a server's start uses, and verifies it as a whole.
    """
    answered, refused = _answers(told)
    _check_refusals(told, answered, refused)
    with FileAuditLog(directory, signing=signing_with(key)) as log:
        kept = log.position.sequence
        again = log.append(numbered_record(1000))
        assert again.sequence == kept + 1, "the log goes on where it ended"
    report = verify(directory, keys=[key.public_key()])
    assert report.problem is None, report.problem
    assert report.torn_tail is None
    numbers = [int(record.request_id) for record in records_in(directory)]
    assert len(numbers) == report.records == kept + 1
    assert numbers[: scenario.records] == list(range(1, scenario.records + 1))
    assert numbers.pop() == 1000
    for number, sequence in answered.items():
        assert numbers[sequence - 1] == number, "what was answered stands where the answer said"
    assert numbers == sorted(set(numbers)), "no record twice, none out of order"
    assert [numbered_record(number) for number in numbers] == records_in(directory)[:-1]
    return _in_words(told, answered, refused)


def _answers(told: Told) -> tuple[dict[int, int], dict[int, str]]:
    words = [line.split() for line in told.lines]
    answered = {int(n): int(sequence) for word, n, sequence in _threes(words) if word == "answered"}
    refused = {int(n): reason for word, n, reason in _threes(words) if word == "refused"}
    return answered, refused


def _threes(words: list[list[str]]) -> list[tuple[str, str, str]]:
    return [(line[0], line[1], line[2]) for line in words if len(line) == 3]


def _check_refusals(told: Told, answered: dict[int, int], refused: dict[int, str]) -> None:
    if not told.was_killed:
        assert told.lines[-1] in ("closed", f"unopened {Reason.AUDIT_UNAVAILABLE.value}")
        if told.lines[-1] == "closed":
            assert len(answered) + len(refused) == APPENDED, "every caller was told"
    assert set(refused.values()) <= {Reason.AUDIT_UNAVAILABLE.value}


def _in_words(told: Told, answered: dict[int, int], refused: dict[int, str]) -> str:
    if told.was_killed:
        return "killed"
    if told.lines[-1] != "closed":
        return "the log does not open"
    if not refused:
        return "nobody notices"
    if min(refused) < max(answered, default=0):
        return "some refused, then the log goes on"
    return "refused from then on"
