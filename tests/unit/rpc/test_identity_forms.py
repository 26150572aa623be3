"""Identities: one spelling each, everything else refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import InvalidValue, JukiError, Reason
from juki.rpc.identity import Identity, IdentityKind, identity_of_call, identity_of_uris

HAMAMATSU = LocalGovernmentCode("221309")


def _code(prefecture: int, body: int) -> LocalGovernmentCode:
    digits = f"{prefecture:02}{body:03}"
    weighted = sum(int(d) * w for d, w in zip(digits, (6, 5, 4, 3, 2), strict=True))
    return LocalGovernmentCode(f"{digits}{(11 - weighted % 11) % 10}")


_prefectures = st.integers(1, 47)
_municipalities = st.builds(_code, _prefectures, st.integers(1, 999))
_kinds = st.sampled_from([IdentityKind.CS_GATEWAY, IdentityKind.RESIDENT_REGISTER])
_identities = st.one_of(
    st.just(Identity(IdentityKind.NATIONAL_SERVER)),
    st.builds(
        lambda p: Identity(IdentityKind.PREFECTURE_SERVER, prefecture=f"{p:02}"), _prefectures
    ),
    st.builds(
        lambda kind, code: Identity(kind, prefecture=code.prefecture, municipality=code),
        _kinds,
        _municipalities,
    ),
    st.builds(
        lambda name: Identity(IdentityKind.AGENCY, agency=name),
        st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True),
    ),
)


@given(_identities)
def test_every_identity_reads_back_from_its_uri(identity: Identity) -> None:
    assert Identity.parse(identity.uri) == identity


@given(_identities, st.data())
def test_an_identity_with_one_character_changed_is_another_identity_or_none(
    identity: Identity, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(identity.uri) - 1))
    character = data.draw(st.characters(codec="utf-8"))
    changed = identity.uri[:at] + character + identity.uri[at + 1 :]
    try:
        parsed = Identity.parse(changed)
    except InvalidValue:
        return
    assert parsed.uri == changed


@given(st.text())
def test_no_text_is_read_as_an_identity_unless_it_is_spelled_like_one(text: str) -> None:
    with pytest.raises(InvalidValue):
        Identity.parse(text)
    with pytest.raises(InvalidValue):
        Identity.parse(f"spiffe://pref22.juki.example/{text}/x")


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("spiffe://national.juki.example/server", IdentityKind.NATIONAL_SERVER),
        ("spiffe://pref22.juki.example/server", IdentityKind.PREFECTURE_SERVER),
        ("spiffe://pref22.juki.example/cs/221309", IdentityKind.CS_GATEWAY),
        ("spiffe://pref22.juki.example/cs/221309/register", IdentityKind.RESIDENT_REGISTER),
        ("spiffe://agency.juki.example/pension-service", IdentityKind.AGENCY),
    ],
)
def test_each_kind_of_caller_has_its_form(uri: str, kind: IdentityKind) -> None:
    assert Identity.parse(uri).kind is kind
    assert str(Identity.parse(uri)) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "spiffe://national.other.example/server",
        "spiffe://national.juki.example.evil/server",
        "spiffe://national.juki.example/server/",
        "spiffe://national.juki.example/server\n",
        "spiffe://national.juki.example/server?x=1",
        "spiffe://national.juki.example/server#x",
        "spiffe://national.juki.example:443/server",
        "spiffe://user@national.juki.example/server",
        "spiffe://National.juki.example/server",
        "SPIFFE://national.juki.example/server",
        "https://national.juki.example/server",
        "spiffe://evil.national.juki.example/server",
        "spiffe://pref00.juki.example/server",
        "spiffe://pref48.juki.example/server",
        "spiffe://pref2.juki.example/server",
        "spiffe://pref22.juki.example/cs/221300",
        "spiffe://pref22.juki.example/cs/131016",
        "spiffe://pref22.juki.example/cs/220001",
        "spiffe://pref22.juki.example/cs/221309/register/x",
        "spiffe://pref22.juki.example/cs/221309/other",
        "spiffe://pref22.juki.example/cs",
        "spiffe://agency.juki.example/-pension",
        "spiffe://agency.juki.example/pension/x",
        "spiffe://agency.juki.example/%70ension",
        "spiffe://agency.juki.example/" + "a" * 64,
        "spiffe://agency.juki.example/",
        "",
    ],
)
def test_anything_else_is_refused(uri: str) -> None:
    with pytest.raises(InvalidValue):
        Identity.parse(uri)


def test_a_gateway_of_one_prefecture_cannot_be_named_by_another() -> None:
    with pytest.raises(InvalidValue):
        Identity(IdentityKind.CS_GATEWAY, prefecture="23", municipality=HAMAMATSU)


def test_parts_that_do_not_fit_the_kind_are_refused() -> None:
    with pytest.raises(InvalidValue):
        Identity(IdentityKind.NATIONAL_SERVER, prefecture="22")
    with pytest.raises(InvalidValue):
        Identity(IdentityKind.AGENCY)


def test_another_trust_domain_can_be_configured() -> None:
    uri = "spiffe://pref22.juki.test/server"
    assert Identity.parse(uri, "juki.test").uri == uri
    with pytest.raises(InvalidValue):
        Identity.parse("spiffe://pref22.juki.example/server", "juki.test")


class _Connection:
    """The two properties of a connection that matter here."""

    def __init__(self, transport: bytes, uri: bytes) -> None:
        self._properties = {"transport_security_type": [transport], "peer_uri": [uri]}

    def peer(self) -> str:
        return "ipv4:127.0.0.1:40000"

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    def auth_context(self) -> dict[str, list[bytes]]:
        return self._properties


def test_a_name_counts_only_on_a_mutual_tls_connection() -> None:
    uri = b"spiffe://national.juki.example/server"
    verified: Any = _Connection(b"ssl", uri)
    assert identity_of_call(verified).kind is IdentityKind.NATIONAL_SERVER
    local: Any = _Connection(b"local", uri)
    with pytest.raises(JukiError):
        identity_of_call(local)


@pytest.mark.parametrize("uris", [[], [b"\xff"], [b"spiffe://national.juki.example/server"] * 2])
def test_a_certificate_has_exactly_one_identity(uris: list[bytes]) -> None:
    with pytest.raises(JukiError) as caught:
        identity_of_uris(uris)
    assert caught.value.reason is Reason.IDENTITY_NOT_PERMITTED
