"""The demo holds on a small network, and says so by its exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_demo_plays_its_story_and_everything_holds() -> None:
    demo = subprocess.run(
        [sys.executable, "-m", "juki", "demo", "--residents", "4000", "--events", "20"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "everything held" in demo.stdout
    assert "FAILS" not in demo.stdout
