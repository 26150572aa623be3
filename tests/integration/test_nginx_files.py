"""The token of an nginx, from a ceremony file to the configuration that names its key."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.nginx_handshakes import NGINX
from hsm.certificates import chain_file, read_chain
from hsm.cli import app
from hsm.host_files import host_files
from hsm.token import open_token
from tests.ceremony_fixtures import NAMES, CeremonyRoom


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> CeremonyRoom:
    """After a ceremony at which nginx stood before the nation and a gateway."""
    room = CeremonyRoom(tmp_path_factory.mktemp("room"))
    top = 'nginx_before = ["national", "cs-221309"]\nallowed_uids = [0]'
    room.write(top=top)
    held = room.run(*NAMES)
    assert held.exit_code == 0, held.output
    return room


def files_for(room: CeremonyRoom, server: str, socket: str = "/run/juki/server.sock") -> str:
    arguments = ["--directory", str(room.network), "--server", server, "--socket", socket]
    result = CliRunner().invoke(app, ["nginx", *arguments, "--user", "root"])
    return result.output if result.exit_code == 0 else f"refused: {result.output}"


@pytest.mark.parametrize("server", ["national", "cs-221309"])
def test_a_ceremony_makes_the_one_key_of_an_nginx_with_the_names_of_its_server(
    room: CeremonyRoom, server: str
) -> None:
    files = host_files(room.network, f"{server}-nginx")
    certificate = read_chain(chain_file(files.certificates, "tls-server"))[0]
    with open_token(files.token(Path("/usr/lib/softhsm/libsofthsm2.so"), f"{server}-nginx")) as one:
        assert certificate.public_key() == one.public_key("tls-server")
        assert not any(one.has_key(label) for label in ("tls-client", "signing", "wrapping"))
    assert room.command("plan").output.count("tls-server") == 0, "nothing is due any more"


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_the_command_writes_what_nginx_itself_finds_right(room: CeremonyRoom) -> None:
    said = files_for(room, "national")
    environment = dict(word.split("=", 1) for word in said.split()[:2])
    assert set(environment) == {"OPENSSL_CONF", "SOFTHSM2_CONF"}
    configuration = room.network / "national-nginx" / "nginx" / "nginx.conf"
    text = configuration.read_text()
    pin = (host_files(room.network, "national-nginx").directory / "pin").read_text()
    assert pin not in text
    assert pin not in said
    assert "object=tls-server" in text
    assert "@" not in text.replace("@uncertified", "")
    tested = subprocess.run(
        [str(NGINX), "-t", "-q", "-p", str(configuration.parent), "-c", str(configuration)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stderr


def test_what_cannot_be_written_is_refused_in_clear_words(room: CeremonyRoom) -> None:
    assert "is pref22 in the plan's nginx_before?" in files_for(room, "pref22").replace("\n", " ")
    assert "cannot hold this" in files_for(room, "national", '/run/"; include /etc/passwd; "')
