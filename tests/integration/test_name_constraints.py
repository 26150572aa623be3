"""What OpenSSL, as a strict verifier, lets each authority name: its own hosts and nothing else.

The certificates that are refused are such as a thief of an issuing key could make: our own code
makes none of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hsm.certificates import read_chain
from hsm.host_files import root_file
from hsm.key_classes import certified_labels
from hsm.profiles import SERVER_LEAF, SIGNING_PROFILE, TLS_CLIENT_PROFILE, Profile
from juki.custody.port import ISSUING_AUTHORITY, SERVER_ISSUER, SIGNING, TLS_CLIENT
from tests.custody_fixtures import TrustDomain
from tests.openssl import openssl_verdict
from tests.rogue import RogueCertificate, rogue_certificate

OK = ": OK"
OUTSIDE = "permitted subtree violation"
EXCLUDED = "excluded subtree violation"
TOO_LONG = "path length constraint exceeded"
PURPOSE = "unsuitable certificate purpose"

PURPOSES = {TLS_CLIENT: ("-purpose", "sslclient")}
"""OpenSSL's names of purposes; it knows none for signing documents."""


def verdict(trust_domain: TrustDomain, rogue: RogueCertificate, folder: Path, *options: str) -> str:
    return openssl_verdict(root_file(trust_domain.plan.directory), rogue.chain, folder, *options)


def test_every_certificate_of_a_ceremony_passes_a_strict_verifier(
    trust_domain: TrustDomain, tmp_path: Path
) -> None:
    root = root_file(trust_domain.plan.directory)
    assert OK in openssl_verdict(root, read_chain(root), tmp_path)
    for host in trust_domain.plan.hosts():
        for label in certified_labels(host):
            chain = read_chain(trust_domain.files(host.name).certificates / f"{label}.pem")
            said = openssl_verdict(root, chain, tmp_path, *PURPOSES.get(label, ()))
            assert OK in said, (host.name, label, said)


@pytest.mark.parametrize("profile", [TLS_CLIENT_PROFILE, SIGNING_PROFILE])
@pytest.mark.parametrize(
    ("issuing", "identity", "expected"),
    [
        # its own municipalities and server
        ("pref22", "spiffe://pref22.juki.example/cs/221309", OK),
        ("pref22", "spiffe://pref22.juki.example/server", OK),
        # a municipality of another prefecture, that prefecture itself, the nation, an agency
        ("pref22", "spiffe://pref13.juki.example/cs/131016", OUTSIDE),
        ("pref22", "spiffe://pref13.juki.example/server", OUTSIDE),
        ("pref22", "spiffe://national.juki.example/server", OUTSIDE),
        ("pref22", "spiffe://agency.juki.example/pension", OUTSIDE),
        ("pref13", "spiffe://pref22.juki.example/cs/221309", OUTSIDE),
        # names that only look like its own
        ("pref22", "spiffe://sub.pref22.juki.example/server", OUTSIDE),
        ("pref22", "spiffe://xpref22.juki.example/server", OUTSIDE),
        ("pref22", "spiffe://pref22.juki.example.evil/server", OUTSIDE),
        ("pref22", "spiffe://juki.example/cs/221309", OUTSIDE),
        # the nation and its agencies, and not the prefectures
        ("national", "spiffe://national.juki.example/server", OK),
        ("national", "spiffe://agency.juki.example/pension", OK),
        ("national", "spiffe://pref22.juki.example/cs/221309", OUTSIDE),
        ("national", "spiffe://pref22.juki.example/server", OUTSIDE),
    ],
)
def test_an_authority_names_the_identities_of_its_own_hosts_only(
    trust_domain: TrustDomain,
    tmp_path: Path,
    issuing: str,
    identity: str,
    expected: str,
    profile: Profile,
) -> None:
    rogue = rogue_certificate(trust_domain, issuing, ISSUING_AUTHORITY, profile, uris=(identity,))
    assert expected in verdict(trust_domain, rogue, tmp_path)


@pytest.mark.parametrize(
    ("issuing", "dns", "expected"),
    [
        ("pref22", "cs-221309.pref22.juki.example", OK),
        ("pref22", "server.pref13.juki.example", OUTSIDE),
        ("pref22", "server.national.juki.example", OUTSIDE),
        ("pref22", "server.xpref22.juki.example", OUTSIDE),
        ("national", "server.national.juki.example", OK),
        ("national", "server.pref22.juki.example", OUTSIDE),
    ],
)
def test_an_authority_names_servers_of_its_own_domain_only(
    trust_domain: TrustDomain, tmp_path: Path, issuing: str, dns: str, expected: str
) -> None:
    rogue = rogue_certificate(trust_domain, issuing, ISSUING_AUTHORITY, SERVER_LEAF, dns=(dns,))
    assert expected in verdict(trust_domain, rogue, tmp_path, "-purpose", "sslserver")


def test_one_foreign_name_beside_an_own_one_is_enough_to_be_refused(
    trust_domain: TrustDomain, tmp_path: Path
) -> None:
    own, foreign = "spiffe://pref22.juki.example/server", "spiffe://pref13.juki.example/server"
    rogue = rogue_certificate(
        trust_domain, "pref22", ISSUING_AUTHORITY, TLS_CLIENT_PROFILE, uris=(own, foreign)
    )
    assert OUTSIDE in verdict(trust_domain, rogue, tmp_path)


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_no_authority_names_an_address(
    trust_domain: TrustDomain, tmp_path: Path, address: str
) -> None:
    rogue = rogue_certificate(
        trust_domain, "pref22", ISSUING_AUTHORITY, SERVER_LEAF, addresses=(address,)
    )
    assert EXCLUDED in verdict(trust_domain, rogue, tmp_path)


def test_an_authority_below_a_prefectures_names_no_more_than_the_prefecture_may(
    trust_domain: TrustDomain, tmp_path: Path
) -> None:
    below = rogue_certificate(
        trust_domain,
        "pref22",
        ISSUING_AUTHORITY,
        None,
        subject="an authority that claims Tokyo",
        is_authority=True,
        permits=("pref13.juki.example",),
    )
    for identity in ("spiffe://pref13.juki.example/server", "spiffe://pref22.juki.example/server"):
        leaf = rogue_certificate(
            trust_domain, "pref22", "", TLS_CLIENT_PROFILE, uris=(identity,), under=below
        )
        assert OUTSIDE in verdict(trust_domain, leaf, tmp_path)


def test_an_authority_reaches_one_authority_further_and_no_two(
    trust_domain: TrustDomain, tmp_path: Path
) -> None:
    identity = "spiffe://pref22.juki.example/cs/221309"

    def leaf(under: RogueCertificate) -> RogueCertificate:
        return rogue_certificate(
            trust_domain, "pref22", "", TLS_CLIENT_PROFILE, uris=(identity,), under=under
        )

    def authority(under: RogueCertificate | None, subject: str) -> RogueCertificate:
        return rogue_certificate(
            trust_domain,
            "pref22",
            ISSUING_AUTHORITY,
            None,
            subject=subject,
            is_authority=True,
            under=under,
        )

    one = authority(None, "one")
    assert OK in verdict(trust_domain, leaf(one), tmp_path)
    two = authority(one, "two")
    said = verdict(trust_domain, leaf(two), tmp_path)
    assert f"error 25 at 3 depth lookup: {TOO_LONG}" in said  # by the prefecture's, before the root


@pytest.mark.parametrize(
    ("dns", "purpose", "expected"),
    [
        ("cs-221309.pref22.juki.example", "sslserver", OK),
        ("cs-221309.pref22.juki.example", "sslclient", PURPOSE),
        ("cs-221007.pref22.juki.example", "sslserver", OUTSIDE),
        ("server.pref22.juki.example", "sslserver", OUTSIDE),
    ],
)
def test_a_server_issuer_certifies_its_own_server_only(
    trust_domain: TrustDomain, tmp_path: Path, dns: str, purpose: str, expected: str
) -> None:
    rogue = rogue_certificate(trust_domain, "cs-221309", SERVER_ISSUER, SERVER_LEAF, dns=(dns,))
    assert expected in verdict(trust_domain, rogue, tmp_path, "-purpose", purpose)


def test_a_client_certificate_of_a_server_issuer_is_refused_for_its_issuers_purpose(
    trust_domain: TrustDomain, tmp_path: Path
) -> None:
    identity = "spiffe://pref22.juki.example/cs/221309"
    rogue = rogue_certificate(
        trust_domain, "cs-221309", SERVER_ISSUER, TLS_CLIENT_PROFILE, uris=(identity,)
    )
    said = verdict(trust_domain, rogue, tmp_path, "-purpose", "sslclient")
    assert "error 26 at 1 depth" in said


def test_a_server_issuer_certifies_no_further_authority(
    trust_domain: TrustDomain, tmp_path: Path
) -> None:
    authority = rogue_certificate(
        trust_domain, "cs-221309", SERVER_ISSUER, None, subject="sub", is_authority=True
    )
    leaf = rogue_certificate(
        trust_domain,
        "cs-221309",
        SERVER_ISSUER,
        SERVER_LEAF,
        dns=("cs-221309.pref22.juki.example",),
        under=authority,
    )
    assert TOO_LONG in verdict(trust_domain, leaf, tmp_path)


def test_a_key_that_is_no_authoritys_certifies_nobody(
    trust_domain: TrustDomain, tmp_path: Path
) -> None:
    identity = "spiffe://pref22.juki.example/cs/221309"
    for label in (SIGNING, TLS_CLIENT):
        rogue = rogue_certificate(
            trust_domain, "cs-221309", label, TLS_CLIENT_PROFILE, uris=(identity,)
        )
        assert "invalid CA certificate" in verdict(trust_domain, rogue, tmp_path)
