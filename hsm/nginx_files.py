"""The configuration of the nginx that ends TLS before a server, with its key in a token."""

from __future__ import annotations

import getpass
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from hsm.certificates import chain_file
from hsm.host_files import HostFiles, host_files, root_file
from hsm.plan import Host, nginx_host
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
    directory: Path,
    server: Host,
    *,
    module: Path,
    listen: str,
    socket: Path,
    user: str | None = None,
) -> NginxFiles:
    """Write `nginx.conf` and `openssl.cnf` for the nginx before a provisioned host's server.

    `directory` is the plan's, `listen` an address and port, `socket` the server's unix socket,
    `user` the one of nginx's workers (this user without it), who must own the token's files. Raises
    CONFIGURATION_INVALID where the token was not provisioned, or a path cannot be written so.
    """
    directory = directory.resolve()
    host = nginx_host(server)
    files = host_files(directory, host.name)
    chain = chain_file(files.certificates, TLS_SERVER)
    if not chain.exists():
        raise JukiError(
            Reason.CONFIGURATION_INVALID,
            f"{host.name} has no key and certificate: is it in the plan's nginx_before?",
        )
    folder = directory / host.name / "nginx"
    (folder / "temporary").mkdir(parents=True, exist_ok=True)
    values = {
        "TOKEN": host.name,
        "USER": user or getpass.getuser(),
        "DIRECTORY": str(folder),
        "LISTEN": listen,
        "CERTIFICATE": str(chain),
        "KEY": _key(host, files),
        "ROOTS": str(root_file(directory)),
        "SOCKET": str(socket),
        "MODULE": str(module),
    }
    configuration, openssl = folder / "nginx.conf", folder / "openssl.cnf"
    configuration.write_text(_filled("nginx.conf.template", values), encoding="utf-8")
    openssl.write_text(_filled("openssl.cnf.template", values), encoding="utf-8")
    softhsm = str(files.directory / "softhsm2.conf")
    return NginxFiles(configuration, {"OPENSSL_CONF": str(openssl), "SOFTHSM2_CONF": softhsm})


def _key(host: Host, files: HostFiles) -> str:
    """The key as a PKCS#11 URI (RFC 7512); libp11 reads the PIN from its file."""
    pin = quote(str(files.directory / "pin"))
    return f"pkcs11:token={quote(host.name)};object={TLS_SERVER};type=private;pin-source=file:{pin}"


def _filled(template: str, values: dict[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        text = values[found[1]]
        if not _QUOTABLE.match(text) and found[1] != "KEY":
            raise JukiError(
                Reason.CONFIGURATION_INVALID, f"nginx's configuration cannot hold this: {text!r}"
            )
        return text

    return _PLACEHOLDER.sub(value, (TEMPLATES / template).read_text(encoding="utf-8"))
