"""`juki population`: synthetic residents as drop files."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from juki.domain.codes import LocalGovernmentCode
from juki.domain.errors import InvalidValue, JukiError
from juki.population.drop_file import entry_line
from juki.population.residents import DEFAULT_AS_OF, Resident, generate, generate_prefecture

_LINES_BETWEEN_UPDATES = 1000
_DEFAULT_AS_OF = datetime.datetime.combine(DEFAULT_AS_OF, datetime.time())

Sink = Callable[[Resident], BinaryIO]
"""Where the line of a resident goes."""

app = typer.Typer(help="Synthetic residents in real municipalities.", no_args_is_help=True)


@app.callback()
def population() -> None:
    """Synthetic residents in real municipalities."""


@contextmanager
def _one_file(out: Path | None) -> Iterator[Sink]:
    if out is None:
        yield lambda _resident: sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with out.open("wb") as file:
        yield lambda _resident: file


@contextmanager
def _file_per_municipality(directory: Path) -> Iterator[Sink]:
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {}

        def sink(resident: Resident) -> BinaryIO:
            code = resident.register.digits
            if code not in files:
                # Residents come register by register: the file before is complete.
                stack.close()
                files.clear()
                files[code] = stack.enter_context((directory / f"{code}.jsonl").open("wb"))
            return files[code]

        yield sink


def _chosen(
    prefecture: str | None, municipality: list[str], residents: int, seed: int, as_of: datetime.date
) -> Iterator[Resident]:
    if (prefecture is None) == (not municipality):
        raise InvalidValue("give either --prefecture or --municipality")
    if prefecture is not None:
        return generate_prefecture(prefecture, residents, seed, as_of=as_of)
    codes = [LocalGovernmentCode(digits) for digits in municipality]
    return generate(codes, residents, seed, as_of=as_of)


@app.command("generate")
def generate_command(
    *,
    residents: Annotated[int, typer.Option(min=0, help="How many residents.")],
    prefecture: Annotated[
        str | None, typer.Option(help="Two digits of a prefecture: all its municipalities.")
    ] = None,
    municipality: Annotated[
        list[str] | None,
        typer.Option(help="Local government code, six digits; may be given several times."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same people.")] = 1,
    as_of: Annotated[
        datetime.datetime,
        typer.Option(
            formats=["%Y-%m-%d"],
            show_default=DEFAULT_AS_OF.isoformat(),
            help="Day on which ages hold and of the entries.",
        ),
    ] = _DEFAULT_AS_OF,
    out: Annotated[
        Path | None, typer.Option(help="File to write; standard output if left out.")
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(help="Directory for one file a municipality, CODE.jsonl, instead of --out."),
    ] = None,
) -> None:
    """Generate residents as drop-file lines (JSON Lines), one ex-officio entry each.

    Examples:

    juki population generate --prefecture 22 --residents 100000 --out shizuoka.jsonl

    juki population generate --municipality 221309 --municipality 222038 --residents 500

    juki population generate --prefecture 22 --residents 100000 --split drop/
    """
    errors = Console(stderr=True)
    try:
        if out is not None and split is not None:
            raise InvalidValue("give either --out or --split")
        people = _chosen(prefecture, municipality or [], residents, seed, as_of.date())
    except JukiError as refusal:
        errors.print(refusal.message, style="red", markup=False)
        raise typer.Exit(2) from None
    event_date = as_of.date().isoformat()
    target = _one_file(out) if split is None else _file_per_municipality(split)
    progress = Progress(
        TextColumn("residents"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
    )
    with progress, target as sink:
        task = progress.add_task("residents", total=residents)
        for number, resident in enumerate(people, start=1):
            sink(resident).write(entry_line(resident, f"load-{seed}-{number}", event_date))
            if number % _LINES_BETWEEN_UPDATES == 0:
                progress.update(task, completed=number)
        progress.update(task, completed=residents)
