"""Which departments and operators may ask for a body, where any of its are registered."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from juki.domain.errors import JukiError, Reason
from juki.policy.acts.register import Entry, Register
from juki.v1 import acts_pb2 as pb


@dataclass(frozen=True, slots=True)
class Operators:
    """A body of which a department was ever registered asks for registered ones only; and one of
    which an operator was ever registered, through registered ones only."""

    offices: Mapping[str, Mapping[str, tuple[Entry, ...]]]
    operators: Mapping[str, Mapping[str, tuple[Entry, ...]]]

    @classmethod
    def of(cls, register: Register) -> Self:
        """Those of a register."""
        found: dict[str, dict[str, dict[str, tuple[Entry, ...]]]] = {"office": {}, "operator": {}}
        for key, entries in register.entries.items():
            if key[0] in found:
                found[key[0]].setdefault(key[1], {})[key[2]] = entries
        return cls(found["office"], found["operator"])

    def require(
        self, identity: str, office: str, operator: str, instant: datetime.datetime
    ) -> None:
        """Raises OPERATOR_NOT_REGISTERED."""
        offices = self.offices.get(identity, {})
        if _began(offices, instant) and not _standing(offices.get(office, ()), instant):
            _refuse("the department is not registered for the caller")
        operators = self.operators.get(identity, {})
        if not _began(operators, instant):
            return
        for entry in _standing(operators.get(operator, ()), instant):
            if isinstance(entry.what, pb.RegisterOperator) and entry.what.office in ("", office):
                return
        _refuse("the operator is not registered for the caller and its department")


def _began(registered: Mapping[str, tuple[Entry, ...]], instant: datetime.datetime) -> bool:
    return any(
        entry.period.begins <= instant for entries in registered.values() for entry in entries
    )


def _standing(entries: tuple[Entry, ...], instant: datetime.datetime) -> list[Entry]:
    return [entry for entry in entries if entry.period.covers(instant)]


def _refuse(what: str) -> None:
    raise JukiError(Reason.OPERATOR_NOT_REGISTERED, what)
