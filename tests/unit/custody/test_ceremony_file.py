"""A ceremony file with a mistake is refused by file and key before anything is made."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from hsm.ceremony_file import ReadCeremony, read_ceremony
from hsm.configuration import read_configuration
from hsm.configuration_writing import OperatorSettings, changes, custody_toml
from hsm.key_classes import key_classes
from juki.domain.errors import JukiError, Reason

EXAMPLE = Path(__file__).parents[3] / "deploy" / "ceremony" / "example.toml"
WHOLE = EXAMPLE.read_text()


def read(folder: Path, text: str) -> ReadCeremony:
    file = folder / "ceremony.toml"
    file.write_text(text)
    return read_ceremony(file)


def test_the_example_describes_two_prefectures_an_agency_and_three_of_five_officers() -> None:
    ceremony = read_ceremony(EXAMPLE)
    assert ceremony.officers.threshold == 3
    assert ceremony.officers.names == ("aoki", "baba", "chiba", "doi", "endo")
    assert [host.name for host in ceremony.plan.hosts()] == [
        "national",
        "agency-nenkin",
        "pref22",
        "cs-221309",
        "cs-221309-register",
        "cs-221007",
        "cs-221007-register",
        "pref13",
        "cs-131016",
        "cs-131016-register",
        "national-archive",
    ]
    assert ceremony.plan.directory == EXAMPLE.parent / "network"
    assert ceremony.folder_of("doi") == EXAMPLE.parent / "shares" / "doi"


def test_every_class_of_keys_says_who_holds_it_who_uses_it_and_for_how_long() -> None:
    classes = {one.label: one for one in key_classes(read_ceremony(EXAMPLE).plan)}
    assert classes["root"].uses == ()
    assert "national-archive" in classes["wrapping"].holders
    assert ("authority.sock", "certify") in classes["issuing-ca"].uses
    assert all(one.lifetime or one.kind != "P-256" for one in classes.values())


def test_all_municipalities_of_a_prefecture_are_meant_by_all(tmp_path: Path) -> None:
    text = WHOLE.replace('municipalities = ["131016"]', 'municipalities = "all"')
    tokyo = read(tmp_path, text).plan.prefectures[1]
    assert len(tokyo.municipalities) == 62
    assert "131016" in tokyo.municipalities


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("threshold = 3", "treshold = 3", "officers.treshold"),
        ("threshold = 3", "threshold = 6", "the threshold is at least 1"),
        ("threshold = 3", "threshold = 0", "officers.threshold"),
        ('"endo"]', '"aoki"]', "officers have different names"),
        ("[officers]", "[officers]\ndirectories = { mori = '/m' }", "officers.directories.mori"),
        ("allowed_uids = [990]", "allowed_uids = []", "allowed_uids"),
        ("allowed_uids = [990]", 'allowed_uids = ["juki"]', "allowed_uids.0"),
        ('"221007"]', '"221008"]', "prefectures.22: the check digit"),
        ('"221007"]', '"131016"]', "prefectures.22: 131016 is no municipality"),
        ('"221007"]', '"221384"]', "prefectures.22: 221384 is no municipality"),
        ('"221007"]', '"221309"]', "cs-221309 is described twice"),
        ('code = "13"', 'code = "48"', "prefectures.48"),
        ('agencies = ["nenkin"]', 'agencies = ["nenkin", "nenkin"]', "agency-nenkin is described"),
        ('name = "national-archive"', 'name = "national"', "national is described twice"),
        ('agencies = ["nenkin"]', f'agencies = ["{26 * "n"}"]', "is no name of a host"),
        ('agencies = ["nenkin"]', 'agencies = ["Nenkin"]', "agency-Nenkin is no name of a host"),
        ('label = "wrapping"', 'label = "tls-client"', "described twice"),
        ('name = "national-archive"', 'name = "root"', "root is described twice"),
        ('name = "national-archive"', 'name = "../archive"', "further_hosts.0.name"),
        ('juki.example/archive"', 'juki.example/server"', "two hosts are"),
        ("national.juki.example/archive", "pref22.juki.example/archive", "national may not name"),
        ('issuer = "national"', 'issuer = "cs-221309"', "cs-221309 has no issuing authority"),
        ('issuer = "national"', 'issuer = "japan"', "japan has no issuing authority"),
        ('label = "wrapping"', 'label = "wraping"', "is not both a key and used"),
        ('label = "wrapping"', 'label = "issuing-ca"', "only the nation and prefectures"),
        ('label = "tls-client"', 'label = "tls-client"\nkind = "AES-256"', "needs a P-256 key"),
        ('"new_data_key", "unwrap', '"export", "unwrap', "operations.0"),
        ('socket = "authority.sock"', 'socket = "autority.sock"', "callers.autority.sock"),
        ("uids = [991]", 'uids = [991]\nhosts = ["cs-221309"]', "callers.authority.sock"),
        ("tls-client = 398", "tls-clients = 398", "validity_days.tls-clients"),
        ("tls-client = 398", "wrapping = 398", "validity_days.wrapping"),
        ("tls-client = 398", "tls-client = 0", "validity_days.tls-client"),
        ("tls-client = 398", "tls-client = 3651", "longer than that of issuing-ca"),
        ("issuing-ca = 3650", "issuing-ca = 7301", "longer than that of root"),
        ('trust_domain = "juki.example"', "", "trust_domain"),
        ("allowed_uids", 'nginx_before = ["japan"]\nallowed_uids', "'japan' has no server"),
        ("allowed_uids", 'nginx_before = ["agency-nenkin"]\nallowed_uids', "has no server"),
        (
            "allowed_uids",
            'nginx_before = ["national", "national"]\nallowed_uids',
            "national-nginx is described twice",
        ),
    ],
)
def test_a_mistake_is_refused_by_file_and_key(
    tmp_path: Path, old: str, new: str, named: str
) -> None:
    assert old in WHOLE
    with pytest.raises(JukiError) as refusal:
        read(tmp_path, WHOLE.replace(old, new, 1))
    assert refusal.value.reason is Reason.CONFIGURATION_INVALID
    assert "ceremony.toml" in refusal.value.message
    assert named in refusal.value.message


def test_a_host_of_its_own_keys_is_configured_with_them_alone(tmp_path: Path) -> None:
    plan = read(tmp_path, WHOLE).plan
    archive = next(host for host in plan.hosts() if host.name == "national-archive")
    text = custody_toml(archive, plan.module, plan.allowed_uids, plan.uids_of(archive))
    assert changes("", text) == [
        '+ certificates: "certificates"',
        "+ custody.sock: mode 0600, users 992",
        "+ custody.sock: tls-client: certificate_chain, sign",
        "+ custody.sock: token: health, random",
        "+ custody.sock: wrapping: new_data_key, unwrap_data_key",
        '+ health_key: "tls-client"',
        (
            '+ token: {"module": "/usr/lib/softhsm/libsofthsm2.so", "label": "national-archive", '
            '"pin_file": "pin", "softhsm_configuration": "softhsm2.conf"}'
        ),
    ]
    assert changes(text, text) == []
    assert changes("torn [", text) == changes("", text)


def test_what_an_operator_has_set_stays_when_a_ceremony_writes_the_configuration_again(
    tmp_path: Path,
) -> None:
    plan = read(tmp_path, WHOLE).plan
    nation = next(host for host in plan.hosts() if host.name == "national")
    made = custody_toml(nation, plan.module, plan.allowed_uids, plan.uids_of(nation))
    edited = made.replace('pin_file = "pin"', 'pin_credential = "nation"\nworkers = 2').replace(
        "[server_leaf]", "[revocation]\nvalidity_seconds = 7200\n\n[server_leaf]"
    )
    again = custody_toml(
        nation,
        plan.module,
        plan.allowed_uids,
        plan.uids_of(nation),
        settings=OperatorSettings.of(edited),
    )
    assert tomllib.loads(again) == tomllib.loads(edited)
    file = tmp_path / "custody.toml"
    file.write_text(again, "utf-8")
    read_back = read_configuration(file)
    assert read_back.token.pin_credential == "nation"
    assert read_back.token.pin_file is None
    assert read_back.token.workers == 2
    assert read_back.revocation.validity_seconds == 7200
    assert OperatorSettings.of("torn [") == OperatorSettings()
