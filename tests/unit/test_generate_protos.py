"""The committed code of the contracts is what the contracts say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from juki.devtools.generate_protos import main

ROOT = Path(__file__).resolve().parents[2]


def test_the_committed_code_is_up_to_date() -> None:
    assert main(["--check", "--root", str(ROOT)]) == 0


def test_stale_code_is_found_and_mended(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    shutil.copytree(ROOT / "juki" / "v1", tmp_path / "juki" / "v1")
    shutil.copytree(ROOT / "juki" / "_vendor", tmp_path / "juki" / "_vendor")
    arguments = ["--root", str(tmp_path)]
    contract = tmp_path / "proto" / "juki" / "v1" / "health.proto"
    text = contract.read_text(encoding="utf-8")
    contract.write_text(text.replace("bool passed", "bool succeeded"), encoding="utf-8")
    orphan = tmp_path / "juki" / "v1" / "gone_pb2.py"
    orphan.touch()
    assert main(["--check", *arguments]) == 1
    assert "health_pb2.py" in capfd.readouterr().err
    assert main(arguments) == 0
    assert not orphan.exists()
    assert main(["--check", *arguments]) == 0
