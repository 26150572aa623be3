"""What changes between two revisions of the law: provisions, table rows, number-use rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from juki.policy.revisions import Law


class ChangeOfRule(StrEnum):
    """What became of a rule."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class RuleChange:
    """One rule that differs."""

    kind: str
    """`provision`, `table row` or `number use`."""

    name: str
    change: ChangeOfRule
    before: str
    """What differs, as it was; empty for an added rule."""

    after: str


def difference(old: Law, new: Law) -> tuple[RuleChange, ...]:
    """Every rule that is not word for word the same, in the order of the law."""
    return (
        *_compare("provision", old.provisions.by_basis, new.provisions.by_basis),
        *_compare("table row", old.tables.affairs, new.tables.affairs),
        *_compare("number use", old.tables.number_use, new.tables.number_use),
    )


def _compare(kind: str, old: Mapping[Any, Any], new: Mapping[Any, Any]) -> Iterator[RuleChange]:
    for name in [*old, *(name for name in new if name not in old)]:
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if before is None:
            yield RuleChange(kind, str(name), ChangeOfRule.ADDED, "", _text(after))
        elif after is None:
            yield RuleChange(kind, str(name), ChangeOfRule.REMOVED, _text(before), "")
        else:
            yield RuleChange(kind, str(name), ChangeOfRule.CHANGED, *_differing(before, after))


def _differing(before: Any, after: Any) -> tuple[str, str]:
    """Of a rule that changed, only what did."""
    names = [
        field.name
        for field in dataclasses.fields(before)
        if getattr(before, field.name) != getattr(after, field.name)
    ]
    return (
        "; ".join(f"{name}: {_value(getattr(before, name))}" for name in names),
        "; ".join(f"{name}: {_value(getattr(after, name))}" for name in names),
    )


def _text(rule: Any) -> str:
    """A rule's own words: the last of its fields that says what it is for."""
    for name in ("affair", "japanese"):
        words = getattr(rule, name, None)
        if isinstance(words, str) and not isinstance(words, StrEnum):
            return words
    return str(rule)


def _value(value: Any) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(getattr(one, "name", str(one)) for one in value)) or "none"
    return str(value)
