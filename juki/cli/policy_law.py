"""`juki policy explain` and `juki policy diff`: what the law of a day says, and what changes it."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from juki.domain.errors import JukiError
from juki.domain.legal_basis import AffairReference, Field, LegalBasis, Manner, SearchKey, Tier
from juki.policy import wording
from juki.policy.difference import RuleChange, difference
from juki.policy.evaluator import Policy
from juki.policy.explaining import Explanation, Inquiry, explain
from juki.policy.revisions import Law, load_revision, shipped_law

_JAPAN: Final = timezone(timedelta(hours=9))
_SHIPPED: Final = "shipped"


def explain_command(  # noqa: PLR0917 - a command's options
    agency: Annotated[str, typer.Option(help="Identity (URI) of the body that asks.")],
    policy: Annotated[
        Path, typer.Option(help="TOML file of the registered bodies.", dir_okay=False)
    ],
    affair: Annotated[
        str | None, typer.Option(help='Row of an Appended Table, for example "1:77".')
    ] = None,
    provision: Annotated[
        str | None, typer.Option(help='Another provision, for example "30-15(1)(ii)".')
    ] = None,
    affair_id: Annotated[
        str, typer.Option(help="Registered id of the ordinance's, order's or consent's affair.")
    ] = "",
    at: Annotated[
        str | None,
        typer.Option(help="Day or instant, Japan Standard Time unless it says another; now."),
    ] = None,
    fields: Annotated[
        str | None, typer.Option(help="Fields, separated by commas; all of them.")
    ] = None,
    key: Annotated[SearchKey | None, typer.Option(parser=lambda t: SearchKey[t])] = None,
    tier: Annotated[
        Tier | None,
        typer.Option(
            parser=lambda t: Tier[t.upper()],
            help="national, prefectural or municipal; the provision's own.",
        ),
    ] = None,
    place: Annotated[
        str | None, typer.Option(help="Who answers: two digits, or six of a municipality.")
    ] = None,
    via: Annotated[str | None, typer.Option(help="Identity of the relaying governor.")] = None,
    direct: Annotated[bool, typer.Option(help="Asked directly, whatever the law wants.")] = False,
    single: Annotated[
        bool, typer.Option(help="One person is to be looked up, whatever the law wants.")
    ] = False,
    revisions: Annotated[
        Path | None, typer.Option(help="Directory of later revisions of the law.", file_okay=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Which provision grants or refuses each field to a body, in words, with the article.

    What is not said (way, search key, who answers) is taken as the provision would have it. Exit
    code 0: answered. 1: the whole call is refused. 2: the question cannot be understood.

    \b
    Examples:
      juki policy explain --policy agencies.toml --agency spiffe://agency.juki.example/nenkin \\
        --affair 1:77 --at 2026-05-28
      juki policy explain --policy agencies.toml --agency spiffe://agency.juki.example/aichi \\
        --provision "30-15(1)(iii)" --affair-id aichi-sakura --json
    """
    try:
        inquiry = Inquiry(
            agency,
            _basis(affair, provision, affair_id),
            _instant(at),
            _fields(fields),
            key,
            tier,
            place,
            via,
            direct,
            Manner.LOOK_UP if single else None,
        )
        told = explain(Policy.load(policy, revisions), inquiry)
    except (JukiError, ValueError) as error:
        _stop(error)
    if as_json:
        typer.echo(json.dumps(explanation_as_json(told), ensure_ascii=False, indent=2))
    else:
        show_explanation(Console(), told)
    raise typer.Exit(0 if told.granted else 1)


def diff_command(
    old: Annotated[str, typer.Argument(help="Directory of a revision, or `shipped`.")],
    new: Annotated[str, typer.Argument(help="Directory of a revision, named by its first day.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """The rules that a revision of the law adds, removes or changes.

    Exit code 0: nothing differs. 1: something does. 2: a revision cannot be read.

    \b
    Examples:
      juki policy diff shipped /etc/juki/law/2026-08-22
      juki policy diff /etc/juki/law/2026-08-22 /etc/juki/law/2027-04-01 --json
    """
    try:
        before, after = _law(old), _law(new)
    except JukiError as error:
        _stop(error)
    changes = difference(before, after)
    if as_json:
        report = {
            "old": before.first_day.isoformat(),
            "new": after.first_day.isoformat(),
            "changes": [dataclasses.asdict(change) for change in changes],
        }
        typer.echo(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        _show_changes(Console(), before, after, changes)
    raise typer.Exit(1 if changes else 0)


def show_explanation(console: Console, told: Explanation) -> None:
    """Prints it, Japanese first."""
    facts = Table(show_header=False, title="判断の前提 / what it stands on", title_justify="left")
    facts.add_column(overflow="fold")
    facts.add_column(overflow="fold")
    for name, value in told.facts:
        facts.add_row(str(name), str(value))
    console.print(facts)
    if told.refusal is not None:
        console.print(f"[red]拒否[/] {told.refusal.japanese}", highlight=False)
        console.print(f"[red]refused[/] {told.refusal.english}", highlight=False)
        console.print(f"{told.reason}: {told.detail}", markup=False, highlight=False)
        return
    fields = Table(title="項目ごとの判断 / field by field", title_justify="left")
    for column in ("項目 / field", "判断", "条項 / article", "理由 / why"):
        fields.add_column(column, overflow="fold")
    for line in told.lines:
        verdict = "[green]提供\ngranted[/]" if line.granted else "[yellow]除外\nwithheld[/]"
        article = wording.article(line.article).japanese.removeprefix("住民基本台帳法")
        fields.add_row(
            str(wording.FIELD_WORDS[line.field]),
            verdict,
            f"{article}\n{line.article}",
            str(line.why),
        )
    console.print(fields)


def explanation_as_json(told: Explanation) -> dict[str, object]:
    """The same for machines."""
    return {
        "granted": told.granted,
        "reason": told.reason,
        "detail": told.detail,
        "facts": {
            name.english: {"japanese": value.japanese, "english": value.english}
            for name, value in told.facts
        },
        "fields": [
            {
                "field": line.field.name,
                "granted": line.granted,
                "article": line.article,
                "japanese": line.why.japanese,
                "english": line.why.english,
            }
            for line in told.lines
        ],
    }


def _basis(affair: str | None, provision: str | None, affair_id: str) -> LegalBasis:
    if (affair is None) == (provision is None):
        raise ValueError("one of --affair and --provision says on what basis")
    if affair is not None:
        return LegalBasis.of_row(AffairReference.parse(affair))
    return LegalBasis(provision or "", affair_id)


def _instant(text: str | None) -> int:
    if text is None:
        return time.time_ns()
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=_JAPAN)
    return int(moment.timestamp()) * 10**9


def _fields(text: str | None) -> frozenset[Field]:
    if text is None:
        return frozenset(Field)
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in Field.__members__]:
        raise ValueError(f"{unknown[0]} is none of {', '.join(Field.__members__)}")
    return frozenset(Field[name] for name in names)


def _law(text: str) -> Law:
    return shipped_law() if text == _SHIPPED else load_revision(Path(text))


def _show_changes(console: Console, old: Law, new: Law, changes: Iterable[RuleChange]) -> None:
    changes = list(changes)
    console.print(
        f"{old.first_day} → {new.first_day}: {len(changes)} rules differ", highlight=False
    )
    if not changes:
        return
    shown = Table()
    for column in ("rule", "change", "before", "after"):
        shown.add_column(column, overflow="fold")
    colours = {"added": "green", "removed": "red", "changed": "yellow"}
    for change in changes:
        colour = colours[change.change]
        shown.add_row(
            f"{change.kind} {change.name}",
            f"[{colour}]{change.change}[/]",
            change.before,
            change.after,
        )
    console.print(shown)


def _stop(error: Exception) -> NoReturn:
    message = error.message if isinstance(error, JukiError) else str(error)
    Console(stderr=True).print(message, style="red", markup=False, highlight=False)
    raise typer.Exit(2) from None
