"""The vectors of transparency-dev/merkle: every right proof holds, every other one is refused."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any, Final

import pytest

from juki.audit.tree import proves_consistency, proves_inclusion

DATA: Final = Path(__file__).parents[2] / "data" / "merkle"


def vectors(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return found


INCLUSION: Final = vectors("inclusion.json")
CONSISTENCY: Final = vectors("consistency.json")


@pytest.mark.parametrize("name", INCLUSION)
def test_inclusion(name: str) -> None:
    vector = INCLUSION[name]
    assert (
        proves_inclusion(
            b64decode(vector["leafHash"]),
            vector["leafIdx"],
            vector["treeSize"],
            [b64decode(one) for one in vector["proof"] or ()],
            b64decode(vector["root"]),
        )
        is not vector["wantErr"]
    )


@pytest.mark.parametrize("name", CONSISTENCY)
def test_consistency(name: str) -> None:
    vector = CONSISTENCY[name]
    assert (
        proves_consistency(
            vector["size1"],
            vector["size2"],
            b64decode(vector["root1"]),
            b64decode(vector["root2"]),
            [b64decode(one) for one in vector["proof"] or ()],
        )
        is not vector["wantErr"]
    )


def test_there_are_right_and_wrong_ones_of_both_kinds() -> None:
    for found, right, wrong in ((INCLUSION, 6, 92), (CONSISTENCY, 6, 92)):
        assert sum(not one["wantErr"] for one in found.values()) == right
        assert sum(one["wantErr"] for one in found.values()) == wrong
