"""The law's tables, and a writer of small registry files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from juki.policy.revisions import Law, shipped_law
from juki.policy.tables import LegalTables, load_tables


@pytest.fixture(scope="session")
def tables() -> LegalTables:
    return load_tables()


@pytest.fixture(scope="session")
def law() -> Law:
    return shipped_law()


@pytest.fixture
def registry_file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "agencies.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
