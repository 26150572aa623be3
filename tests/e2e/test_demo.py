"""The demo holds on a small network, and says so by its exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from juki.localnet.plan import AGENCIES_FILE

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


SABOTAGE = """
import sys
from functools import partial
from pathlib import Path
import juki.demo.run
from juki.localnet.plan import NetworkPlan
juki.demo.run.NetworkPlan = partial(NetworkPlan, agencies_file=Path(sys.argv.pop(1)))
from juki.cli.main import app
app()
"""


@pytest.mark.slow
def test_a_demo_in_which_something_does_not_hold_says_what_and_fails(tmp_path: Path) -> None:
    """The foreign ministry is let into the pension's affair, which the story says is refused."""
    registered = AGENCIES_FILE.read_text(encoding="utf-8")
    let_in = registered.replace(
        'name = "外務省"\nroute = "national"\n',
        'name = "外務省"\nroute = "national"\n\n[[agency.grant]]\ntable = 1\nitem = "77"\n'
        'individual_number = { item = "46" }\nsearch_keys = ["INDIVIDUAL_NUMBER"]\n',
    )
    assert let_in != registered
    agencies = tmp_path / "agencies.toml"
    agencies.write_text(let_in, encoding="utf-8")
    demo = subprocess.run(
        [
            *(sys.executable, "-c", SABOTAGE, str(agencies)),
            *("demo", "--residents", "4000", "--events", "20"),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert demo.returncode == 1, demo.stdout + demo.stderr
    assert "something failed" in demo.stdout
    failed = [line for line in demo.stdout.splitlines() if "FAILS" in line]
    assert any("not registered" in line for line in failed), demo.stdout
