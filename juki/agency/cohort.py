"""Verifies a cohort: the rows of a CSV file in, the same rows with what the register says out."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from juki.agency.client import AgencyClient, Answer, Key, Purpose
from juki.agency.keys import FOUR_ITEMS_COLUMNS, NUMBER_COLUMN, key_of_row
from juki.domain.errors import InvalidValue
from juki.domain.four_items import Sex
from juki.domain.legal_basis import Field
from juki.v1 import identification_pb2

BATCH: Final = 1_000
"""Rows a call; one record in the audit log each."""

ID_COLUMN: Final = "id"
INVALID: Final = "invalid"
"""Outcome of a row whose key cannot exist (a wrong check digit): nobody was asked about it."""

COLUMNS: Final = (
    "outcome",
    "current_name",
    "current_reading",
    "current_birth_date",
    "current_sex",
    "current_municipality",
    "current_town",
    "current_remainder",
    "current_individual_number",
    "change_reason",
    "change_date",
)


@dataclass(slots=True)
class CohortReport:
    """What verifying came to."""

    rows: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    """The last change of those found, by reason; empty where it was not asked for."""

    withheld: tuple[tuple[Field, str], ...] = ()


def count_rows(source: Path) -> int:
    """How many rows the file has below its header; for a progress bar."""
    with source.open(encoding="utf-8-sig", newline="") as file:
        return max(sum(1 for _ in csv.reader(file)) - 1, 0)


def verify_cohort(
    client: AgencyClient,
    purpose: Purpose,
    source: Path,
    target: Path,
    progress: Callable[[int], None] = lambda _: None,
) -> CohortReport:
    """Asks for every row of `source` and writes `target` (mode 0600; must not exist yet).

    Columns of `source`: `id` if wanted, and `individual_number` or those of the four items. Of the
    keys only `id` is repeated in `target`. `progress` is told rows as they are done. Raises
    InvalidValue for unusable columns, FileExistsError, and what `AgencyClient` raises; then no
    `target` is left.
    """
    report = CohortReport()
    unfinished = target.with_name(f"{target.name}.part")
    if target.exists():
        raise FileExistsError(f"{target} exists already")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with (
            source.open(encoding="utf-8-sig", newline="") as rows,
            os.fdopen(descriptor, "w", encoding="utf-8", newline="") as out,
        ):
            reader = csv.DictReader(rows)
            _check_columns(reader.fieldnames or ())
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow((ID_COLUMN, *COLUMNS))
            for batch in _batches(reader):
                writer.writerows(_verified(client, purpose, batch, report))
                progress(len(batch))
        unfinished.rename(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return report


def _verified(
    client: AgencyClient,
    purpose: Purpose,
    batch: Sequence[tuple[str, Key | None]],
    report: CohortReport,
) -> Iterator[tuple[str, ...]]:
    """The batch's rows of the output, counted in the report."""
    keys = [key for _, key in batch if key is not None]
    answers: Iterator[Answer] = iter(())
    if keys:
        answered = client.lookup_batch(purpose, keys)
        answers, report.withheld = iter(answered.persons), answered.withheld
    for row_id, key in batch:
        columns = (INVALID,) if key is None else _columns(next(answers))
        columns += ("",) * (len(COLUMNS) - len(columns))
        report.rows += 1
        report.outcomes[columns[0]] += 1
        if reason := columns[COLUMNS.index("change_reason")]:
            report.changes[reason] += 1
        yield (row_id, *columns)


def _check_columns(columns: Sequence[str]) -> None:
    if NUMBER_COLUMN not in columns and not set(FOUR_ITEMS_COLUMNS[:-1]) <= set(columns):
        raise InvalidValue(
            f"the file needs a column {NUMBER_COLUMN}, or {', '.join(FOUR_ITEMS_COLUMNS)}"
        )


def _batches(reader: csv.DictReader[str]) -> Iterator[list[tuple[str, Key | None]]]:
    batch: list[tuple[str, Key | None]] = []
    for line, row in enumerate(reader, 1):
        key: Key | None
        try:
            key = key_of_row(row)
        except InvalidValue:
            key = None
        batch.append((row.get(ID_COLUMN) or str(line), key))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _columns(answer: Answer) -> tuple[str, ...]:
    found = answer.information
    if found is None:
        return (answer.outcome.name.lower(),)
    birth, address, change = found.birth_date, found.address, found.change
    return (
        answer.outcome.name.lower(),
        found.name.written,
        found.name.reading,
        f"{birth.year:04d}-{birth.month:02d}-{birth.day:02d}" if birth.year else "",
        Sex(found.sex).name.lower() if found.sex else "",
        address.municipality,
        address.town,
        address.remainder,
        found.individual_number,
        _reason(change) if change.reason else "",
        _date(change.event_date) if change.HasField("event_date") else "",
    )


def _reason(change: identification_pb2.ChangeInformation) -> str:
    name = identification_pb2.ChangeReason.Name(change.reason)
    return name.removeprefix("CHANGE_REASON_").lower()


def _date(date: identification_pb2.CalendarDate) -> str:
    return f"{date.year:04d}-{date.month:02d}-{date.day:02d}"
