"""Which signing certificates are believed: every way a chain can be wrong is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from hsm.authority import Authority, Issuer, Names, _key_usage
from hsm.profiles import ISSUING, ROOT, SIGNING_PROFILE, Profile
from juki.custody.verify import VerifiedSigner, fingerprint, verify_chain, verify_signature
from juki.domain.errors import JukiError, Reason

NOW = datetime(2026, 11, 24, tzinfo=UTC)
IDENTITY = "spiffe://pref22.juki.example/cs/221309"
HOSTS = Names(("pref22.juki.example",), ("pref22.juki.example",))


def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


@dataclass(frozen=True)
class Domain:
    """A root and one issuing authority, with keys in memory."""

    root: Issuer
    issuing: Issuer

    def signer(self, chain: list[bytes], now: datetime = NOW) -> VerifiedSigner:
        return verify_chain(chain, [der(self.root.chain[0])], now, IDENTITY)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(lambda: NOW)


def make_domain(authority: Authority) -> Domain:
    root_key, issuing_key = key(), key()
    root = Issuer(root_key, (authority.root(root_key, "root", ROOT),))
    issuing = authority.certify(root, issuing_key.public_key(), "issuing", HOSTS, ISSUING)
    return Domain(root, Issuer(issuing_key, (issuing,)))


@pytest.fixture(scope="module")
def domain(authority: Authority) -> Domain:
    return make_domain(authority)


def leaf(
    authority: Authority,
    issuer: Issuer,
    names: Names | None = None,
    profile: Profile = SIGNING_PROFILE,
) -> list[bytes]:
    made = authority.certify(
        issuer, key().public_key(), "signing", names or Names((IDENTITY,)), profile
    )
    return [der(made), *map(der, issuer.chain)]


def test_a_chain_within_its_constraints_names_its_signer(
    authority: Authority, domain: Domain
) -> None:
    chain = leaf(authority, domain.issuing)
    signer = domain.signer(chain)
    assert signer.identity == IDENTITY
    assert signer.key_id == fingerprint(chain[0])
    assert len(signer.key_id) == 32


def test_another_identity_of_the_same_authority_is_a_signer_mismatch(
    authority: Authority, domain: Domain
) -> None:
    chain = leaf(authority, domain.issuing, Names(("spiffe://pref22.juki.example/server",)))
    with pytest.raises(JukiError) as refused:
        domain.signer(chain)
    assert refused.value.reason is Reason.SIGNER_MISMATCH


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (Names(("spiffe://pref13.juki.example/cs/131016",)), "outside its issuer's"),
        (Names(("spiffe://sub.pref22.juki.example/cs/1",)), "outside its issuer's"),
        (Names(("urn:pref22.juki.example",)), "outside its issuer's"),
        (Names((IDENTITY, IDENTITY)), "more than one identity"),
        (Names((IDENTITY,), ("cs-221309.pref22.juki.example",)), "more than one identity"),
    ],
)
def test_a_careless_authoritys_certificate_is_refused(
    authority: Authority,
    domain: Domain,
    names: Names,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hsm.authority.refuse_outside_constraints", lambda *_, **__: None)
    with pytest.raises(JukiError, match=words) as refused:
        domain.signer(leaf(authority, domain.issuing, names))
    assert refused.value.reason is Reason.UNKNOWN_SIGNING_KEY


def test_an_honest_authority_refuses_to_make_it(authority: Authority, domain: Domain) -> None:
    with pytest.raises(JukiError) as refused:
        leaf(authority, domain.issuing, Names(("spiffe://pref13.juki.example/server",)))
    assert refused.value.reason is Reason.IDENTITY_NOT_PERMITTED


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (replace(SIGNING_PROFILE, path_length=0), "an authority for a leaf"),
        (
            replace(SIGNING_PROFILE, extended_key_usage=ExtendedKeyUsageOID.CLIENT_AUTH),
            "made for another purpose",
        ),
    ],
)
def test_a_certificate_made_for_something_else_does_not_sign(
    authority: Authority, domain: Domain, profile: Profile, words: str
) -> None:
    with pytest.raises(JukiError, match=words):
        domain.signer(leaf(authority, domain.issuing, profile=profile))


def test_a_certificate_of_one_purpose_never_signs_whatever_key_it_has(
    authority: Authority, domain: Domain
) -> None:
    signer_key = key()
    signer = authority.certify(
        domain.issuing, signer_key.public_key(), "signing", Names((IDENTITY,)), SIGNING_PROFILE
    )
    below = Issuer(signer_key, (signer, *domain.issuing.chain))
    with pytest.raises(JukiError, match="an issuer that is no authority"):
        domain.signer(leaf(authority, below))


def test_a_path_longer_than_allowed_is_refused(authority: Authority, domain: Domain) -> None:
    issuer = domain.issuing
    for length in (1, 1):
        sub_key = key()
        sub = authority.certify(
            issuer, sub_key.public_key(), f"sub {length}", HOSTS, replace(ISSUING, path_length=1)
        )
        issuer = Issuer(sub_key, (sub, *issuer.chain))
    with pytest.raises(JukiError, match="longer than an issuer allows"):
        domain.signer(leaf(authority, issuer))


def test_an_authority_that_may_not_sign_certificates_is_refused(
    authority: Authority, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    leafs_usage = _key_usage(SIGNING_PROFILE)
    with monkeypatch.context() as careless:
        careless.setattr("hsm.authority._key_usage", lambda _: leafs_usage)
        sub_key = key()
        sub = authority.certify(
            domain.issuing, sub_key.public_key(), "sub", HOSTS, replace(ISSUING, path_length=0)
        )
    issuer = Issuer(sub_key, (sub, *domain.issuing.chain))
    with pytest.raises(JukiError, match="may not sign certificates"):
        domain.signer(leaf(authority, issuer))


@pytest.mark.parametrize(
    "offset", [timedelta(days=-1), SIGNING_PROFILE.lifetime, timedelta(days=10000)]
)
def test_a_certificate_is_believed_only_while_it_is_in_force(
    authority: Authority, domain: Domain, offset: timedelta
) -> None:
    chain = leaf(authority, domain.issuing)
    with pytest.raises(JukiError, match="not in force"):
        domain.signer(chain, NOW + offset)


def test_another_root_of_the_same_name_is_not_believed(
    authority: Authority, domain: Domain
) -> None:
    with pytest.raises(JukiError) as refused:
        domain.signer(leaf(authority, make_domain(authority).issuing))
    assert refused.value.reason is Reason.UNKNOWN_SIGNING_KEY


@pytest.mark.parametrize(
    "spoil",
    [
        lambda chain: [],
        lambda chain: chain[:1],
        lambda chain: chain[::-1],
        lambda chain: [chain[0][:-1] + bytes([chain[0][-1] ^ 1]), chain[1]],
        lambda chain: [b"no certificate", chain[1]],
        lambda chain: [*chain, chain[1]],
    ],
)
def test_a_chain_that_does_not_hold_is_refused(
    authority: Authority, domain: Domain, spoil: Callable[[list[bytes]], list[bytes]]
) -> None:
    with pytest.raises(JukiError) as refused:
        domain.signer(spoil(leaf(authority, domain.issuing)))
    assert refused.value.reason is Reason.UNKNOWN_SIGNING_KEY


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), b"\xff" * 64, bytes(65)])
def test_what_is_no_signature_does_not_verify(signature: bytes) -> None:
    assert not verify_signature(key().public_key(), bytes(32), signature)


def test_a_digest_of_the_wrong_length_does_not_verify() -> None:
    assert not verify_signature(key().public_key(), bytes(31), b"\1" * 64)
