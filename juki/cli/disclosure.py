"""`juki disclosure`, the discloser's half: what is due, and the acts of the office itself.

Extensions, refusals, investigations and answers are acts of J-LIS or of a governor. They are done
on their own host, beside the running server, by whoever may use its custody.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict

import national_server.tables
import pref_server.tables
from juki.cli.register import Tier, open_register
from juki.disclosure.acts import ActContent, ActKind, StoredRequest
from juki.disclosure.book import RequestBook, office
from juki.disclosure.cli import app, complaints, read_words, show
from juki.disclosure.service import shown
from juki.domain.errors import InvalidValue
from juki.domain.person_request import RefusalGround, RequestState

__all__ = ["app"]


class Discloser(StrEnum):
    """Who discloses."""

    NATIONAL = "national"
    PREF = "pref"


class Ground(StrEnum):
    """Why nothing is disclosed: want of form only."""

    IDENTITY = "identity-not-established"
    FEE = "fee-not-paid"
    WITHDRAWN = "withdrawn"


_GROUNDS = {
    Ground.IDENTITY: RefusalGround.IDENTITY_NOT_ESTABLISHED,
    Ground.FEE: RefusalGround.FEE_NOT_PAID,
    Ground.WITHDRAWN: RefusalGround.WITHDRAWN,
}


class Result(StrEnum):
    """What an investigation came to."""

    CORRECTED = "corrected"
    PARTLY = "partly-corrected"
    NOT = "not-corrected"


_RESULTS = {
    Result.CORRECTED: RequestState.CORRECTED,
    Result.PARTLY: RequestState.PARTLY_CORRECTED,
    Result.NOT: RequestState.NOT_CORRECTED,
}

TierArgument = Annotated[
    Discloser, typer.Argument(help="national or pref: whose file CONFIG is.", metavar="TIER")
]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="For example D-2026-00000012.")]
ConfigOption = Annotated[Path, typer.Option(help="The server's TOML file.", dir_okay=False)]
OfficerOption = Annotated[str, typer.Option(help="Who acts, by officer id.")]
WordsOption = Annotated[str, typer.Option(help="File with the words; - reads a pipe.")]
RequestIdOption = Annotated[str, typer.Option(help="Id of this act; the same again is done once.")]


@app.command("list")
def list_command(
    tier: TierArgument,
    config: ConfigOption,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Answered ones too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
) -> None:
    """Show what is owed to persons, and until when. What is overdue is red.

    Exits with 1 when anything is overdue.

    **Examples**

        juki disclosure list national --config /etc/juki/national.toml

        juki disclosure list pref --config pref22.toml --all --json
    """
    with complaints(), _book(tier, config) as book:
        messages, after = [], ""
        while page := book.requests(open_only=not everything, after_id=after):
            messages += [shown(stored, book) for stored in page]
            after = page[-1].id
    if as_json:
        values = [MessageToDict(one, preserving_proto_field_name=True) for one in messages]
        typer.echo(json.dumps(values, ensure_ascii=False))
    else:
        show(messages)
    if any(one.overdue for one in messages):
        raise typer.Exit(1)


@app.command()
def extend(
    tier: TierArgument,
    id_: IdArgument,
    *,
    until: Annotated[str, typer.Option(help="The new last day, 2026-12-28.")],
    reasons: WordsOption,
    officer: OfficerOption,
    config: ConfigOption,
    request_id: RequestIdOption = "",
) -> None:
    """Extend the thirty days, with reasons that the person is told in writing (Art. 30-33(2)).

    **Example**

        juki disclosure extend national D-2026-00000012 --until 2026-12-28
        --reasons reasons.txt --officer officer-7 --config national.toml
    """
    with complaints():
        content = ActContent(operator=officer, until=_day(until), words=read_words(reasons))
        _act(tier, config, id_, ActKind.EXTENDED, content, request_id)


@app.command()
def refuse(
    tier: TierArgument,
    id_: IdArgument,
    *,
    ground: Annotated[Ground, typer.Option(help="The want of form.")],
    reasons: WordsOption,
    officer: OfficerOption,
    config: ConfigOption,
    request_id: RequestIdOption = "",
) -> None:
    """Refuse a request for want of form: no identity, no fee, withdrawn.

    **Example**

        juki disclosure refuse pref D-2026-00000012 --ground withdrawn
        --reasons reasons.txt --officer officer-7 --config pref22.toml
    """
    with complaints():
        outcome = int(_GROUNDS[ground])
        content = ActContent(operator=officer, outcome=outcome, words=read_words(reasons))
        _act(tier, config, id_, ActKind.REFUSED, content, request_id)


@app.command()
def investigate(
    tier: TierArgument,
    id_: IdArgument,
    *,
    officer: OfficerOption,
    config: ConfigOption,
    request_id: RequestIdOption = "",
) -> None:
    """Begin the investigation of a correction request, and show what the person wrote.

    **Example**

        juki disclosure investigate national C-2026-00000003 --officer officer-7
        --config national.toml
    """
    with complaints():
        content = ActContent(operator=officer)
        stored = _act(tier, config, id_, ActKind.INVESTIGATION_BEGUN, content, request_id)
    typer.echo(stored.received.content.words)


@app.command()
def answer(
    tier: TierArgument,
    id_: IdArgument,
    *,
    result: Annotated[Result, typer.Option(help="What the investigation came to.")],
    words: WordsOption,
    officer: OfficerOption,
    config: ConfigOption,
    request_id: RequestIdOption = "",
) -> None:
    """Answer a correction request in writing (Art. 30-35).

    The record itself is corrected by its municipality, by a notification: nobody else may.

    **Example**

        juki disclosure answer national C-2026-00000003 --result corrected
        --words answer.txt --officer officer-7 --config national.toml
    """
    with complaints():
        outcome = int(_RESULTS[result])
        content = ActContent(operator=officer, outcome=outcome, words=read_words(words))
        _act(tier, config, id_, ActKind.ANSWERED, content, request_id)


def _act(  # noqa: PLR0917 - an act, in the order in which it is named
    tier: Discloser,
    config: Path,
    id_: str,
    kind: ActKind,
    content: ActContent,
    request_id: str,
) -> StoredRequest:
    # The same words again are the same act: a repetition under its id must bring them.
    content = replace(content, digest=hashlib.sha256(content.to_bytes()).digest())
    with _book(tier, config) as book:
        stored = book.act(id_, kind, office(request_id or secrets.token_hex(16)), content)
        show([shown(stored, book)])
    return stored


@contextmanager
def _book(tier: Discloser, config: Path) -> Iterator[RequestBook]:
    own = national_server.tables if tier is Discloser.NATIONAL else pref_server.tables
    with open_register(Tier(tier.value), config) as register:
        yield RequestBook(
            register.engine,
            register.sealing.sealer,
            (own.person_request_act, own.register_root),
            lambda: datetime.datetime.now(datetime.UTC),
        )


def _day(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise InvalidValue("a day is written 2026-12-28") from None
