"""Disputes (Act Art. 30-8): opened and ended as persons' residencies come and go, and reported."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select, update

from juki.domain.residency import DisputeReason, ResidencyStatus
from juki.register import tables as t
from juki.register.held import Person
from juki.register.persons import Outcome
from juki.register.values import RecordChange
from juki.store.root import RowChanges, row_bytes
from juki.store.upsert import upsert
from juki.v1 import notification_pb2


class DisputeBook:
    """Keeps disputes in step with residencies; every change of one is a report."""

    def record(
        self,
        connection: Connection,
        run: Sequence[RecordChange | None],
        outcome: Outcome,
        now: int,
        changes: RowChanges,
    ) -> list[notification_pb2.DisputeReport]:
        """Stores residencies and disputes after a run; returns the reports of those found or ended.

        `now` is in microseconds since 1970-01-01 UTC.
        """
        reports = [
            self._impossible(connection, change, reason, now)
            for position, reason in outcome.disputed.items()
            if (change := run[position]) is not None
        ]
        reports += self._close_merged(connection, outcome.merged, now)
        rows = []
        for person in outcome.persons:
            reports += self._person(connection, person, now)
            residency = person.residency
            if residency is None:
                continue
            stored = person.stored_residency
            stands = (int(residency.status), residency.municipality, person.dispute_id)
            if stands == stored:
                continue
            if stored is not None:
                changes.remove("residency", row_bytes(person.ordinal, *stored))
            changes.add("residency", row_bytes(person.ordinal, *stands))
            names = ("ordinal", "status", "municipality", "dispute_id")
            rows.append(dict(zip(names, (person.ordinal, *stands), strict=True)))
        upsert(connection, t.residency, rows)
        return reports

    def _impossible(
        self, connection: Connection, change: RecordChange, reason: DisputeReason, now: int
    ) -> notification_pb2.DisputeReport:
        report = notification_pb2.DisputeReport(
            dispute_id=f"n-{change.municipality}-{change.epoch}-{change.sequence}",
            reason=_wire(reason),
            municipalities=[change.municipality],
            notifications=[_reference(change.municipality, change.epoch, change.sequence)],
        )
        report.found_at.FromMicroseconds(now)
        _insert(connection, report, None)
        return report

    def _close_merged(
        self, connection: Connection, merged: Sequence[int], now: int
    ) -> list[notification_pb2.DisputeReport]:
        if not merged:
            return []
        statement = select(t.dispute.c.report).where(
            t.dispute.c.ordinal.in_(merged), t.dispute.c.is_open
        )
        held = [bytes(payload) for payload in connection.scalars(statement)]
        reports = [notification_pb2.DisputeReport.FromString(payload) for payload in held]
        for report in reports:
            _close(connection, report, now)
        return reports

    def _person(
        self, connection: Connection, person: Person, now: int
    ) -> list[notification_pb2.DisputeReport]:
        residency = person.residency
        if residency is None:
            return []
        stands = residency.status is ResidencyStatus.DISPUTED
        current = _open_report(connection, person.dispute_id) if person.dispute_id else None
        reports = []
        if current is not None:
            unchanged = (
                stands
                and residency.dispute is not None
                and current.reason == int(residency.dispute)
                and tuple(current.municipalities) == residency.disputing
            )
            if unchanged:
                return []
            _close(connection, current, now)
            reports.append(current)
            person.dispute_id = None
        if stands and residency.dispute is not None:
            report = notification_pb2.DisputeReport(
                reason=_wire(residency.dispute),
                municipalities=residency.disputing,
                notifications=[
                    _reference(m, person.claims[m].epoch, person.claims[m].sequence)
                    for m in residency.disputing
                ],
            )
            report.dispute_id = _id_of(report)
            report.found_at.FromMicroseconds(now)
            _insert(connection, report, person.ordinal)
            reports.append(report)
            person.dispute_id = report.dispute_id
        return reports


def open_disputes(connection: Connection) -> int:
    """How many disputes stand."""
    statement = select(func.count()).select_from(t.dispute).where(t.dispute.c.is_open)
    return connection.scalar(statement) or 0


def _open_report(connection: Connection, dispute_id: str) -> notification_pb2.DisputeReport | None:
    payload = connection.scalar(select(t.dispute.c.report).where(t.dispute.c.id == dispute_id))
    return notification_pb2.DisputeReport.FromString(bytes(payload)) if payload else None


def _close(connection: Connection, report: notification_pb2.DisputeReport, now: int) -> None:
    report.resolved_at.FromMicroseconds(now)
    connection.execute(
        update(t.dispute)
        .where(t.dispute.c.id == report.dispute_id)
        .values(report=report.SerializeToString(), is_open=False)
    )


def _insert(
    connection: Connection, report: notification_pb2.DisputeReport, ordinal: int | None
) -> None:
    values: dict[str, Any] = {
        "id": report.dispute_id,
        "ordinal": ordinal,
        "reason": int(report.reason),
        "report": report.SerializeToString(),
        "is_open": True,
    }
    # One that ended may stand again, word for word: then it is the same dispute.
    upsert(connection, t.dispute, [values])


def _id_of(report: notification_pb2.DisputeReport) -> str:
    """The same for the same claims against each other, in a register restored from a backup too."""
    said = "|".join(
        f"{one.municipality}-{one.epoch}-{one.sequence}" for one in report.notifications
    )
    return f"p-{hashlib.sha256(f'{int(report.reason)}|{said}'.encode()).hexdigest()[:32]}"


def _wire(reason: DisputeReason) -> notification_pb2.DisputeReason.ValueType:
    return notification_pb2.DisputeReason.ValueType(int(reason))


def _reference(
    municipality: str, epoch: int, sequence: int
) -> notification_pb2.NotificationReference:
    return notification_pb2.NotificationReference(
        municipality=municipality, epoch=epoch, sequence=sequence
    )
