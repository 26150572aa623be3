"""Keeps how far each drop file was taken in, and its refused lines, sealed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import delete, insert, select, update

from cs_gateway import places
from cs_gateway.store import GatewayStore
from cs_gateway.tables import DROP_FILE, QUARANTINED_LINE
from juki.domain.errors import Reason

_IN_ONE_TRANSACTION = 1000


@dataclass(frozen=True, slots=True)
class DropProgress:
    """How far one file was taken in."""

    file_id: int
    byte_offset: int = 0
    lines: int = 0
    accepted: int = 0
    quarantined: int = 0
    first: tuple[int, int] | None = None
    """Epoch and sequence of the first notification made from it."""

    last: tuple[int, int] | None = None
    finished: bool = False
    refusal: str = ""
    """Why the file was refused as a whole; empty when it was not."""

    def with_notification(self, epoch: int, sequence: int) -> DropProgress:
        """One accepted line more."""
        position = (epoch, sequence)
        return replace(
            self,
            accepted=self.accepted + 1,
            first=min(self.first or position, position),
            last=max(self.last or position, position),
        )


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line that was not taken in."""

    line_number: int
    """From 1."""

    reason: Reason
    line: bytes

    def __repr__(self) -> str:
        return f"RefusedLine({self.line_number}, {self.reason})"


class DropStore:
    """The tables of the drop folder."""

    def __init__(self, store: GatewayStore) -> None:
        self._store = store

    def open_file(self, name: str, identity: str) -> DropProgress:
        """The progress of this very file, a new one if it was never seen."""
        with self._store.write() as connection:
            row = connection.execute(
                select(DROP_FILE)
                .where(DROP_FILE.c.name == name, DROP_FILE.c.file_identity == identity)
                .order_by(DROP_FILE.c.id.desc())
                .limit(1)
            ).one_or_none()
            if row is None:
                inserted = connection.execute(
                    insert(DROP_FILE)
                    .values(
                        name=name,
                        file_identity=identity,
                        byte_offset=0,
                        lines=0,
                        accepted=0,
                        quarantined=0,
                    )
                    .returning(DROP_FILE.c.id)
                )
                return DropProgress(inserted.scalar_one())
        return DropProgress(
            file_id=row.id,
            byte_offset=row.byte_offset,
            lines=row.lines,
            accepted=row.accepted,
            quarantined=row.quarantined,
            first=_position(row.first_epoch, row.first_sequence),
            last=_position(row.last_epoch, row.last_sequence),
            finished=row.finished_at is not None,
            refusal=row.refusal,
        )

    def save(
        self, progress: DropProgress, refused: Sequence[RefusedLine], finished_at: int | None
    ) -> None:
        """Stores progress together with the lines refused since the last time."""
        seal = self._store.sealer.seal
        rows = [
            {
                "file_id": progress.file_id,
                "line_number": line.line_number,
                "reason": line.reason.value,
                "line": seal(
                    line.line, places.quarantined_line(progress.file_id, line.line_number)
                ),
            }
            for line in refused
        ]
        first, last = progress.first or (None, None), progress.last or (None, None)
        with self._store.write() as connection:
            if rows:
                connection.execute(insert(QUARANTINED_LINE), rows)
            connection.execute(
                update(DROP_FILE)
                .where(DROP_FILE.c.id == progress.file_id)
                .values(
                    byte_offset=progress.byte_offset,
                    lines=progress.lines,
                    accepted=progress.accepted,
                    quarantined=progress.quarantined,
                    first_epoch=first[0],
                    first_sequence=first[1],
                    last_epoch=last[0],
                    last_sequence=last[1],
                    refusal=progress.refusal,
                    finished_at=finished_at,
                )
            )

    def reasons(self, file_id: int) -> list[tuple[int, str]]:
        """Line number and reason of each refused line of a file."""
        statement = (
            select(QUARANTINED_LINE.c.line_number, QUARANTINED_LINE.c.reason)
            .where(QUARANTINED_LINE.c.file_id == file_id)
            .order_by(QUARANTINED_LINE.c.line_number)
        )
        with self._store.read() as connection:
            return [(row.line_number, row.reason) for row in connection.execute(statement)]

    def refused_files(self) -> list[tuple[int, str, int]]:
        """Id, name and number of refused lines of the files that still have some."""
        statement = (
            select(DROP_FILE.c.id, DROP_FILE.c.name, DROP_FILE.c.quarantined)
            .where(DROP_FILE.c.quarantined > 0, DROP_FILE.c.finished_at.is_not(None))
            .order_by(DROP_FILE.c.id)
        )
        with self._store.read() as connection:
            return [(row.id, row.name, row.quarantined) for row in connection.execute(statement)]

    def export(self, file_id: int) -> Iterator[RefusedLine]:
        """The refused lines of a file, opened; what is exported is the operator's to guard."""
        after = 0
        while True:
            statement = (
                select(QUARANTINED_LINE)
                .where(
                    QUARANTINED_LINE.c.file_id == file_id, QUARANTINED_LINE.c.line_number > after
                )
                .order_by(QUARANTINED_LINE.c.line_number)
                .limit(_IN_ONE_TRANSACTION)
            )
            with self._store.read() as connection:
                rows = connection.execute(statement).all()
            for row in rows:
                place = places.quarantined_line(file_id, row.line_number)
                line = self._store.sealer.open(bytes(row.line), place)
                yield RefusedLine(row.line_number, Reason(row.reason), line)
            if not rows:
                return
            after = rows[-1].line_number

    def forget(self, file_id: int) -> None:
        """Deletes the refused lines of a file, once exported."""
        with self._store.write() as connection:
            connection.execute(
                delete(QUARANTINED_LINE).where(QUARANTINED_LINE.c.file_id == file_id)
            )
            connection.execute(
                update(DROP_FILE).where(DROP_FILE.c.id == file_id).values(quarantined=0)
            )


def _position(epoch: int | None, sequence: int | None) -> tuple[int, int] | None:
    return None if epoch is None or sequence is None else (epoch, sequence)
