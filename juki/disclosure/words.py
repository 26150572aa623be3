"""The words of the law in Japanese, for what a person reads."""

from __future__ import annotations

import re
from functools import cache
from types import MappingProxyType
from typing import Final

from juki.domain.change import ChangeReason, RecordState
from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import InvalidValue
from juki.domain.legal_basis import Affair, AffairReference, Field, LegalBasis
from juki.domain.municipalities import municipality_directory
from juki.domain.residency import ResidencyStatus
from juki.policy.registry import Registry
from juki.policy.tables import load_tables
from juki.rpc.identity import Identity, IdentityKind

J_LIS: Final = "地方公共団体情報システム機構"

FIELDS: Final = MappingProxyType(
    {
        Field.NAME: "氏名",
        Field.BIRTH_DATE: "生年月日",
        Field.SEX: "性別",
        Field.ADDRESS: "住所",
        Field.RESIDENT_RECORD_CODE: "住民票コード",
        Field.INDIVIDUAL_NUMBER: "個人番号",
        Field.CHANGE: "変更情報",
    }
)

REASONS: Final = MappingProxyType(
    {
        ChangeReason.MOVING_IN: "転入等",
        ChangeReason.BIRTH: "出生",
        ChangeReason.EX_OFFICIO_ENTRY: "職権記載等",
        ChangeReason.MOVING_OUT: "転出",
        ChangeReason.DEATH: "死亡",
        ChangeReason.EX_OFFICIO_DELETION: "職権消除等",
        ChangeReason.ADDRESS_CHANGE: "転居",
        ChangeReason.MINOR_CORRECTION: "軽微な修正",
        ChangeReason.EX_OFFICIO_CORRECTION: "職権修正等",
        ChangeReason.CODE_CHANGE_REQUEST: "住民票コードの記載の変更請求",
        ChangeReason.EX_OFFICIO_CODE_ENTRY: "住民票コードの職権記載等",
        ChangeReason.NUMBER_DESIGNATION: "個人番号の指定",
        ChangeReason.NUMBER_CHANGE_REQUEST: "個人番号の変更請求",
        ChangeReason.EX_OFFICIO_NUMBER_CHANGE: "個人番号の職権修正",
    }
)

STATES: Final = MappingProxyType(
    {
        RecordState.ABSENT: "記載なし",
        RecordState.CURRENT: "現存",
        RecordState.MOVED_OUT: "転出により消除",
        RecordState.DIED: "死亡により消除",
        RecordState.DELETED: "職権により消除",
    }
)

RESIDENCIES: Final = MappingProxyType(
    {
        ResidencyStatus.RESIDENT: "居住",
        ResidencyStatus.PENDING_TRANSFER: "転出入の手続中",
        ResidencyStatus.MOVED_ABROAD: "国外へ転出",
        ResidencyStatus.DECEASED: "死亡",
        ResidencyStatus.DELETED: "職権により消除",
        ResidencyStatus.DISPUTED: "市町村間で確認中",
    }
)

_ARTICLE: Final = re.compile(r"(\d+)((?:-\d+)*)(?:\((\d+)\))?(?:\(([ivx]+)\))?\Z")
_ITEMS: Final = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
_KANJI: Final = "〇一二三四五六七八九"


def article(provision: str) -> str:
    """For example 住民基本台帳法第30条の10第1項第1号 of "30-10(1)(i)"; else as given."""
    match = _ARTICLE.match(provision)
    if match is None:
        return provision
    number, branches, paragraph, item = match.groups()
    words = f"住民基本台帳法第{number}条" + "".join(
        f"の{one}" for one in branches.split("-") if one
    )
    if paragraph:
        words += f"第{paragraph}項"
    if item in _ITEMS:
        words += f"第{_ITEMS.index(item) + 1}号"
    return words


def affair(provision: str, reference: str, registry: Registry) -> tuple[str, str]:
    """Recipient and affair in the words of the Act's table, ordinance or order; else nothing."""
    try:
        row = _affairs().get(AffairReference.parse(reference))
        if row is not None:
            return row.recipient, row.affair
    except InvalidValue:
        pass
    try:
        registered = registry.affairs.get(LegalBasis(provision, reference))
    except InvalidValue:
        registered = None
    if registered is None:
        return "", ""
    return registered.recipient, f"{registered.instrument}　{registered.text}"


def row(reference: str) -> str:
    """For example 別表第一の77の項 of "1:77", 別表第二の5の30の項 of "2:5-30"; else as given."""
    try:
        parsed = AffairReference.parse(reference)
    except InvalidValue:
        return reference
    return f"別表第{_KANJI[parsed.table]}の{parsed.item.replace('-', 'の')}の項"


def municipality(digits: str) -> str:
    """Prefecture and name, for a ward with its city; the digits where there is none such."""
    try:
        directory = municipality_directory()
        entry = directory.get(LocalGovernmentCode(digits))
        if entry is None:
            return digits
        if entry.parent is None:
            return entry.full_name
        city = directory.get(entry.parent)
    except InvalidValue:
        return digits
    name = (
        entry.name if city is None or entry.name.startswith(city.name) else city.name + entry.name
    )
    return f"{entry.prefecture_name}{name}"


def body(uri: str, registry: Registry, trust_domain: str) -> str:
    """The name of a calling body: as registered, a municipality's or governor's; else the URI."""
    if uri in registry.agencies:
        return registry.agencies[uri].name
    try:
        identity = Identity.parse(uri, trust_domain)
    except InvalidValue:
        return uri
    if identity.municipality is not None:
        return municipality(identity.municipality.digits)
    if identity.prefecture is not None:
        return governor(identity.prefecture)
    return J_LIS if identity.kind is IdentityKind.NATIONAL_SERVER else uri


def governor(prefecture: str) -> str:
    """For example 静岡県知事 of "22"."""
    return f"{municipality_directory().municipalities_of(prefecture)[0].prefecture_name}知事"


@cache
def _affairs() -> dict[AffairReference, Affair]:
    return dict(load_tables().affairs)
