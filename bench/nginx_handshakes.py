"""What a handshake with nginx costs with the server's key in a token, against a key in a file."""

from __future__ import annotations

import shutil
import socket
import ssl
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench.handshakes import MEMORY, TOKEN, HandshakeTimes
from hsm.host_files import root_file
from hsm.nginx_files import NginxFiles, write_nginx_files
from hsm.plan import Host, ProvisioningPlan
from juki.custody.client import CustodyClient
from juki.custody.port import ISSUING_AUTHORITY, TLS_CLIENT, TLS_SERVER
from juki.localnet.plan import free_port
from juki.localnet.process import ManagedProcess

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
"""None where nginx is not installed: then it is not measured."""


def measure_nginx_handshakes(
    plan: ProvisioningPlan, server: Host, agency: Host, authority: CustodyClient, handshakes: int
) -> HandshakeTimes:
    """Full TLS 1.3 handshakes with each of two nginx that differ in nothing else, in turns.

    The client is OpenSSL's, with a key in memory, and asks nothing: nginx's work is the handshake.
    """
    directory = plan.directory
    pem = _certified(authority, directory / "client.pem", agency.identity, (), TLS_CLIENT)
    context = ssl.create_default_context(cafile=str(root_file(directory)))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(pem)
    context.set_alpn_protocols(["h2"])
    ports = {TOKEN: free_port(), MEMORY: free_port()}
    files = write_nginx_files(
        directory,
        server.name,
        listen=f"127.0.0.1:{ports[TOKEN]}",
        socket=directory / "nobody.sock",
    )
    key = _certified(authority, directory / "server.pem", server.identity, server.dns, TLS_SERVER)
    with ExitStack() as stack:
        for kind, one in ((TOKEN, files), (MEMORY, _with_key_file(files, key, ports))):
            process = ManagedProcess(
                kind,
                one.command(str(NGINX)),
                directory / f"nginx-{kind}.log",
                environment=one.environment,
                answers_at=ports[kind],
            )
            stack.callback(process.stop)
            process.start()
        seconds: dict[str, list[float]] = {kind: [] for kind in ports}
        for number in range(-5, handshakes):
            for kind, port in ports.items():
                spent = _seconds(context, port, server.dns[0])
                if number >= 0:  # before, libraries load and caches fill
                    seconds[kind].append(spent)
        return HandshakeTimes(seconds)


def _seconds(context: ssl.SSLContext, port: int, name: str) -> float:
    begin = time.perf_counter()
    with (
        socket.create_connection(("127.0.0.1", port)) as connection,
        context.wrap_socket(connection, server_hostname=name),
    ):
        return time.perf_counter() - begin


def _certified(
    authority: CustodyClient, file: Path, identity: str, dns: tuple[str, ...], profile: str
) -> Path:
    """Key and chain of the same profile as the token's, in a file."""
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[Any] = [x509.UniformResourceIdentifier(identity), *map(x509.DNSName, dns)]
    request = (
        x509.CertificateSigningRequestBuilder(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )
    chain = authority.certify(ISSUING_AUTHORITY, request, profile)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.touch(mode=0o600)
    file.write_bytes(
        pem
        + b"".join(
            x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
            for der in chain
        )
    )
    return file


def _with_key_file(files: NginxFiles, key: Path, ports: dict[str, int]) -> NginxFiles:
    """The same nginx with key and certificate from a file."""
    folder = files.configuration.parent
    other = folder.with_name("nginx-file")
    (other / "temporary").mkdir(parents=True)
    lines = files.configuration.read_text(encoding="utf-8").replace(str(folder), str(other))
    configuration = other / "nginx.conf"
    with configuration.open("w", encoding="utf-8") as file:
        for line in lines.splitlines(keepends=True):
            setting = line.split(maxsplit=1)[:1]
            if setting in (["ssl_certificate"], ["ssl_certificate_key"]):
                file.write(f'{setting[0]} "{key}";\n')
            else:
                file.write(line.replace(f":{ports[TOKEN]}", f":{ports[MEMORY]}"))
    return NginxFiles(configuration, {})
