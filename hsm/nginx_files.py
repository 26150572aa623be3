"""The configuration of the nginx that ends TLS before a server, with its key in a token."""

from __future__ import annotations

import getpass
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from hsm.certificates import chain_file
from hsm.host_files import HostFiles, host_files, root_file
from hsm.plan import nginx_name
from juki.custody.port import TLS_SERVER
from juki.domain.errors import JukiError, Reason

TEMPLATES = Path(__file__).resolve().parents[1] / "deploy" / "nginx"
_PLACEHOLDER = re.compile(r"@([A-Z]+)@")
_QUOTABLE = re.compile(r"[^\"\\${};\n]+\Z")
"""What nginx's quoted strings take as it is."""


@dataclass(frozen=True)
class NginxFiles:
    """What nginx is started with."""

    configuration: Path
    environment: dict[str, str]
    """Paths only; the PIN stays in its file."""

    def command(self, nginx: str = "/usr/sbin/nginx") -> list[str]:
        """The command that runs it in the foreground."""
        folder = str(self.configuration.parent)
        return [nginx, "-p", folder, "-c", str(self.configuration), "-g", "daemon off;"]


def write_nginx_files(
    directory: Path, server: str, *, listen: str, socket: Path, user: str | None = None
) -> NginxFiles:
    """Write `nginx.conf` and `openssl.cnf` for the nginx before a provisioned host's server.

    `directory` is the plan's, `server` the host's name, `listen` an address and port, `socket` the
    server's unix socket, `user` the one of nginx's workers (this user without it), who must own the
    token's files. Raises CONFIGURATION_INVALID where the token was not provisioned, or a path
    cannot be written so.
    """
    directory = directory.resolve()
    host = nginx_name(server)
    files = host_files(directory, host)
    chain = chain_file(files.certificates, TLS_SERVER)
    if not chain.exists() or not files.configuration.exists():
        raise JukiError(
            Reason.CONFIGURATION_INVALID,
            f"{host} has no key and certificate: is {server} in the plan's nginx_before?",
        )
    token = tomllib.loads(files.configuration.read_text("utf-8"))["token"]
    folder = directory / host / "nginx"
    (folder / "temporary").mkdir(parents=True, exist_ok=True)
    values = {
        "TOKEN": host,
        "USER": user or getpass.getuser(),
        "DIRECTORY": str(folder),
        "LISTEN": listen,
        "CERTIFICATE": str(chain),
        "ROOTS": str(root_file(directory)),
        "SOCKET": str(socket),
        "MODULE": str(files.directory / token["module"]),
    }
    for value in values.values():
        if not _QUOTABLE.match(value):
            raise JukiError(
                Reason.CONFIGURATION_INVALID, f"nginx's configuration cannot hold this: {value!r}"
            )
    values["KEY"] = _key(token, files)
    configuration, openssl = folder / "nginx.conf", folder / "openssl.cnf"
    configuration.write_text(_filled("nginx.conf.template", values), encoding="utf-8")
    openssl.write_text(_filled("openssl.cnf.template", values), encoding="utf-8")
    softhsm = str(files.directory / "softhsm2.conf")
    return NginxFiles(configuration, {"OPENSSL_CONF": str(openssl), "SOFTHSM2_CONF": softhsm})


def _key(token: dict[str, str], files: HostFiles) -> str:
    """The key as a PKCS#11 URI (RFC 7512); libp11 reads the PIN from its file."""
    attributes = {
        "token": token["label"],
        "serial": token["serial"],
        "object": TLS_SERVER,
        "type": "private",
        "pin-source": f"file:{files.directory / 'pin'}",
    }
    return "pkcs11:" + ";".join(
        f"{name}={quote(value, safe='/:')}" for name, value in attributes.items()
    )


def _filled(template: str, values: dict[str, str]) -> str:
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text)
