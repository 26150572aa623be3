"""What a plan makes of a trust domain: identities, names, keys, and who may use them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsm.permissions import TOKEN, Operation, Permissions
from hsm.plan import Prefecture, ProvisioningPlan
from juki.domain.errors import JukiError, Reason

PLAN = ProvisioningPlan(
    Path("anywhere"), (Prefecture("22", ("221309", "221007")),), agencies=("pension",)
)
HOSTS = {host.name: host for host in PLAN.hosts()}


def test_every_host_has_the_identity_the_network_knows_it_by() -> None:
    assert {name: host.identity for name, host in HOSTS.items()} == {
        "national": "spiffe://national.juki.example/server",
        "agency-pension": "spiffe://agency.juki.example/pension",
        "pref22": "spiffe://pref22.juki.example/server",
        "cs-221309": "spiffe://pref22.juki.example/cs/221309",
        "cs-221309-register": "spiffe://pref22.juki.example/cs/221309/register",
        "cs-221007": "spiffe://pref22.juki.example/cs/221007",
        "cs-221007-register": "spiffe://pref22.juki.example/cs/221007/register",
    }


def test_only_servers_have_names_to_be_called_by() -> None:
    assert {name: host.dns for name, host in HOSTS.items() if host.dns} == {
        "national": ("server.national.juki.example",),
        "pref22": ("server.pref22.juki.example",),
        "cs-221309": ("cs-221309.pref22.juki.example",),
        "cs-221007": ("cs-221007.pref22.juki.example",),
    }


def test_no_servers_socket_lets_anyone_certify_or_revoke_with_an_issuing_authority() -> None:
    for host in HOSTS.values():
        grants = dict(host.sockets()["custody.sock"])
        assert set(grants.get("issuing-ca", ())) <= {Operation.REVOCATION_LIST}
        if "server-issuer" in grants:
            assert Operation.SIGN not in grants["server-issuer"]


def test_permissions_refuse_whatever_is_not_listed() -> None:
    permissions = Permissions.of([("signing", Operation.SIGN), (TOKEN, Operation.HEALTH)])
    permissions.require("signing", Operation.SIGN)
    for key, operation in (
        ("signing", Operation.MAC),
        ("tls-client", Operation.SIGN),
        (TOKEN, Operation.RANDOM),
        ("", Operation.SIGN),
    ):
        with pytest.raises(JukiError) as refused:
            permissions.require(key, operation)
        assert refused.value.reason is Reason.KEY_USE_NOT_PERMITTED


def test_empty_permissions_cannot_be_built() -> None:
    with pytest.raises(JukiError) as refused:
        Permissions.of([])
    assert refused.value.reason is Reason.CONFIGURATION_INVALID
