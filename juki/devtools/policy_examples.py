"""Makes the table and the examples of docs/policy.md anew.

Run `python -m juki.devtools.policy_examples` after a change of the law's data or of its words.
An example is a block of console text that begins with `$ juki policy …`; what follows the command
is its output. A test holds that the page says what the data and the command say.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from typer.testing import CliRunner

from juki.cli.policy import app
from juki.domain.legal_basis import Field, Manner, Tier
from juki.policy.provisions import AffairKind, Provision, Recipient, Route
from juki.policy.revisions import shipped_law

PAGE: Final = Path("docs/policy.md")
WIDTH: Final = 100
"""Columns of the examples' output."""

_EXAMPLE: Final = re.compile(
    r"(?P<head>^```console\n\$ juki policy (?P<command>(?:[^\n]*\\\n)*[^\n]*)\n)"
    r"(?P<output>.*?)(?P<foot>^```)",
    re.MULTILINE | re.DOTALL,
)
_TABLE: Final = re.compile(
    r"(?P<head>^<!-- provisions -->\n)(?P<rows>.*?)(?P<foot>^<!-- end -->)",
    re.MULTILINE | re.DOTALL,
)
_HEAD: Final = (
    "| provision | who | answers | way | affair | code | number | of whom |\n"
    "|---|---|---|---|---|---|---|---|\n"
)
_ANSWERS: Final = {
    Tier.NATIONAL: "nation",
    Tier.PREFECTURAL: "prefecture",
    Tier.MUNICIPAL: "municipality",
}
_AFFAIR: Final = {
    AffairKind.NONE: "–",
    AffairKind.ORDINANCE: "the answerer's ordinance",
    AffairKind.NUMBER_ORDINANCE: "own ordinance under 9 (2)",
    AffairKind.ORDER: "ministerial order",
    AffairKind.CONSENT: "consented to",
    AffairKind.DUTIES: "own duties",
    AffairKind.LISTED: "listed",
    AffairKind.LISTED_OR_ORDER: "listed, or of an order",
}


def regenerated(page: str) -> str:
    """The page with its table and every example's output made anew."""
    runner = CliRunner(env={"COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"})

    def run(match: re.Match[str]) -> str:
        command = shlex.split(match["command"].replace("\\\n", " "))
        lines = runner.invoke(app, command).output.splitlines()
        output = "".join(f"{line.rstrip()}\n" for line in lines)
        return match["head"] + output + match["foot"]

    table = "".join(_rows())
    page = _TABLE.sub(lambda match: match["head"] + _HEAD + table + match["foot"], page)
    return _EXAMPLE.sub(run, page)


def examples(page: str) -> list[str]:
    """The commands of the page's examples."""
    return [match["command"] for match in _EXAMPLE.finditer(page)]


def _rows() -> Iterator[str]:
    for provision in shipped_law().provisions.by_basis.values():
        for recipient in provision.recipients:
            cells = (
                provision.basis,
                _who(recipient),
                ", ".join(_ANSWERS[tier] for tier in sorted(provision.answered_by)),
                _way(provision, recipient),
                f"Table {provision.table}" if provision.table else _AFFAIR[provision.affair],
                _code(provision),
                provision.number,
                ", ".join(sorted(_words(one) for one in recipient.persons)) or "anybody",
            )
            yield f"| {' | '.join(cells)} |\n"


def _who(recipient: Recipient) -> str:
    kinds = ", ".join(sorted(_words(kind) for kind in recipient.kinds))
    return kinds if recipient.place == "anywhere" else f"{kinds}: {_words(recipient.place)}"


def _way(provision: Provision, recipient: Recipient) -> str:
    if provision.manner is not Manner.LOOK_UP:
        return {Manner.STATISTICS: "totals only", Manner.PUSH: "pushed"}[provision.manner]
    if recipient.route is Route.THROUGH_GOVERNOR:
        return "by way of the governor"
    return "own use" if provision.own_use else "directly"


def _code(provision: Provision) -> str:
    if Field.RESIDENT_RECORD_CODE not in provision.fields:
        return "no"
    return "alone" if len(provision.fields) == 1 else "yes"


def _words(name: str) -> str:
    return "J-LIS" if name == "j_lis" else name.replace("_", " ")


def main() -> int:
    """Writes the page anew."""
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(regenerated(text), encoding="utf-8")
    sys.stdout.write(f"{PAGE}: {len(examples(text))} examples\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
