"""`juki hsm`: makes the tokens, keys and certificates of a network, and asks custody how it is."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import hsm.ceremony_cli
import hsm.rotation_cli
from hsm.certificates import read_chain
from hsm.nginx_files import write_nginx_files
from hsm.plan_file import read_plan
from hsm.provision import provision
from juki.custody.client import CustodyClient
from juki.custody.port import ISSUING_AUTHORITY
from juki.domain.errors import JukiError

app = typer.Typer(help="Custody of keys: tokens, keys, certificates.", no_args_is_help=True)
app.add_typer(hsm.ceremony_cli.app, name="ceremony")
app.command("rotate")(hsm.rotation_cli.rotate_command)
app.command("retire")(hsm.rotation_cli.retire_command)


@app.command()
def init(
    plan: Annotated[Path, typer.Option(help="TOML file of the plan.", dir_okay=False)],
    directory: Annotated[Path, typer.Option(help="Gets a directory for each host.")],
) -> None:
    """Make every host's token, keys and certificates; run again, it only makes what is missing.

    \b
    Example of a plan:
      agencies = ["nenkin"]
      [[prefectures]]
      code = "22"
      municipalities = ["221309", "221007"]

    \b
    Example:
      juki hsm init --plan network.toml --directory /var/lib/juki
    """
    console = Console()
    try:
        made = read_plan(plan, directory)
        directory.mkdir(parents=True, exist_ok=True)
        with console.status("Making tokens, keys and certificates"):
            provision(made)
    except JukiError as error:
        console.print(f"[bold red]{error.message}[/]")
        raise typer.Exit(1) from None
    table = Table("host", "identity", "keys")
    for host in made.hosts():
        labels = (
            *host.elliptic_labels(),
            *host.wrapping_labels(),
            *host.mac_labels(),
        )
        table.add_row(host.name, host.identity, ", ".join(labels))
    console.print(table)
    console.print(f"Take {directory / 'root'} off this machine and keep it offline.")


@app.command()
def nginx(
    directory: Annotated[Path, typer.Option(help="The directory of the plan or ceremony.")],
    server: Annotated[str, typer.Option(help="Host before whose server nginx stands.")],
    socket: Annotated[Path, typer.Option(help="The server's unix socket, as in its [tls].")],
    listen: Annotated[str, typer.Option(help="Address and port for callers.")] = "0.0.0.0:8443",
    user: Annotated[str, typer.Option(help="User of nginx's workers.")] = "www-data",
) -> None:
    """Write the configuration of the nginx that ends TLS before a server, and say how to run it.

    The plan or ceremony file names the server in `nginx_before`: its key is in a token of its own.

    \b
    Example:
      juki hsm nginx --directory /var/lib/juki --server national \\
        --socket /run/juki-national/server.sock
    """
    try:
        files = write_nginx_files(directory, server, listen=listen, socket=socket, user=user)
    except JukiError as error:
        Console().print(f"[bold red]{error.message}[/]")
        raise typer.Exit(1) from None
    typer.echo(
        " ".join([*(f"{key}={value}" for key, value in files.environment.items()), ""])
        + shlex.join(files.command())
    )


@app.command()
def status(
    socket: Annotated[Path, typer.Option(help="A socket of the host's custody.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
) -> None:
    """Let custody sign and verify something now, and say how it went.

    Exits with 1 when it cannot.

    Example: juki hsm status --socket /var/lib/juki/pref22/hsm/custody.sock
    """
    console = Console()
    try:
        with CustodyClient(socket) as custody:
            health = custody.health()
    except JukiError as error:
        console.print(f"[bold red]{error.reason}[/] {error.message}")
        raise typer.Exit(1) from None
    facts = {
        "token": health.token_label,
        "manufacturer": health.manufacturer,
        "model": health.model,
        "signed_with": health.key,
        "signature_microseconds": health.sign_microseconds,
        "uptime_seconds": health.uptime_seconds,
    }
    if as_json:
        typer.echo(json.dumps(facts))
        return
    table = Table(show_header=False)
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), str(value))
    console.print(table)


@app.command()
def revoke(
    socket: Annotated[Path, typer.Option(help="The issuing authority's socket of custody.")],
    identity: Annotated[
        str, typer.Option(help="Every certificate of this URI that was issued here and still runs.")
    ] = "",
    certificate: Annotated[
        list[Path] | None, typer.Option(help="A PEM file; its first certificate. Repeatable.")
    ] = None,
    reason: Annotated[
        str, typer.Option(help="keyCompromise, cessationOfOperation, … (RFC 5280 5.3.1)")
    ] = "unspecified",
) -> None:
    """Revoke certificates for good; the whole network refuses them within five seconds.

    Runs on the host of the authority that issued them: the nation's for its server and agencies, a
    prefecture's for its server, gateways and registers. Exits with 1 when nothing was revoked.

    Example: juki hsm revoke --socket /var/lib/juki/national/hsm/authority.sock
    --identity spiffe://agency.juki.example/nenkin --reason keyCompromise
    """
    console = Console()
    try:
        serials = [read_chain(file)[0].serial_number for file in certificate or ()]
        with CustodyClient(socket) as custody:
            made = custody.revoke(ISSUING_AUTHORITY, identity, serials, reason)
    except JukiError as error:
        console.print(f"[bold red]{error.reason}[/] {error.message}")
        raise typer.Exit(1) from None
    for serial in made.newly_revoked:
        console.print(f"revoked {serial:x}")
    console.print(f"{len(made.newly_revoked)} certificates revoked; those revoked before stay so.")
