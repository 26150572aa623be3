"""`juki evidence`: proves one notification from a server's archive, and verifies such a proof."""

from __future__ import annotations

import os
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.message import DecodeError
from pydantic import ConfigDict
from rich.console import Console
from rich.table import Table

from juki.config import load_config
from juki.custody.client import CustodyClient
from juki.custody.roots import load_roots
from juki.domain.errors import JukiError
from juki.evidence.proving import EvidenceArchive
from juki.evidence.verifying import Proved, RecordVerifier
from juki.register.data_key import open_sealer
from juki.rpc.names import gateway_identity, national_identity, prefecture_identity
from juki.server_config import ServerConfiguration
from juki.store.engine import open_engine
from juki.v1 import evidence_pb2

app = typer.Typer(no_args_is_help=True, help="Evidence: prove a notification, verify a proof.")


class _Server(ServerConfiguration):
    """What a prefectural and a national server's files have in common; the rest is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


@app.command("prove")
def prove_command(
    config: Annotated[Path, typer.Option(help="The server's TOML file.", dir_okay=False)],
    municipality: Annotated[str, typer.Option(help="Local government code, six digits.")],
    sequence: Annotated[int, typer.Option(help="The notification's sequence.", min=1)],
    output: Annotated[Path, typer.Option(help="File to write; it must not exist.")],
    epoch: Annotated[int, typer.Option(help="The notification's epoch.", min=1)] = 1,
) -> None:
    """Write the evidence record of one notification: personal data, readable by its owner only.

    Run on the host of a prefectural or the national server, as its user, beside its custody.

    \b
    Example:
      juki evidence prove --config pref22.toml --municipality 221309 --sequence 42 \\
        --output 42.evidence
    """
    with ExitStack() as stack:
        try:
            server = load_config(config, _Server)
            custody = stack.enter_context(CustodyClient(server.custody_socket))
            engine = open_engine(server.database_url)
            stack.callback(engine.dispose)
            archive = EvidenceArchive(engine, open_sealer(engine, custody))
            record = archive.prove(municipality, epoch, sequence)
            descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(record.SerializeToString())
        except (JukiError, OSError) as error:
            typer.echo(f"not proved: {error}", err=True)
            raise typer.Exit(1) from None
    typer.echo(f"{output}: {record.ByteSize():,} bytes")


@app.command("verify")
def verify_command(
    record: Annotated[Path, typer.Argument(metavar="FILE", help="An evidence record.")],
    roots: Annotated[Path, typer.Option(help="PEM file of the network's roots.", dir_okay=False)],
    trust_domain: Annotated[str, typer.Option(help="Of the network.")] = "juki.example",
) -> None:
    """Verify an evidence record with the network's roots and nothing else.

    Exit code 0: it proves what is shown. 1: it proves nothing, and why. 2: it cannot be read.

    \b
    Example:
      juki evidence verify 42.evidence --roots root.pem
    """
    console = Console()
    try:
        parsed = evidence_pb2.EvidenceRecord.FromString(record.read_bytes())
        verifier = RecordVerifier(
            load_roots(roots).der,
            lambda municipality: gateway_identity(municipality, trust_domain),
            lambda municipality: frozenset(
                {
                    national_identity(trust_domain),
                    prefecture_identity(municipality[:2], trust_domain),
                }
            ),
        )
    except (OSError, DecodeError, JukiError) as error:
        typer.echo(f"cannot be read: {type(error).__name__}", err=True)
        raise typer.Exit(2) from None
    try:
        proved = verifier.verify(parsed, datetime.now(UTC))
    except JukiError as error:
        console.print(f"[red]証明されません / not proved[/]: {error}")
        raise typer.Exit(1) from None
    console.print(_table(proved))


def _table(proved: Proved) -> Table:
    table = Table(title="証拠記録の検証 / evidence record", show_header=False)
    for japanese, english, value in (
        ("通知", "notification", f"{proved.municipality} {proved.epoch}/{proved.sequence}"),
        ("署名者", "signed by", proved.signer),
        ("時刻証明", "time-stamped by", proved.witness),
        ("存在時刻", "existed at", f"{proved.existed_at:%Y-%m-%d %H:%M:%S} UTC"),
        (
            "ハッシュ関数",
            "hash functions",
            ", ".join(one.name.replace("_", "-", 1) for one in proved.hash_algorithms),
        ),
    ):
        table.add_row(f"{japanese} / {english}", value)
    return table
