"""`juki hsm ceremony`: key ceremonies as officers hold them, from a ceremony file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric import ec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column, Table

from hsm.ceremony import Ceremony, hold_ceremony
from hsm.ceremony_file import ReadCeremony, read_ceremony
from hsm.ceremony_works import Work, works
from hsm.certificates import read_chain
from hsm.host_files import ROOT_LABEL, ceremony_files
from hsm.key_classes import key_classes
from hsm.officer_terminal import ATTEMPTS, OfficersAtTheTerminal
from hsm.officers import Officers, passphrases_in
from hsm.resharing import reshare
from hsm.sealed_pins import OfficersTable, holders_of
from hsm.transcript import verify_transcripts
from juki.domain.errors import JukiError, Reason

app = typer.Typer(
    help="鍵セレモニー (key ceremonies): M of N officers make the network's keys, offline.",
    no_args_is_help=True,
)

CeremonyFileArgument = Annotated[
    Path, typer.Argument(help="Ceremony file (TOML).", metavar="FILE", dir_okay=False)
]
PassphrasesOption = Annotated[
    Path | None,
    typer.Option(
        help="For automation: directory of files named for the officers, readable by their owner "
        "only. Without it officers type their passphrases on the terminal.",
        file_okay=False,
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask before beginning.")]


@app.command()
def plan(file: CeremonyFileArgument) -> None:
    """Show what a ceremony would make now; changes nothing and needs no officer.

    Example: juki hsm ceremony plan deploy/ceremony/example.toml
    """
    console = Console(highlight=False)
    with refusals(console):
        read = read_ceremony(file)
        due = _due(read)
        if not due:
            _say_nothing_due(console, read)
            return
        table = _table("ホスト host", "作るもの what", "鍵 key", "詳細 detail")
        for work in due:
            table.add_row(work.host, work.what, work.label, work.detail)
        console.print(table)
        console.print(_totals(due))


@app.command()
def run(
    file: CeremonyFileArgument, passphrases: PassphrasesOption = None, yes: YesOption = False
) -> None:
    """Hold the ceremony: make what is missing, change what the file says otherwise.

    The first one needs every officer, who each choose a passphrase; later ones need as many as the
    threshold says. To add a host, edit the file and run again: nothing else is touched. An
    interrupted ceremony is run again, too. Where nothing is due nobody is asked.

    \b
    Examples:
      juki hsm ceremony run /media/ceremony/juki.toml
      juki hsm ceremony run juki.toml --passphrases /run/officers --yes
    """
    console = Console(highlight=False)
    with refusals(console):
        read = read_ceremony(file)
        due = _due(read)
        if not due:
            _say_nothing_due(console, read)
            return
        console.print(_totals(due))
        seated = _seats(console, read, passphrases)
        _confirm(asks=passphrases is None and not yes)
        with _progress(console, len(due)) as told:
            ceremony = Ceremony(
                read.plan, seated(read.officers), file_digest=read.digest, told=told
            )
            text = hold_ceremony(ceremony)
        _show(console, read, text)


@app.command("reshare")
def reshare_command(
    file: CeremonyFileArgument, passphrases: PassphrasesOption = None, yes: YesOption = False
) -> None:
    """Give the officers whom the file now names new shares; all old ones become useless.

    For an officer who leaves, joins, or has lost stick or passphrase, and for another threshold.
    As many of the present holders as the old threshold says and every new officer have to come.
    Name those who leave in `officers.former` where they have a directory of their own.

    Example: juki hsm ceremony reshare /media/ceremony/juki.toml
    """
    console = Console(highlight=False)
    with refusals(console):
        read = read_ceremony(file)
        sealed = ceremony_files(read.plan.directory).sealed_pins
        holders = holders_of(sealed) if sealed.exists() else Officers(1, ("nobody",))
        console.print(
            f"鍵管理者の交代 (new shares): {_committee(holders)} → {_committee(read.officers)}",
        )
        seated = _seats(console, read, passphrases)
        _confirm(asks=passphrases is None and not yes)
        ceremony = Ceremony(read.plan, seated(read.officers), file_digest=read.digest)
        text = reshare(ceremony, seated(holders))
        _show(console, read, text)


@app.command("verify-transcript")
def verify_transcript(
    transcript: Annotated[
        Path, typer.Argument(help="A transcript's text, or the directory of all.", metavar="FILE")
    ],
    root: Annotated[
        Path | None,
        typer.Option(help="The root certificate; best from elsewhere. Default: beside `root/`."),
    ] = None,
) -> None:
    """Check the root's signatures and that all transcripts chain; print one, or the last.

    Compare the digest with the one on paper: nothing in the directory itself shows that the
    latest transcripts were taken away. Exits with 1 where anything does not hold.

    Example: juki hsm ceremony verify-transcript net/root/transcripts/0001.txt --root root.pem
    """
    console = Console(highlight=False)
    with refusals(console):
        folder = transcript if transcript.is_dir() else transcript.parent
        keys = []
        for certificate in read_chain(root or folder.resolve().parent.parent / "root.pem"):
            key = certificate.public_key()
            if not isinstance(key, ec.EllipticCurvePublicKey):
                raise JukiError(Reason.CONFIGURATION_INVALID, "the root's key is not on P-256")
            keys.append(key)
        verified = verify_transcripts(folder, *keys)
        text = folder / f"{verified.ceremonies:04}.txt"
        if not transcript.is_dir():
            text = transcript.with_suffix(".txt")
        if not text.exists():
            raise JukiError(Reason.CONFIGURATION_INVALID, f"{text} does not exist")
        typer.echo(text.read_text("utf-8"))
        typer.echo(
            f"検証済み (verified): 記録 {verified.ceremonies} 件 (transcripts), "
            f"{verified.lines} 行 (lines)\n"
            f"最新の最終行のSHA-256 (digest of the very last line): {verified.head}"
        )


@app.command("key-classes")
def key_classes_command(file: CeremonyFileArgument) -> None:
    """Show every class of keys that the ceremony makes: holders, who may use it, validity.

    Example: juki hsm ceremony key-classes deploy/ceremony/example.toml
    """
    console = Console(highlight=False)
    with refusals(console):
        table = _table("鍵 key", "種類 kind", "保有 held by", "用途 use", "有効 validity")
        for one in key_classes(read_ceremony(file).plan):
            granted: dict[str, list[str]] = {}
            for socket, operation in one.uses:
                granted.setdefault(socket, []).append(operation)
            uses = [f"{socket}: {', '.join(granted[socket])}" for socket in granted]
            only = (
                "鍵セレモニーのみ (ceremonies only)" if one.label == ROOT_LABEL else "なし (none)"
            )
            table.add_row(
                one.label,
                one.kind,
                ", ".join(one.holders),
                "\n".join(uses) or only,
                f"{one.lifetime.days} days" if one.lifetime else "",
            )
        console.print(table)


def _due(read: ReadCeremony) -> list[Work]:
    return works(read.plan, datetime.now(UTC))


def _seats(
    console: Console, read: ReadCeremony, folder: Path | None
) -> Callable[[Officers], OfficersTable]:
    """Seats officers at the table: people at the terminal, or files."""
    if folder is not None:
        answers = passphrases_in(folder)
        return lambda officers: read.table(officers, answers)
    people = OfficersAtTheTerminal(console, read.folder_of)
    return lambda officers: read.table(officers, people, ATTEMPTS, people.refused)


def _confirm(*, asks: bool) -> None:
    if asks:
        typer.confirm("開始しますか (begin)?", abort=True)


def _table(*titles: str) -> Table:
    """Cuts no name short."""
    return Table(*(Column(title, overflow="fold") for title in titles))


def _totals(due: Sequence[Work]) -> str:
    count = Counter(str(work.what) for work in due)
    return "作るもの (to make): " + ", ".join(f"{what} {n}" for what, n in count.items())


def _committee(officers: Officers) -> str:
    return f"{officers.threshold} of {len(officers.names)} ({', '.join(officers.names)})"


def _say_nothing_due(console: Console, read: ReadCeremony) -> None:
    sealed = ceremony_files(read.plan.directory).sealed_pins
    if sealed.exists() and not read.officers.are_same(holders_of(sealed)):
        console.print(
            "鍵管理者が定義ファイルと異なります (the file names other officers than hold shares): "
            "juki hsm ceremony reshare",
            style="yellow",
        )
    console.print("変更なし (nothing to do): everything the file asks for is there.")


def _show(console: Console, read: ReadCeremony, text: Path | None) -> None:
    if text is None:
        return
    typer.echo(text.read_text("utf-8"))
    root = ceremony_files(read.plan.directory).directory
    console.print(f"記録 (transcript): {text}", soft_wrap=True)
    console.print(
        f"印刷して署名し、{root} をこの機械から外して保管すること "
        f"(print and sign it; take {root.name}/ off this machine).",
        highlight=False,
        soft_wrap=True,
    )


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Callable[[Work], None]]:
    """A bar that appears with the first work done: before that, officers are being asked."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, console=console)
    task = bar.add_task("", total=total)

    def told(work: Work) -> None:
        bar.start()
        bar.update(task, advance=1, description=str(work))

    try:
        yield told
    finally:
        bar.stop()


@contextmanager
def refusals(console: Console) -> Iterator[None]:
    """Says a refusal in its own words and ends the command with 1."""
    try:
        yield
    except JukiError as error:
        console.print(error.message, style="bold red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
