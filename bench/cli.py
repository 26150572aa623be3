"""`juki bench`: measures on this machine, and names it."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.audit import AuditFigures, measure_audit
from bench.audit_growth import SINGLE_SHARE, GrowthFigures, Stage, measure_growth
from bench.custody import BATCHES, CLIENTS, CustodyFigures, measure_custody
from bench.handshakes import CALLED_BACK, MEMORY, TOKEN
from bench.intake import IntakeFigures, IntakeLoad, measure_intake
from bench.lookup import LookupFigures, measure_lookups
from bench.lookup_client import BATCH
from bench.lookup_server import Kind
from bench.numbers import CALLERS, NumberFigures, measure_numbers
from bench.revoked_body import LIMIT_SECONDS, Refusals
from juki.domain.errors import JukiError
from juki.lookup.metrics import STAGES

app = typer.Typer(
    help="Measure on this machine.", no_args_is_help=True, pretty_exceptions_show_locals=False
)


@app.callback()
def bench() -> None:
    """Measure on this machine."""


@app.command()
def lookup(  # noqa: PLR0917 - each is an option of the command
    people: Annotated[int, typer.Option(help="Synthetic people in the index.", min=1)] = 20_000,
    rounds: Annotated[int, typer.Option(help="Rounds; the median counts.", min=1)] = 5,
    seconds: Annotated[float, typer.Option(help="Length of each measurement.", min=0.1)] = 2.0,
    rotate_keys: Annotated[
        bool, typer.Option("--rotate-keys", help="Rotate every class of keys meanwhile.")
    ] = False,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Revoke a second body that asks meanwhile.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Lookups over mutual TLS: ours (policy, record on disk, index) against a bare handler.

    Examples:

        juki bench lookup

        juki bench lookup --people 1000000 --rounds 9 --json

        juki bench lookup --rotate-keys --revoke
    """
    console = Console(stderr=True)
    try:
        with console.status("starting") as status:
            figures = measure_lookups(
                people=people,
                rounds=rounds,
                seconds=seconds,
                rotate_keys=rotate_keys,
                revoke=revoke,
                progress=status.update,
            )
    except JukiError as error:
        typer.echo(f"{error.reason}: {error.message}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps(figures.as_dict(), ensure_ascii=False))
    else:
        Console().print(_table(figures), _stage_table(figures))


@app.command()
def intake(
    entries: Annotated[int, typer.Option(help="First-time entries.", min=200)] = 8_000,
    changes: Annotated[int, typer.Option(help="Address changes.", min=200)] = 20_000,
    single_events: Annotated[int, typer.Option(help="Events timed one by one.", min=100)] = 200,
    seed: Annotated[int, typer.Option(help="The same seed makes the same people.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Sustained intake: four gateways, two prefectures, the nation, signatures verified at each.

    Examples:

        juki bench intake

        juki bench intake --changes 100000 --json
    """
    console = Console(stderr=True)
    load = IntakeLoad(entries, changes, single_events, seed)
    try:
        with console.status("starting") as status:
            figures = measure_intake(load, status.update)
    except JukiError as error:
        typer.echo(f"{error.reason}: {error.message}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps(figures.as_dict(), ensure_ascii=False))
    else:
        Console().print(_intake_table(figures))


@app.command()
def numbers(
    count: Annotated[int, typer.Option(help="Numbers made in batches.", min=500)] = 10_000,
    singles: Annotated[int, typer.Option(help="Numbers made one by one.", min=20)] = 300,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Individual Numbers made and re-made: prefecture, nation and token, durable before the answer.

    Examples:

        juki bench numbers

        juki bench numbers --count 50000 --json
    """
    console = Console(stderr=True)
    try:
        with console.status("starting") as status:
            figures = measure_numbers(count, singles, status.update)
    except JukiError as error:
        typer.echo(f"{error.reason}: {error.message}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps(figures.as_dict(), ensure_ascii=False))
    else:
        Console().print(_number_table(figures))


@app.command()
def custody(
    rounds: Annotated[int, typer.Option(help="Rounds; the median counts.", min=1)] = 5,
    seconds: Annotated[float, typer.Option(help="Length of each measurement.", min=0.1)] = 2.0,
    handshakes: Annotated[int, typer.Option(help="Handshakes of each kind.", min=5)] = 200,
    workers: Annotated[int, typer.Option(help="Custody's sessions, a process each.", min=1)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Signatures through custody against a bare loop; TLS keys in the token against in memory.

    Examples:

        juki bench custody

        juki bench custody --rounds 9 --json

        juki bench custody --workers 2
    """
    console = Console(stderr=True)
    try:
        with console.status("starting") as status:
            figures = measure_custody(
                rounds=rounds,
                seconds=seconds,
                handshakes=handshakes,
                workers=workers,
                progress=status.update,
            )
    except JukiError as error:
        typer.echo(f"{error.reason}: {error.message}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps(figures.as_dict(), ensure_ascii=False))
    else:
        for table in _custody_tables(figures):
            Console().print(table)


@app.command()
def audit(
    calls: Annotated[int, typer.Option(help="Calls for 1,000 persons each.", min=1)] = 500,
    singles: Annotated[int, typer.Option(help="Calls for one person.", min=1)] = 5_000,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a size.")] = False,
) -> None:
    """The audit log alone: cost of a leaf, durable appends, verification.

    Examples:

        juki bench audit

        juki bench audit --calls 5000 --singles 50000 --json
    """
    figures = []
    with Progress(console=Console(stderr=True), transient=True) as bar:
        for persons, number in ((1_000, calls), (1, singles)):
            task = bar.add_task(f"{persons:,} persons a call", total=number)
            figures.append(measure_audit(persons, number, lambda task=task: bar.advance(task)))  # type: ignore[misc]
    if as_json:
        for one in figures:
            typer.echo(json.dumps(one.as_dict(), ensure_ascii=False))
    else:
        Console().print(_audit_table(figures))


def _audit_table(figures: list[AuditFigures]) -> Table:
    table = Table(
        "persons a call",
        *(f"{one.persons:,}" for one in figures),
        title="The audit log",
        caption=str(figures[0].machine),
    )
    for name, values in (
        ("a call's leaf, µs of one core", [f"{one.leaf_microseconds:,.0f}" for one in figures]),
        ("durable calls a second", [f"{one.appends_a_second:,.0f}" for one in figures]),
        (
            "persons verified a second and core",
            [f"{one.verified_persons_a_second:,.0f}" for one in figures],
        ),
        ("segment bytes a person", [f"{one.segment_bytes:.1f}" for one in figures]),
    ):
        table.add_row(name, *values)
    return table


@app.command("audit-growth")
def audit_growth(
    entries: Annotated[int, typer.Option(help="Persons looked up.", min=1_000)] = 1_000_000,
    single_share: Annotated[
        float, typer.Option(help="Share of them looked up one by one.", min=0.0, max=1.0)
    ] = SINGLE_SHARE,
    directory: Annotated[
        Path | None, typer.Option(help="Where to make the log, which is removed again.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """The audit log and its private index as they grow: bytes a person, time of a history.

    Examples:

        juki bench audit-growth

        juki bench audit-growth --entries 100000000 --directory /var/tmp --json
    """
    try:
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("growing", total=1.0)

            def looked(stage: Stage) -> None:
                bar.console.print_json(json.dumps(stage.as_dict()), indent=None)

            def progress(what: str, part: float) -> None:
                bar.update(task, description=what, completed=part)

            figures = measure_growth(
                entries,
                directory=directory,
                single_share=single_share,
                progress=progress,
                looked=looked,
            )
    except JukiError as error:
        typer.echo(f"{error.reason}: {error.message}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps(figures.as_dict(), ensure_ascii=False))
    else:
        Console().print(_growth_table(figures))


def _growth_table(figures: GrowthFigures) -> Table:
    caption = f"{figures.machine}. {figures.memory_megabytes:,.0f} MB resident at most."
    if figures.visible is not None:
        caption += (
            f" A look-up is in the history after {figures.visible.median:,.0f} ms"
            f" (worst {figures.visible.worst:,.0f} ms)."
        )
    table = Table(
        "entries",
        *(f"{stage.entries:,}" for stage in figures.stages),
        title=f"{figures.single_share:.0%} of the persons one by one, the rest in batches of 1,000",
        caption=caption,
    )
    for name, cell in (
        ("records, archived, bytes a person", lambda one: f"{one.archives / one.entries:.2f}"),
        ("tree, bytes a person", lambda one: f"{one.tiles / one.entries:.2f}"),
        ("person index, bytes a person", lambda one: f"{one.index / one.entries:.2f}"),
        ("all, bytes a person", lambda one: f"{one.bytes_a_person:.2f}"),
        ("runs of the index", lambda one: f"{one.runs}"),
        ("appending, s", lambda one: f"{one.append_seconds:,.1f}"),
        ("archiving, s", lambda one: f"{one.archive_seconds:,.1f}"),
        ("indexing, s", lambda one: f"{one.index_seconds:,.1f}"),
        ("merging, s", lambda one: f"{one.merge_seconds:,.1f}"),
        ("entries of a history", lambda one: f"{one.history_entries:.1f}"),
        ("history, ms: p50 / p99", lambda one: f"{one.warm.median:.2f} / {one.warm.p99:.2f}"),
        (
            "with nothing in the page cache",
            lambda one: f"{one.cold.median:.2f} / {one.cold.p99:.2f}",
        ),
        (
            "hundred newest of many",
            lambda one: f"{one.frequent.median:.2f} / {one.frequent.p99:.2f}",
        ),
    ):
        table.add_row(name, *map(cell, figures.stages))
    return table


def _custody_tables(figures: CustodyFigures) -> tuple[Table, Table]:
    bare = median(figures.bare_per_second)
    signatures = Table(
        "signatures a second",
        "through custody",
        "bare python-pkcs11",
        "ratio",
        "processor",
        title=(
            f"{CLIENTS} client processes, one custody with {figures.workers} session(s);"
            " bare: one process, one loop"
        ),
    )
    for batch in BATCHES:
        signatures.add_row(
            f"{batch} a call",
            f"{median(figures.per_second[batch]):,.0f}",
            f"{bare:,.0f}",
            f"{figures.ratio(batch):.2f}",
            f"{figures.processor_ratio(batch):.2f}",
        )
    handshakes = Table(
        "a new connection, median",
        "figure",
        "token's to this",
        caption=f"{figures.machine}. Full TLS 1.3 handshakes with client certificates.",
    )
    for name, kind, times in (
        ("grpcio client, key in the token; first answer", TOKEN, figures.handshakes),
        ("key in memory, signs when called back", CALLED_BACK, figures.handshakes),
        ("key in memory, grpcio signs", MEMORY, figures.handshakes),
        ("nginx, key in the token; handshake", TOKEN, figures.nginx),
        ("nginx, key in a file", MEMORY, figures.nginx),
    ):
        if times.seconds:
            spent, ratio = times.milliseconds(kind), times.ratio(kind)
            handshakes.add_row(name, f"{spent:.2f} ms", f"{ratio:.2f}")
    return signatures, handshakes


def _number_table(figures: NumberFigures) -> Table:
    table = Table("Individual Numbers", "a second", caption=f"{figures.machine}.")
    table.add_row(
        f"{figures.numbers:,} in batches of {figures.batch:,}", f"{figures.batched_per_second:,.0f}"
    )
    table.add_row(f"{figures.singles:,} one by one", f"{figures.single_per_second:,.0f}")
    table.add_row(f"{figures.singles:,} re-made one by one", f"{figures.remade_per_second:,.0f}")
    together = f"by {CALLERS} callers"
    table.add_row(
        f"{figures.singles:,} one by one {together}", f"{figures.single_by_many_per_second:,.0f}"
    )
    table.add_row(
        f"{figures.singles:,} re-made {together}", f"{figures.remade_by_many_per_second:,.0f}"
    )
    return table


def _intake_table(figures: IntakeFigures) -> Table:
    table = Table(
        "through gateway, prefecture and nation",
        "figure",
        title=f"{figures.municipalities} municipalities in 2 prefectures, each process its own",
        caption=f"{figures.machine}. Every hop mutual TLS, every signature in a token; the client "
        "shares the machine.",
    )
    table.add_row(
        f"{figures.notifications:,} address changes",
        f"{figures.notifications_per_second:,.0f} notifications a second",
    )
    table.add_row(
        f"{figures.entries:,} first-time entries with code and number",
        f"{figures.entries_per_second:,.0f} notifications a second",
    )
    table.add_row(
        f"{figures.single_events} single events, until the nation's receipt is back",
        f"p50 {figures.propagation_p50_ms:.0f} ms, p99 {figures.propagation_p99_ms:.0f} ms",
    )
    year = 20_000_000 / figures.notifications_per_second / 3600
    table.add_row("the nation's yearly 20 million at that rate", f"{year:.1f} h")
    return table


def _told_of_revocation(refusals: Refusals | None) -> str:
    if refusals is None:
        return ""
    return (
        f" A body revoked meanwhile: {refusals.answered_before:,} calls answered before,"
        f" {refusals.refused_before} refused; first refused after"
        f" {refusals.refused_after_seconds:.2f} s; of {refusals.calls_after_limit:,} calls after"
        f" {LIMIT_SECONDS:.0f} s {refusals.refused_after_limit:,} refused."
    )


def _stage_table(figures: LookupFigures) -> Table:
    table = Table("microseconds a person", f"batches of {BATCH:,}", "one by one")
    many, one = (figures.stages[method] for method in ("BatchLookup", "Lookup"))
    for stage in STAGES:
        table.add_row(
            stage.replace("_", " "),
            f"{many.microseconds(stage, BATCH):.2f}",
            f"{one.microseconds(stage, 1):.0f}",
        )
    return table


def _table(figures: LookupFigures) -> Table:
    table = Table(
        "lookups a second",
        "ours",
        "bare grpcio",
        "ratio",
        title=f"{figures.people:,} people, one server process of each kind, one client process",
        caption=(
            f"{figures.machine}. Ours: mutual TLS, policy, durable record, index. Bare: mutual TLS"
            " and the same index only. Both indexes were built from generated people directly."
            + (f" Rotated meanwhile: {', '.join(figures.rotated)}." if figures.rotated else "")
            + _told_of_revocation(figures.revocation)
        ),
    )
    for name, method, persons in (
        (f"batches of {BATCH:,}", "BatchLookup", BATCH),
        ("one by one", "Lookup", 1),
    ):
        table.add_row(
            name,
            f"{persons * figures.rate(method, Kind.OURS):,.0f}",
            f"{persons * figures.rate(method, Kind.BARE):,.0f}",
            f"{figures.ratio(method):.2f}",
        )
    return table
