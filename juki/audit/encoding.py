"""An audit record as bytes: the protobuf message `juki.v1.AuditRecord`."""

from __future__ import annotations

from collections.abc import Set
from typing import cast

from juki.audit.port import AuditRecord
from juki.domain.errors import Reason
from juki.domain.legal_basis import AffairReference, Field, SearchKey
from juki.v1 import audit_pb2, lookup_pb2


def encode(record: AuditRecord) -> bytes:
    """The record's bytes, as hashed and written."""
    affair = record.affair
    return audit_pb2.AuditRecord(
        time_unix_nanos=record.time_unix_nanos,
        body_identity=record.body_identity,
        office=record.office,
        operator=record.operator,
        affair_table=0 if affair is None else affair.table,
        affair_item="" if affair is None else affair.item,
        article=record.article,
        affair_id=record.affair_id,
        request_id=record.request_id,
        search_key=cast("audit_pb2.AuditSearchKey.ValueType", record.search_key or 0),
        requested_fields=_numbers(record.requested_fields),
        granted_fields=_numbers(record.granted_fields),
        refusal_reason=record.refusal or "",
        pseudonyms=record.pseudonyms,
        pseudonym_key=record.pseudonym_key,
        outcomes=record.outcomes,
        act_digest=record.act_digest,
    ).SerializeToString()


def decode(data: bytes) -> AuditRecord:
    """The record of `encode`; raises ValueError (or DecodeError) for anything else."""
    message = audit_pb2.AuditRecord.FromString(data)
    affair = None
    if message.affair_table:
        affair = AffairReference(message.affair_table, message.affair_item)
    return AuditRecord(
        time_unix_nanos=message.time_unix_nanos,
        body_identity=message.body_identity,
        request_id=message.request_id,
        affair=affair,
        search_key=SearchKey(message.search_key) if message.search_key else None,
        office=message.office,
        operator=message.operator,
        article=message.article,
        affair_id=message.affair_id,
        requested_fields=frozenset(map(Field, message.requested_fields)),
        granted_fields=frozenset(map(Field, message.granted_fields)),
        refusal=Reason(message.refusal_reason) if message.refusal_reason else None,
        pseudonyms=message.pseudonyms,
        pseudonym_key=message.pseudonym_key,
        outcomes=message.outcomes,
        act_digest=message.act_digest,
    )


def _numbers(fields: Set[Field]) -> list[lookup_pb2.Field.ValueType]:
    return cast("list[lookup_pb2.Field.ValueType]", sorted(fields))
