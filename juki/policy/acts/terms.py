"""Grants between the register's readable form (`[[agency.grant]]` in TOML) and acts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from juki.domain.errors import InvalidValue
from juki.domain.legal_basis import Field, SearchKey
from juki.v1 import acts_pb2 as pb
from juki.v1 import audit_pb2, lookup_pb2

_BASIS: Final = frozenset({"table", "item", "provision", "affair"})
_TERMS: Final = frozenset(
    {"fields", "search_keys", "individual_number", "resident_record_code_basis"}
)


def basis_of_entry(entry: Mapping[str, Any]) -> pb.GrantBasis:
    """What a grant of the readable form rests on; raises InvalidValue."""
    if "table" in entry or "item" in entry:
        return pb.GrantBasis(table_row=f"{entry.get('table')}:{entry.get('item')}")
    if not entry.get("provision"):
        raise InvalidValue("a grant names neither a row of the tables nor a provision")
    return pb.GrantBasis(provision=str(entry["provision"]), affair=str(entry.get("affair", "")))


def terms_of_entry(entry: Mapping[str, Any]) -> pb.GrantTerms:
    """What a grant of the readable form gives; raises InvalidValue."""
    if unknown := set(entry) - _BASIS - _TERMS:
        raise InvalidValue(f"an act's grants have no key {min(unknown)}")
    cited = entry.get("individual_number") or {}
    return pb.GrantTerms(
        fields=field_numbers(entry.get("fields") or ()),
        search_keys=_key_numbers(entry.get("search_keys") or ()),
        number_use_item=cited.get("item", ""),
        number_use_ordinance=cited.get("ordinance", ""),
        resident_record_code_basis=entry.get("resident_record_code_basis", ""),
    )


def entry_of(basis: pb.GrantBasis, terms: pb.GrantTerms) -> dict[str, Any]:
    """A grant in the readable form."""
    entry: dict[str, Any] = {}
    if basis.table_row:
        table, _, item = basis.table_row.partition(":")
        entry |= {"table": int(table), "item": item}
    else:
        entry["provision"] = basis.provision
        if basis.affair:
            entry["affair"] = basis.affair
    if terms.number_use_item:
        entry["individual_number"] = {"item": terms.number_use_item}
    elif terms.number_use_ordinance:
        entry["individual_number"] = {"ordinance": terms.number_use_ordinance}
    if terms.search_keys:
        entry["search_keys"] = [SearchKey(one).name for one in terms.search_keys]
    if terms.resident_record_code_basis:
        entry["resident_record_code_basis"] = terms.resident_record_code_basis
    if terms.fields:
        entry["fields"] = [Field(one).name for one in terms.fields]
    return entry


def lies_within(narrow: pb.GrantTerms, wide: pb.GrantTerms) -> bool:
    """Whether the one gives nothing that the other does not give."""
    return (
        set(narrow.search_keys) <= set(wide.search_keys)
        and (not wide.fields or (bool(narrow.fields) and set(narrow.fields) <= set(wide.fields)))
        and narrow.number_use_item in ("", wide.number_use_item)
        and narrow.resident_record_code_basis in ("", wide.resident_record_code_basis)
        and narrow.number_use_ordinance in ("", wide.number_use_ordinance)
    )


def basis_text(basis: pb.GrantBasis) -> str:
    """A basis in a word: "1:77", "30-13 shi-22-3"."""
    return basis.table_row or f"{basis.provision} {basis.affair}".rstrip()


def basis_of_text(text: str) -> pb.GrantBasis:
    """The basis that `basis_text` wrote."""
    if ":" in text:
        return pb.GrantBasis(table_row=text)
    provision, _, affair = text.partition(" ")
    return pb.GrantBasis(provision=provision, affair=affair)


def fields_text(terms: pb.GrantTerms) -> str:
    """Terms in a line."""
    fields = ", ".join(Field(one).name for one in terms.fields) or "all that the provision gives"
    keys = ", ".join(SearchKey(one).name for one in terms.search_keys)
    use = terms.number_use_item or terms.number_use_ordinance
    number = f"; Individual Number by {use}" if use else ""
    code = f"; code: {terms.resident_record_code_basis}" if terms.resident_record_code_basis else ""
    return f"{fields}; searched by {keys or 'nothing'}{number}{code}"


def field_numbers(names: Iterable[object]) -> list[lookup_pb2.Field.ValueType]:
    """Fields by their names, ascending; raises InvalidValue for a name that is none."""
    found = [_member(name, Field) for name in names]
    return cast("list[lookup_pb2.Field.ValueType]", sorted(set(found)))


def _key_numbers(names: Iterable[object]) -> list[audit_pb2.AuditSearchKey.ValueType]:
    found = [_member(name, SearchKey) for name in names]
    return cast("list[audit_pb2.AuditSearchKey.ValueType]", sorted(set(found)))


def _member(name: object, kind: type[Field] | type[SearchKey]) -> int:
    if not isinstance(name, str) or name not in kind.__members__:
        raise InvalidValue(f"an act names what is none of {', '.join(kind.__members__)}")
    return int(kind[name])
