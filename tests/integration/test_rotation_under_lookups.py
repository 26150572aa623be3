"""Every class of keys is rotated while `juki bench lookup` runs, and not one of its calls fails."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from bench.cli import app
from hsm.ceremony_file import read_ceremony
from hsm.key_classes import key_classes

CEREMONY = Path(__file__).parents[2] / "deploy" / "ceremony" / "example.toml"


def test_every_class_of_keys_is_rotated_under_lookups_without_a_failed_call() -> None:
    """The bench's client never repeats a call, and the bench fails with the first that fails."""
    options = ["--people", "300", "--rounds", "1", "--seconds", "0.5", "--rotate-keys", "--json"]
    result = CliRunner().invoke(app, ["lookup", *options])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    classes = [one.label for one in key_classes(read_ceremony(CEREMONY).plan)]
    assert {"root", "issuing-ca", "signing", "wrapping", "individual-number"} <= set(classes)
    assert sorted(figures["key_classes_rotated_meanwhile"]) == sorted(classes)
    assert figures["unary_lookups_per_second"] > 0
    assert figures["rounds"] > 1
