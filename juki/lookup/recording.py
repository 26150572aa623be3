"""What an audit record says of the question itself, whoever answers it or passes it on."""

from __future__ import annotations

from juki.audit.port import AuditRecord
from juki.lookup.questions import Question


def record_of(question: Question, body_identity: str, time_unix_nanos: int) -> AuditRecord:
    """The record of a call of this body that arrived at this instant, without its outcome."""
    basis = question.basis
    row = None if basis is None else basis.row
    return AuditRecord(
        time_unix_nanos=time_unix_nanos,
        body_identity=body_identity,
        request_id=question.request_id,
        affair=row,
        search_key=question.keys.kind,
        office=question.office,
        operator=question.operator,
        article="" if basis is None else basis.provision,
        affair_id="" if basis is None or row is not None else basis.affair,
        requested_fields=question.fields,
    )
