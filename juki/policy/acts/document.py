"""The register in its readable form: what the law's policy is built from, and what is proposed.

The form is that of the registry's TOML file (`juki.policy.registry`).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from google.protobuf.message import Message

from juki.domain.errors import InvalidValue
from juki.domain.legal_basis import Field
from juki.policy.acts.dates import JST, Period
from juki.policy.acts.register import Register
from juki.policy.acts.terms import (
    basis_of_entry,
    basis_text,
    entry_of,
    field_numbers,
    lies_within,
    terms_of_entry,
)
from juki.v1 import acts_pb2 as pb

_BODY_KEYS: Final = {"name": "name", "kind": "recipient_kind", "place": "place"}
_WAY_KEYS: Final = {"route": "route", "governor": "governor"}
_TABLES: Final = frozenset({"agency", "affair", "department", "operator"})
_AFFAIR_KEYS: Final = (
    "provision",
    "text",
    "recipient",
    "number_use_item",
    "number_ordinance",
    "likened_to",
)


def document_from(register: Register, instant: datetime.datetime) -> dict[str, Any]:
    """What is in force at an instant or comes into force later, each with its days.

    Whatever is still to begin or to end does so at a midnight in Japan, which the policy decides by
    itself: this has to be read again only after a further act. Bodies without a grant are left out.
    """
    bodies: dict[str, list[tuple[pb.RegisterBody, Period]]] = {}
    affairs: list[dict[str, Any]] = []
    grants: list[tuple[pb.GrantAffair, Period]] = []
    for what, period in register.from_now_on(instant):
        if isinstance(what, pb.RegisterBody):
            bodies.setdefault(what.identity, []).append((what, period))
        elif isinstance(what, pb.RegisterOrdinance):
            days = _days(period, instant)
            affairs += [_affair_entry(what, affair) | days for affair in what.affairs]
        elif isinstance(what, pb.GrantAffair):
            grants.append((what, period))
    agencies = []
    for identity, registered in bodies.items():
        body, _ = registered[-1]
        entry = _body_entry(body)
        for grant, period in grants:
            if grant.body != identity:
                continue
            # A body's end ends its grants; one whose last day comes leaves them standing behind.
            for _, standing in registered:
                if (common := period.common(standing)) is not None:
                    days = _days(common, instant)
                    entry["grant"].append(entry_of(grant.basis, grant.terms) | days)
        if entry["grant"]:
            agencies.append(entry)
    return {"agency": agencies} | ({"affair": affairs} if affairs else {})


def _days(period: Period, instant: datetime.datetime) -> dict[str, Any]:
    days: dict[str, Any] = {}
    if period.begins > instant:
        days["from"] = period.begins.astimezone(JST).date()
    if period.ends is not None:
        days["until"] = (period.ends.astimezone(JST) - datetime.timedelta(days=1)).date()
    return days


def dispositions_for(
    document: Mapping[str, Any], register: Register, instant: datetime.datetime
) -> list[pb.ActDisposition]:
    """What has to be done so that everything in the document is in force.

    Only what is missing or differs; what the document does not mention stays as it is. Beside the
    registry's own tables it may have `[[department]]` (body, office) and `[[operator]]` (body,
    operator, and perhaps office). Raises InvalidValue for a table or a key that acts do not know,
    and for a body that would be registered otherwise than it is: it has to be withdrawn first.
    """
    if unknown := set(document) - _TABLES:
        raise InvalidValue(f"acts do not register what stands under {min(unknown)}")
    in_force = dict(register.in_force(instant))
    found = [
        pb.ActDisposition(register_ordinance=ordinance)
        for ordinance in _ordinances(document.get("affair") or ())
        if in_force.get(("ordinance", ordinance.ordinance)) != ordinance
    ]
    for entry in document.get("agency") or ():
        body = _body_of_entry(entry)
        registered = in_force.get(("body", body.identity))
        if registered is None:
            found.append(pb.ActDisposition(register_body=body))
        elif registered != body:
            raise InvalidValue(f"{body.identity} is registered otherwise: withdraw it first")
        for one in entry.get("grant") or ():
            grant = pb.GrantAffair(
                body=body.identity, basis=basis_of_entry(one), terms=terms_of_entry(one)
            )
            before = in_force.get(("grant", grant.body, basis_text(grant.basis)))
            if before != grant:
                found.append(_granted_anew(grant, before))
    for entry in document.get("department") or ():
        office = pb.RegisterDepartment(**_texts(entry, "body", "office"))
        if ("office", office.body, office.office) not in in_force:
            found.append(pb.ActDisposition(register_department=office))
    for entry in document.get("operator") or ():
        operator = pb.RegisterOperator(**_texts(entry, "body", "operator", "office"))
        if in_force.get(("operator", operator.body, operator.operator)) != operator:
            found.append(pb.ActDisposition(register_operator=operator))
    return found


def _granted_anew(grant: pb.GrantAffair, before: Message | None) -> pb.ActDisposition:
    if isinstance(before, pb.GrantAffair) and lies_within(grant.terms, before.terms):
        narrowed = pb.NarrowGrant(body=grant.body, basis=grant.basis, terms=grant.terms)
        return pb.ActDisposition(narrow_grant=narrowed)
    return pb.ActDisposition(grant_affair=grant)


def _texts(entry: Mapping[str, Any], *keys: str) -> dict[str, str]:
    if unknown := set(entry) - set(keys):
        raise InvalidValue(f"{keys[-1]} has no key {min(unknown)}")
    return {key: str(entry[key]) for key in keys if key in entry}


def _body_entry(body: pb.RegisterBody) -> dict[str, Any]:
    keys = {**_BODY_KEYS, **_WAY_KEYS}
    said = {key: getattr(body, name) for key, name in keys.items() if getattr(body, name)}
    return {"identity": body.identity, **said, "grant": []}


def _body_of_entry(entry: Mapping[str, Any]) -> pb.RegisterBody:
    keys = {**_BODY_KEYS, **_WAY_KEYS}
    if unknown := set(entry) - {"identity", "grant", *keys}:
        raise InvalidValue(f"an act's bodies have no key {min(unknown)}")
    said = {name: str(entry[key]) for key, name in keys.items() if entry.get(key)}
    return pb.RegisterBody(identity=str(entry.get("identity", "")), **said)


def _affair_entry(
    ordinance: pb.RegisterOrdinance, affair: pb.RegisteredOrdinanceAffair
) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": affair.affair, "instrument": ordinance.instrument}
    if ordinance.of:
        entry["of"] = ordinance.of
    if ordinance.promulgated_on:
        entry["promulgated"] = datetime.date.fromisoformat(ordinance.promulgated_on)
    if affair.fields:
        entry["fields"] = [Field(one).name for one in affair.fields]
    return entry | {key: getattr(affair, key) for key in _AFFAIR_KEYS if getattr(affair, key)}


def _ordinances(entries: Iterable[Mapping[str, Any]]) -> Iterator[pb.RegisterOrdinance]:
    """One for each affair: the readable form repeats an instrument at each of its affairs."""
    known = {"id", "instrument", "of", "promulgated", "fields", *_AFFAIR_KEYS}
    for entry in entries:
        if unknown := set(entry) - known:
            raise InvalidValue(f"an act's affairs have no key {min(unknown)}")
        said = {key: entry[key] for key in _AFFAIR_KEYS if entry.get(key)}
        promulgated = entry.get("promulgated")
        yield pb.RegisterOrdinance(
            ordinance=str(entry.get("id", "")),
            of=entry.get("of", ""),
            instrument=entry.get("instrument", ""),
            promulgated_on="" if promulgated is None else promulgated.isoformat(),
            affairs=[
                pb.RegisteredOrdinanceAffair(
                    affair=str(entry.get("id", "")),
                    fields=field_numbers(entry.get("fields") or ()),
                    **said,
                )
            ],
        )
