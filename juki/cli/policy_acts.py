"""`juki policy propose`, `approve`, `acts` and the like: what officers of a register do."""

from __future__ import annotations

import datetime
import json
import secrets
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from juki.config import load_config
from juki.custody.client import CustodyClient
from juki.custody.roots import load_roots
from juki.custody.signing import DocumentSigner
from juki.domain.errors import JukiError, Reason
from juki.lookup.running import LookupConfiguration
from juki.policy.acts.auditing import compare
from juki.policy.acts.building import build_registry
from juki.policy.acts.dates import JST, of_nanos
from juki.policy.acts.dispositions import gives, in_words
from juki.policy.acts.document import dispositions_for, document_from
from juki.policy.acts.files import Proposal, list_proposals, read_proposal
from juki.policy.acts.following import OfficersFile
from juki.policy.acts.proposing import approve, make_act, propose
from juki.policy.acts.replay import EMPTY, History, replay
from juki.policy.acts.terms import basis_of_text
from juki.policy.acts.verification import ActVerifier, VerifiedAct
from juki.policy.acts.wire import decode_act, digest
from juki.policy.revisions import load_laws
from juki.revocation.lists import CertificateFacts
from juki.rpc.names import national_identity, prefecture_identity
from juki.server_config import ServerConfiguration
from juki.v1 import acts_pb2 as pb
from national_server.config import NationalConfiguration
from pref_server.config import PrefecturalConfiguration

ConfigOption = Annotated[
    Path, typer.Option(help="The server's TOML file, with a table acts.", dir_okay=False)
]
CustodyOption = Annotated[Path, typer.Option(help="Socket of the officer's own custody.")]
AuthorityOption = Annotated[str, typer.Option(help="Number and date of the decision document.")]
ReasonOption = Annotated[str, typer.Option(help="Why, in a sentence; never about a resident.")]
FromOption = Annotated[
    str, typer.Option("--from", help="First day in force (YYYY-MM-DD, Japan); left out: at once.")
]
UntilOption = Annotated[
    str, typer.Option("--until", help="Last day in force (YYYY-MM-DD, Japan); left out: no end.")
]
RequestOption = Annotated[str, typer.Option(help="Identifier of the request; made if left out.")]

_PARTS: Final = {
    pb.OFFICER_PART_PROPOSES: "proposed by",
    pb.OFFICER_PART_APPROVES: "approved by",
}


class _ServerJudges:
    """Revocation is judged by the server, which has the lists; a command has none."""

    def refuse_revoked(self, facts: CertificateFacts, identity: str, reason: Reason) -> None:
        """Left to the server."""

    def revoked_at(self, facts: CertificateFacts) -> datetime.datetime | None:
        """Not known here."""
        return None


@dataclass(frozen=True, slots=True)
class _Desk:
    """A register's files, read and verified."""

    directory: Path
    identity: str
    verifier: ActVerifier
    history: History
    law_revisions: Path | None


def add_commands(app: typer.Typer) -> None:
    """Adds the commands of officers to `juki policy`."""
    app.command("propose")(propose_command)
    app.command("approve")(approve_command)
    app.command("acts")(acts_command)
    app.command("revoke-grant")(revoke_grant_command)
    app.command("withdraw-body")(withdraw_body_command)
    app.command("drop")(drop_command)


def propose_command(
    file: Annotated[Path, typer.Argument(help="TOML: what there shall be.", dir_okay=False)],
    *,
    config: ConfigOption,
    custody: CustodyOption,
    authority: AuthorityOption,
    in_force_from: FromOption = "",
    last_day: UntilOption = "",
    reason: ReasonOption = "",
    request_id: RequestOption = "",
) -> None:
    """Propose an act: all that FILE says and the register has not yet. A second officer approves.

    FILE has the form of deploy/demo/agencies.toml, and may have tables department and operator.
    What FILE does not mention stays as it is. A grant that FILE writes narrower is narrowed, which
    takes one officer only where the act gives nothing else.

    \b
    Examples:
      juki policy propose bodies.toml --config national.toml --custody officer/custody.sock \\
          --authority "総行住第12号 2026-11-24" --from 2026-12-01
    """
    with _told_errors():
        desk = _desk(config)
        document = _read(file)
        now = time.time_ns()
        done = dispositions_for(document, desk.history.register, of_nanos(now))
        if not done:
            Console().print("the register has all of it already: nothing to propose")
            return
        _propose(
            desk,
            custody,
            done,
            authority=authority,
            request_id=request_id,
            reason=reason,
            in_force_from=in_force_from,
            last_day=last_day,
        )


def revoke_grant_command(
    body: Annotated[str, typer.Argument(help="Identity of the body.")],
    basis: Annotated[str, typer.Argument(help='"1:77", or "30-13(1) shi-22-3".')],
    *,
    config: ConfigOption,
    custody: CustodyOption,
    authority: AuthorityOption,
    in_force_from: FromOption = "",
    reason: ReasonOption = "",
    request_id: RequestOption = "",
) -> None:
    """Revoke a grant; the running server takes it up within seconds. One officer is enough.

    \b
    Examples:
      juki policy revoke-grant spiffe://agency.juki.example/gaimu 1:41 --config national.toml \\
          --custody officer/custody.sock --authority "総行住第13号 2026-11-25"
    """
    revoked = pb.RevokeGrant(body=body, basis=basis_of_text(basis))
    with _told_errors():
        _propose(
            _desk(config),
            custody,
            [pb.ActDisposition(revoke_grant=revoked)],
            authority=authority,
            request_id=request_id,
            reason=reason,
            in_force_from=in_force_from,
        )


def withdraw_body_command(
    body: Annotated[str, typer.Argument(help="Identity of the body.")],
    *,
    config: ConfigOption,
    custody: CustodyOption,
    authority: AuthorityOption,
    in_force_from: FromOption = "",
    reason: ReasonOption = "",
    request_id: RequestOption = "",
) -> None:
    """End a body's registration and all its grants. One officer is enough.

    \b
    Examples:
      juki policy withdraw-body spiffe://agency.juki.example/gaimu --config national.toml \\
          --custody officer/custody.sock --authority "総行住第14号 2026-11-25"
    """
    with _told_errors():
        _propose(
            _desk(config),
            custody,
            [pb.ActDisposition(withdraw_body=pb.WithdrawBody(identity=body))],
            authority=authority,
            request_id=request_id,
            reason=reason,
            in_force_from=in_force_from,
        )


def approve_command(
    name: Annotated[str, typer.Argument(help="Of the proposal, as `juki policy acts` shows it.")],
    config: ConfigOption,
    custody: CustodyOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Read what another officer proposes, and sign it as the second. The server then takes it up.

    \b
    Examples:
      juki policy approve 3f9a1c02b7de --config national.toml --custody officer/custody.sock
    """
    with _told_errors():
        desk = _desk(config)
        proposal = _proposal(desk, name)
        act = decode_act(proposal.signed)
        if act.number != desk.history.next_number:
            raise JukiError(
                Reason.SEQUENCE_CONFLICT,
                f"another act has become number {act.number} meanwhile: have this proposed again",
            )
        _show_act(act, proposal)
        if not yes:
            typer.confirm("Approve this act?", abort=True)
        with CustodyClient(custody) as client:
            approve(desk.directory, proposal, DocumentSigner(client), time.time_ns())
    Console().print("approved; the server takes it up within seconds (juki policy acts)")


def acts_command(
    config: ConfigOption,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object an act.")] = False,
    audit: Annotated[
        Path | None,
        typer.Option(help="Directory of the server's audit log: hold the acts against it."),
    ] = None,
) -> None:
    """List the acts: who, when, what; first those that count, then the proposals.

    Every signature is verified on the way; revoked officers are for the server to judge.
    With --audit the whole audit log is read, so that acts taken away at the end are noticed.
    Exit code 1 where the register is not what was signed and recorded.

    \b
    Examples:
      juki policy acts --config national.toml
      juki policy acts --config national.toml --json
      juki policy acts --config national.toml --audit /var/lib/juki/audit
    """
    with _told_errors():
        desk = _desk(config)
        rows = [_facts(number, found) for number, found in enumerate(desk.history.acts, start=1)]
        rows += [_waiting(desk, path) for path in list_proposals(desk.directory)]
        if audit is not None:
            _hold_against(desk, audit)
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row, ensure_ascii=False))
        return
    table = Table("act", "status", "in force", "officers", "authority", "what")
    for row in rows:
        table.add_row(
            str(row["act"]),
            str(row["status"]),
            str(row["in_force"]),
            "\n".join(map(str, row["officers"])),  # type: ignore[call-overload]
            str(row["authority"]),
            "\n".join(map(str, row["what"])),  # type: ignore[call-overload]
        )
    Console().print(table)


def _hold_against(desk: _Desk, audit: Path) -> None:
    """Raises TAMPERING_DETECTED naming an act that only one of the two knows."""
    waiting = set()
    for path in list_proposals(desk.directory):
        with suppress(JukiError, OSError):
            waiting.add(digest(read_proposal(path).signed.act))
    found = compare(audit, desk.history, waiting)
    for words, digests in (
        ("the audit log has acts that the register has not", found.gone),
        ("the register has acts that the audit log has not", found.unrecorded),
    ):
        if digests:
            raise JukiError(Reason.TAMPERING_DETECTED, f"{words}: {', '.join(digests)}")


def drop_command(
    name: Annotated[str, typer.Argument(help="Of the proposal.")], config: ConfigOption
) -> None:
    """Take away a proposal that has not been accepted: one refused, overtaken, or given up.

    \b
    Examples:
      juki policy drop 3f9a1c02b7de --config national.toml
    """
    with _told_errors():
        _proposal(_desk(config), name).path.unlink(missing_ok=True)
    Console().print("dropped")


def _propose(
    desk: _Desk,
    custody: Path,
    done: Sequence[pb.ActDisposition],
    *,
    authority: str,
    request_id: str,
    reason: str,
    in_force_from: str = "",
    last_day: str = "",
) -> None:
    now = time.time_ns()
    act = make_act(
        desk.history,
        desk.identity,
        done,
        authority=authority,
        request_id=request_id or secrets.token_hex(8),
        reason=reason,
        in_force_from=in_force_from,
        last_day=last_day,
        now_unix_nanos=now,
    )
    after = desk.history.register.apply(act, of_nanos(now))
    build_registry(document_from(after, of_nanos(now)), load_laws(desk.law_revisions))
    with CustodyClient(custody) as client:
        path = propose(desk.directory, act, DocumentSigner(client), now)
    _show_act(act, read_proposal(path))
    if gives(act):
        Console().print(f"proposed; a second officer: juki policy approve {path.stem} …")
    else:
        Console().print("signed; the server takes it up within seconds (juki policy acts)")


def _desk(config: Path) -> _Desk:
    server, lookups, identity = _server(config)
    if lookups is None or lookups.acts is None:
        raise JukiError(Reason.CONFIGURATION_INVALID, f"{config.name} has no table acts")
    verifier = ActVerifier(
        identity,
        OfficersFile(lookups.acts.officers),
        load_roots(server.roots_pem).der,
        _ServerJudges(),
    )
    directory = lookups.acts.directory
    history = replay(directory, verifier) if directory.exists() else EMPTY
    return _Desk(directory, identity, verifier, history, lookups.law_revisions)


def _server(config: Path) -> tuple[ServerConfiguration, LookupConfiguration | None, str]:
    if "prefecture" in _read(config):
        prefecture = load_config(config, PrefecturalConfiguration)
        identity = prefecture_identity(prefecture.prefecture, prefecture.trust_domain)
        return prefecture, prefecture.lookups, identity
    national = load_config(config, NationalConfiguration)
    return national, national, national_identity(national.trust_domain)


def _proposal(desk: _Desk, name: str) -> Proposal:
    for path in list_proposals(desk.directory):
        if path.stem == name:
            return read_proposal(path)
    raise JukiError(Reason.RECORD_NOT_FOUND, f"there is no proposal {name}")


def _read(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise JukiError(
            Reason.CONFIGURATION_INVALID, f"{file.name} cannot be read: {error}"
        ) from None


def _facts(number: int, found: VerifiedAct) -> dict[str, object]:
    return {
        "act": number,
        "status": f"accepted {found.accepted_at.astimezone(JST):%Y-%m-%d %H:%M:%S} JST",
        **_content(found.act, found.signed),
    }


def _waiting(desk: _Desk, path: Path) -> dict[str, object]:
    try:
        signed = read_proposal(path).signed
        act = decode_act(signed)
    except (JukiError, OSError) as error:
        return {
            "act": path.stem,
            "status": f"cannot be read: {error}",
            "in_force": "",
            "officers": [],
            "authority": "",
            "what": [],
        }
    return {"act": path.stem, "status": _status(desk, act, signed), **_content(act, signed)}


def _status(desk: _Desk, act: pb.AdministrativeAct, signed: pb.SignedAct) -> str:
    if act.number != desk.history.next_number:
        return "overtaken: propose it again"
    try:
        desk.verifier.judge_new(signed, datetime.datetime.now(datetime.UTC))
    except JukiError as error:
        if error.reason is Reason.FOUR_EYES_REQUIRED and len(signed.signatures) == 1:
            return "waits for a second officer"
        return f"refused: {error.message}"
    return "signed; the server has not taken it up"


def _content(act: pb.AdministrativeAct, signed: pb.SignedAct) -> dict[str, object]:
    return {
        "in_force": f"{act.in_force_from or 'at once'} – {act.last_day or '…'}",
        "officers": [
            f"{_PARTS[one.part]} {one.officer} "
            f"{of_nanos(one.signed_at_unix_nanos).astimezone(JST):%Y-%m-%d %H:%M:%S} JST"
            for one in signed.signatures
        ],
        "authority": act.authority,
        "reason": act.reason,
        "request_id": act.request_id,
        "digest": digest(signed.act).hex(),
        "what": [in_words(one) for one in act.dispositions],
    }


def _show_act(act: pb.AdministrativeAct, proposal: Proposal) -> None:
    console = Console()
    table = Table(title=f"Act {act.number} of {act.register_of}", show_header=False)
    content = _content(act, proposal.signed)
    for key in ("in_force", "authority", "reason", "request_id", "digest"):
        table.add_row(key.replace("_", " "), str(content[key]))
    for one in act.dispositions:
        table.add_row("", in_words(one))
    for signature in proposal.signed.signatures:
        table.add_row(_PARTS[signature.part], signature.officer)
    console.print(table)


@contextmanager
def _told_errors() -> Iterator[None]:
    try:
        yield
    except JukiError as error:
        Console(stderr=True).print(f"[red]refused:[/] {error}", highlight=False)
        raise typer.Exit(1) from None
    except OSError as error:
        Console(stderr=True).print(f"[red]not done:[/] {error.strerror}", highlight=False)
        raise typer.Exit(2) from None
