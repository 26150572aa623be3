"""`juki hsm rotate` and `juki hsm retire`: new generations of keys, and the end of old ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hsm.ceremony import Ceremony
from hsm.ceremony_cli import refusals
from hsm.ceremony_file import read_ceremony
from hsm.officer_terminal import ATTEMPTS, OfficersAtTheTerminal
from hsm.officers import passphrases_in
from hsm.plan_file import read_plan
from hsm.provision import unattended_table
from hsm.retirement import Retirement, hold_retirement
from hsm.rotation import Rotation, hold_rotation

FileArgument = Annotated[
    Path,
    typer.Argument(
        help="Ceremony file; with --directory the plan file of `juki hsm init`.",
        metavar="FILE",
        dir_okay=False,
    ),
]
ClassOption = Annotated[
    str, typer.Option("--class", help="Class of keys, as `juki hsm ceremony key-classes` lists it.")
]
HostOption = Annotated[
    list[str] | None,
    typer.Option("--host", help="At this holder; may be repeated. Default: all that are here."),
]
DirectoryOption = Annotated[
    Path | None,
    typer.Option(help="Directory of a network of `juki hsm init`, whose officer is generated."),
]
PassphrasesOption = Annotated[
    Path | None,
    typer.Option(
        help="For automation: directory of files named for the officers. Without it officers "
        "type their passphrases on the terminal.",
        file_okay=False,
    ),
]


def rotate_command(
    *,
    file: FileArgument,
    key_class: ClassOption,
    host: HostOption = None,
    directory: DirectoryOption = None,
    passphrases: PassphrasesOption = None,
) -> None:
    """Make a new generation of a class of keys and put it in use, while everything runs.

    Custody notices by itself; the old generation stays for what was signed and wrapped with it.
    Rotate a root well before its authorities, and those a minute before the rest: `root.pem` and
    the authorities' first revocation lists have to reach every host.

    \b
    Examples:
      juki hsm rotate juki.toml --class signing --host cs-221309
      juki hsm rotate network.toml --directory /var/lib/juki --class wrapping
    """
    console = Console(highlight=False)
    with refusals(console):
        ceremony = _ceremony(console, file, directory, passphrases)
        _show(console, hold_rotation(ceremony, Rotation(key_class, tuple(host or ()))))


def retire_command(
    *,
    file: FileArgument,
    key_class: ClassOption,
    generation: Annotated[int, typer.Option(help="Which one; never the one in use.", min=1)],
    host: HostOption = None,
    destroy: Annotated[
        bool, typer.Option("--destroy", help="Destroy keys that were taken out of use before.")
    ] = False,
    directory: DirectoryOption = None,
    passphrases: PassphrasesOption = None,
) -> None:
    """Take an old generation out of use; with --destroy, later, destroy its keys for good.

    Between the two restart the servers, and restore no backup that still needs the old wrapping
    key. Deleting the file CLASS.N.retired beside the certificates puts a generation back.

    \b
    Examples:
      juki hsm retire juki.toml --class tls-client --generation 1
      juki hsm retire juki.toml --class tls-client --generation 1 --destroy
    """
    console = Console(highlight=False)
    with refusals(console):
        ceremony = _ceremony(console, file, directory, passphrases)
        retirement = Retirement(key_class, generation, tuple(host or ()), destroy)
        _show(console, hold_retirement(ceremony, retirement))


def _ceremony(
    console: Console, file: Path, directory: Path | None, passphrases: Path | None
) -> Ceremony:
    if directory is not None:
        plan = read_plan(file, directory.resolve())
        return Ceremony(plan, unattended_table(plan))
    read = read_ceremony(file)
    answers = (
        passphrases_in(passphrases)
        if passphrases
        else OfficersAtTheTerminal(console, read.folder_of)
    )
    # SoftHSM's configuration holds an absolute path: custody may be started from anywhere.
    plan = replace(read.plan, directory=read.plan.directory.resolve())
    table = read.table(read.officers, answers, 1 if passphrases else ATTEMPTS)
    return Ceremony(plan, table, file_digest=read.digest)


def _show(console: Console, text: Path) -> None:
    typer.echo(text.read_text("utf-8"))
    console.print(f"記録 (transcript): {text}", soft_wrap=True)
