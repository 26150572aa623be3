"""Intake of a run of one municipality's stream: verified, applied, receipted, in one commit.

The same at the prefecture and at the nation. A run is all of one municipality and epoch. What is
held already is answered with its first receipt; the first refusal ends the run and leaves what
stands before it accepted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, insert

from juki.custody.port import SIGNING, Custody
from juki.custody.verify import fingerprint
from juki.domain.envelope import StreamPosition, follow, receipt_digest
from juki.domain.errors import JukiError, Reason
from juki.domain.residency import DisputeReason
from juki.evidence.chains import append_envelopes
from juki.evidence.hashing import HashAlgorithm
from juki.register import tables as t
from juki.register.covered import REGISTER_SECTION
from juki.register.disputes import DisputeBook
from juki.register.persons import Outcome, PersonRegister
from juki.register.signers import SignerDirectory
from juki.register.streams import (
    envelope_place,
    held_of,
    read_position,
    read_receipts,
    write_position,
)
from juki.register.verification import RunVerifier, VerifiedNotification, VerifiedRun
from juki.rpc.reasons import reason_number
from juki.store.engine import now_microseconds
from juki.store.root import RegisterRoot, RowChanges, row_bytes
from juki.store.sealing import Sealer, seal_id
from juki.v1 import intake_pb2, notification_pb2


@dataclass(slots=True)
class Committed:
    """What one run changed, told to listeners after the commit."""

    municipality: str
    outcome: Outcome
    reports: list[notification_pb2.DisputeReport] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Submission:
    """The answer to one run, with its counts."""

    response: intake_pb2.SubmitNotificationsResponse
    accepted: int
    """Notifications that are new here; those disputed among them included."""

    duplicates: int
    disputed: int
    refused: JukiError | None
    """Why the run ended early, if it did."""


@dataclass(frozen=True, slots=True)
class _SortedRun:
    receipts: list[notification_pb2.SignedReceipt]
    """First receipts of what was held already."""

    fresh: list[VerifiedNotification]
    position: StreamPosition
    """Of the stream's head after `fresh`."""

    taken: int
    """How many of the run are accepted: held or fresh."""

    refusal: JukiError | None


class NotificationIntake:
    """Takes runs in, one at a time; safe to call from many threads."""

    def __init__(
        self,
        *,
        engine: Engine,
        sealer: Sealer,
        custody: Custody,
        signers: SignerDirectory,
        register: PersonRegister,
        disputes: DisputeBook,
        issuer: str,
        identity_of: Callable[[str], str],
        receipted_by: Callable[[str], str] | None = None,
        deliver: Callable[[Connection, Sequence[notification_pb2.DisputeReport]], None],
        evidence_algorithm: HashAlgorithm = HashAlgorithm.SHA_256,
    ) -> None:
        """`issuer` is this tier's URI identity, `identity_of` gives a municipality's gateway's,
        `receipted_by` that of the tier below, if there is one between.

        `deliver` queues dispute reports for whoever must see them, inside the transaction.
        """
        self._engine = engine
        self._sealer = sealer
        self._custody = custody
        self._signers = signers
        self._register = register
        self._disputes = disputes
        self._issuer = issuer
        self._verifier = RunVerifier(signers, identity_of, receipted_by)
        self._deliver = deliver
        self._evidence_algorithm = evidence_algorithm
        self._root = RegisterRoot(sealer, t.register_root, REGISTER_SECTION)
        self._lock = threading.Lock()
        self._listeners: list[Callable[[Committed], None]] = []
        self._doubtful: tuple[Committed, StreamPosition] | None = None
        self.certificates = custody.certificate_chain(SIGNING)
        self._key_id = fingerprint(self.certificates[0])

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Takes nothing in while the context lasts."""
        with self._lock:
            yield

    def on_commit(self, listener: Callable[[Committed], None]) -> None:
        """Calls `listener` after each commit, in commit order; it must not raise."""
        self._listeners.append(listener)

    def submit(
        self, request: intake_pb2.SubmitNotificationsRequest, municipality: str
    ) -> Submission:
        """Takes in one run of `municipality`, whose right to be here the caller has checked.

        Raises:
            JukiError: When already the first notification is refused, with its reason.
        """
        run = self._verifier.verify(request, municipality)
        if not run.notifications and run.refusal is not None:
            raise run.refusal
        with self._lock:
            self._settle_doubt()
            submission, committed = self._store(municipality, run)
            if committed is not None:
                self._signers.stored(run.signers.values())
                self._tell(committed)
        return submission

    def _tell(self, committed: Committed) -> None:
        for listener in self._listeners:
            listener(committed)

    def _settle_doubt(self) -> None:
        """Finds out what became of a commit whose answer was lost, before anything follows it.

        The database may have made it durable although the connection died: whoever repeats the run
        is then told that it is held, and the listeners would never hear of it.
        """
        if self._doubtful is None:
            return
        committed, position = self._doubtful
        with self._engine.connect().execution_options(read_only=True) as connection:
            held = read_position(connection, committed.municipality)
        self._doubtful = None
        if held == position:
            self._tell(committed)

    def _store(
        self,
        municipality: str,
        run: VerifiedRun,
    ) -> tuple[Submission, Committed | None]:
        refused = run.refusal
        response = intake_pb2.SubmitNotificationsResponse(certificates=self.certificates)
        committed: Committed | None = None
        try:
            with self._engine.begin() as connection:
                changes = self._root.begin(connection)
                position = read_position(connection, municipality)
                sorted_run = self._sort(connection, municipality, position, run.notifications)
                if sorted_run.refusal is not None:
                    refused = sorted_run.refusal
                    if sorted_run.taken == 0:
                        raise refused
                response.receipts.extend(sorted_run.receipts)
                if sorted_run.fresh:
                    committed, receipt = self._append(
                        connection, municipality, position, sorted_run, changes
                    )
                    self._signers.store(connection, run.signers.values())
                    changes.write(connection)
                    response.receipts.append(receipt)
        except BaseException:
            self._register.forget_ordinals()
            if committed is not None:
                self._doubtful = (committed, sorted_run.position)
            raise
        if refused is not None:
            response.refusal.CopyFrom(_refusal(refused, sorted_run.taken))
        fresh = len(sorted_run.fresh)
        disputed = len(committed.outcome.disputed) if committed else 0
        submission = Submission(response, fresh, sorted_run.taken - fresh, disputed, refused)
        return submission, committed

    def _sort(
        self,
        connection: Connection,
        municipality: str,
        position: StreamPosition,
        verified: list[VerifiedNotification],
    ) -> _SortedRun:
        """Parts what is held already from what is new, up to the first refusal."""
        links = [one.link for one in verified]
        held = held_of(connection, municipality, position, links)
        receipt_ids: dict[int, None] = {}
        fresh: list[VerifiedNotification] = []
        refusal: JukiError | None = None
        taken = 0
        try:
            for one in verified:
                found = held.get((one.link.epoch, one.link.sequence))
                if found is None:
                    position = follow(position, one.link)
                    fresh.append(one)
                elif found[0] == one.link.digest:
                    receipt_ids[found[1]] = None
                else:
                    raise JukiError(
                        Reason.SEQUENCE_CONFLICT,
                        "this sequence is held with another digest",
                        {"sequence": str(one.link.sequence)},
                    )
                taken += 1
        except JukiError as error:
            refusal = error
        receipts = read_receipts(connection, receipt_ids)
        return _SortedRun(receipts, fresh, position, taken, refusal)

    def _append(
        self,
        connection: Connection,
        municipality: str,
        before: StreamPosition,
        sorted_run: _SortedRun,
        changes: RowChanges,
    ) -> tuple[Committed, notification_pb2.SignedReceipt]:
        fresh = sorted_run.fresh
        now = now_microseconds()
        run = [one.change for one in fresh]
        outcome = self._register.apply(connection, run, now, changes)
        reports = self._disputes.record(connection, run, outcome, now, changes)
        if reports:
            self._deliver(connection, reports)
        receipt = self._make_receipt(municipality, fresh, outcome.disputed, now)
        signed = receipt.SerializeToString()
        receipt_id = connection.execute(
            insert(t.receipt)
            .values(municipality=municipality, signed=signed)
            .returning(t.receipt.c.id)
        ).scalar_one()
        changes.add("receipt", row_bytes(receipt_id, municipality, signed))
        rows = []
        for index, one in enumerate(fresh):
            link, reason = one.link, outcome.disputed.get(index)
            place = envelope_place(
                municipality,
                link.epoch,
                link.sequence,
                digest=link.digest,
                receipt_id=receipt_id,
                received_at=now,
                dispute_reason=reason,
            )
            sealed = self._sealer.seal(one.envelope, place)
            changes.add("notification", seal_id(sealed))
            rows.append(
                {
                    "municipality": municipality,
                    "epoch": link.epoch,
                    "sequence": link.sequence,
                    "digest": link.digest,
                    "envelope_sealed": sealed,
                    "receipt_id": receipt_id,
                    "received_at": now,
                    "dispute_reason": reason,
                }
            )
        connection.execute(insert(t.notification), rows)
        write_position(connection, municipality, before, sorted_run.position, changes)
        append_envelopes(
            connection,
            municipality,
            self._evidence_algorithm,
            [(one.link.epoch, one.link.sequence, one.envelope) for one in fresh],
            begins_stream=(fresh[0].link.epoch, fresh[0].link.sequence) == (1, 1),
        )
        return Committed(municipality, outcome, reports), receipt

    def _make_receipt(
        self,
        municipality: str,
        fresh: list[VerifiedNotification],
        disputed: dict[int, DisputeReason],
        now: int,
    ) -> notification_pb2.SignedReceipt:
        first, last = fresh[0].link, fresh[-1].link
        receipt = notification_pb2.Receipt(
            issuer=self._issuer,
            municipality=municipality,
            epoch=last.epoch,
            first_sequence=first.sequence,
            last_sequence=last.sequence,
            last_digest=last.digest,
            disputed=[
                notification_pb2.DisputedNotification(
                    sequence=fresh[index].link.sequence,
                    reason=notification_pb2.DisputeReason.ValueType(int(reason)),
                )
                for index, reason in sorted(disputed.items())
            ],
        )
        receipt.received_at.FromMicroseconds(now)
        return self.sign_receipt(receipt.SerializeToString())

    def sign_receipt(self, receipt: bytes) -> notification_pb2.SignedReceipt:
        """`receipt` under this tier's signing key."""
        (signature,) = self._custody.sign(SIGNING, [receipt_digest(receipt)])
        return notification_pb2.SignedReceipt(
            receipt=receipt, key_id=self._key_id, signature=signature
        )


def _refusal(error: JukiError, index: int) -> intake_pb2.Refusal:
    return intake_pb2.Refusal(
        index=index,
        reason=reason_number(error.reason),
        expected_epoch=int(error.metadata.get("expected_epoch", "0")),
        expected_sequence=int(error.metadata.get("expected_sequence", "0")),
    )
