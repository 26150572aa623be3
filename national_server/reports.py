"""Sends dispute reports back through the governors (Act Art. 30-8)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from juki.register.returns import ReturnBox
from juki.v1 import intake_pb2, notification_pb2


class GovernorReports:
    """Queues each report once for each prefecture whose municipalities it names."""

    def __init__(self, returns: ReturnBox) -> None:
        self._returns = returns

    def deliver(
        self, connection: Connection, reports: Sequence[notification_pb2.DisputeReport]
    ) -> None:
        """Inside the transaction that found or resolved the disputes."""
        self._returns.put(
            connection,
            [
                (prefecture, intake_pb2.FollowReturnsResponse(dispute=report))
                for report in reports
                for prefecture in sorted({m[:2] for m in report.municipalities})
            ],
        )
