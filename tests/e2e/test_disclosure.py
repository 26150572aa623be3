"""A person at the counter, over a whole network: asked, paid, disclosed, corrected, by commands."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from juki.demo.checks import PensionBody
from juki.demo.gateway import Register
from juki.localnet.network import LocalNetwork
from juki.v1 import lookup_pb2
from tests.network_fixtures import running_network, wait_until
from tests.planted_person import MUNICIPALITY, NAME, TOWN, planted_birth


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    directory = tmp_path_factory.mktemp("network")
    with running_network(directory, {"22": (MUNICIPALITY,)}) as network:
        yield network


def juki(*arguments: str | Path, code: int = 0) -> str:
    """What the command says on standard output; it must end with `code`."""
    done = subprocess.run(
        [sys.executable, "-m", "juki", "disclosure", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def counter_file(network: LocalNetwork, directory: Path, server: str) -> Path:
    file = directory / f"counter-{server}.toml"
    file.write_text(
        f"""
custody_socket = "{network.plan.custody_socket(f"cs-{MUNICIPALITY}")}"
roots_pem = "{network.plan.roots}"
office = "市民課"
operator = "operator-17"

[discloser]
address = "127.0.0.1:{network.ports[server]}"
server_name = "{network.server_name(server)}"
""",
        encoding="utf-8",
    )
    return file


def id_in(shown: str) -> str:
    return next(word for word in shown.split() if word[:2] in ("D-", "C-"))


def test_a_person_asks_pays_is_shown_a_lookup_made_seconds_ago_and_has_it_corrected(
    network: LocalNetwork, tmp_path: Path
) -> None:
    register, body = Register(network, MUNICIPALITY), PensionBody(network)
    try:
        register.record(planted_birth())
        wait_until(lambda: bool(register.event("planted-1").outcome.individual_number))
        number = register.event("planted-1").outcome.individual_number

        def found() -> bool:
            outcome = body.batch([number]).results[0].outcome
            return outcome == lookup_pb2.LOOKUP_OUTCOME_FOUND

        wait_until(found)
    finally:
        register.close()
        body.close()

    config = ("--config", counter_file(network, tmp_path, "national"))
    office = ("--config", network.plan.host_directory("national") / "server.toml")
    officer = ("--officer", "officer-7", *office)
    (tmp_path / "number").write_text(number)
    (tmp_path / "born").write_text("2026-04-01")
    (tmp_path / "words").write_text("名の振り仮名が違います")
    stated = ("--number-file", tmp_path / "number", "--birth-date", tmp_path / "born")
    id_ = id_in(juki("request", "--document", "passport", *stated, "--other-way-agreed", *config))
    juki("disclose", id_, tmp_path, *config, code=2)
    juki("fee", id_, "--yen", "300", *config)
    (owed,) = json.loads(juki("list", "national", *office, "--json"))
    assert (owed["id"], owed["fee_settled"]) == (id_, True)
    until = ("--until", "2099-12-31", "--reasons", tmp_path / "words")
    assert "extended" in juki("extend", "national", id_, *until, *officer)
    juki("disclose", id_, tmp_path, "--other-way", *config)

    disclosure = json.loads((tmp_path / f"{id_}.json").read_text("utf-8"))
    assert disclosure["records"][0]["information"]["name"]["written"] == NAME
    assert [one["reason_words"] for one in disclosure["changes"]][-1] == "出生"
    assert disclosure["changes_complete"] is True
    newest = disclosure["provisions"][0]
    assert newest["body_identity"].startswith("spiffe://agency.")
    assert newest["article"] == "30-9"
    assert newest["field_words"]
    assert newest["proof"]["format"].startswith("juki audit proof")
    assert TOWN in (tmp_path / f"{id_}.html").read_text("utf-8")
    assert (tmp_path / f"{id_}.json").stat().st_mode & 0o077 == 0

    correction = id_in(juki("correct", id_, "--words", tmp_path / "words", *config))
    assert "振り仮名" in juki("investigate", "national", correction, *officer)
    result = ("--result", "not-corrected", "--words", tmp_path / "words")
    juki("answer", "national", correction, *result, *officer)
    juki("answer", "national", correction, *result, *officer, code=2)
    everything = json.loads(juki("list", "national", *office, "--all", "--json"))
    states = {one["id"]: one["state"] for one in everything}
    assert states[correction].endswith("NOT_CORRECTED")
    assert states[id_].endswith("DISCLOSED")
    assert json.loads(juki("list", "national", *office, "--json")) == []
