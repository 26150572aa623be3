"""The unix socket between nginx and a server: who cannot open it, and what it refuses."""

from __future__ import annotations

import grp
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import grpc
import pytest

from juki.domain.errors import JukiError, Reason
from juki.rpc.identity import identity_of_call
from juki.rpc.terminated import PEER_CERTIFICATE
from juki.rpc.unix_listener import UnixListener, bind_unix

NOBODY = 65534
CONNECT = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A directory that every user may enter: pytest's own is closed to others already."""
    with tempfile.TemporaryDirectory(prefix="juki-unix-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def closed_directory(parent: Path, mode: int = 0o700) -> Path:
    directory = parent / "listening"
    directory.mkdir()
    directory.chmod(mode)
    return directory


@contextmanager
def listening(listener: UnixListener) -> Iterator[grpc.Server]:
    """A server that says who it takes each caller for."""

    def who(_request: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            return identity_of_call(context).uri.encode()
        except JukiError as error:
            return f"{error.reason}: {error.message}".encode()

    server = grpc.server(ThreadPoolExecutor(2))
    handlers = {"Who": grpc.unary_unary_rpc_method_handler(who)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Who", handlers),))
    try:
        bind_unix(server, listener)
        server.start()
        yield server
    finally:
        server.stop(0).wait()


def connects(path: Path, user: int, group: int) -> bool:
    """Whether a process of that user can connect to the socket."""
    tried = subprocess.run(
        ["/usr/bin/python3", "-c", CONNECT, str(path)],
        user=user,
        group=group,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert tried.returncode == 0 or "PermissionError" in tried.stderr, tried.stderr
    return tried.returncode == 0


def said(path: Path, *metadata: tuple[str, str]) -> str:
    with grpc.insecure_channel(f"unix:{path}") as channel:
        call = channel.unary_unary("/test.Who/Who", bytes, bytes)
        return bytes(call(b"", metadata=metadata, timeout=30)).decode()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_nobody_but_the_servers_user_opens_the_socket(reachable: Path) -> None:
    path = closed_directory(reachable) / "server.sock"
    open_to_all = reachable / "open.sock"
    with (
        listening(UnixListener(path)),
        closing(socket.socket(socket.AF_UNIX)) as control,
    ):
        control.bind(str(open_to_all))
        control.listen()
        open_to_all.chmod(0o666)
        assert connects(open_to_all, NOBODY, NOBODY)
        assert not connects(path, NOBODY, NOBODY)
        assert path.stat().st_mode & 0o777 == 0o600
        path.parent.chmod(0o755)
        assert not connects(path, NOBODY, NOBODY), "the socket itself is closed, too"
        assert connects(path, 0, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_only_the_group_of_nginx_opens_the_socket_beside_the_server(reachable: Path) -> None:
    group = grp.getgrnam("www-data")
    directory = closed_directory(reachable, 0o750)
    os.chown(directory, -1, group.gr_gid)
    path = directory / "server.sock"
    with listening(UnixListener(path, "www-data")):
        assert connects(path, NOBODY, group.gr_gid)
        assert not connects(path, NOBODY, NOBODY)


@pytest.mark.parametrize("mode", [0o755, 0o701, 0o770, 0o710])
def test_a_directory_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = closed_directory(tmp_path, mode) / "server.sock"
    with pytest.raises(JukiError, match="open to others"), listening(UnixListener(path)):
        pass
    assert not path.exists()


def test_a_socket_at_which_another_server_answers_is_not_taken_from_it(tmp_path: Path) -> None:
    path = closed_directory(tmp_path) / "server.sock"
    with listening(UnixListener(path)):
        with pytest.raises(JukiError, match="another server"), listening(UnixListener(path)):
            pass
        assert "nginx names no client certificate" in said(path)


def test_a_socket_left_behind_by_a_killed_server_is_made_anew(tmp_path: Path) -> None:
    path = closed_directory(tmp_path) / "server.sock"
    with closing(socket.socket(socket.AF_UNIX)) as killed:
        killed.bind(str(path))
    assert path.exists()
    with listening(UnixListener(path)):
        assert "nginx names no client certificate" in said(path)


@pytest.mark.parametrize("named", ["", "no certificate", "%ZZ", "-----BEGIN%20CERTIFICATE-----"])
def test_what_is_no_certificate_names_nobody(tmp_path: Path, named: str) -> None:
    path = closed_directory(tmp_path) / "server.sock"
    with listening(UnixListener(path)):
        assert said(path, (PEER_CERTIFICATE, named)).startswith(Reason.IDENTITY_NOT_PERMITTED)
        twice = ((PEER_CERTIFICATE, named), (PEER_CERTIFICATE, named))
        assert "names no client certificate" in said(path, *twice)
