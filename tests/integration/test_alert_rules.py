"""Alerts: every rule is well formed, and fires and clears in a test of its own (promtool)."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

RULES = Path(__file__).parents[2] / "deploy" / "prometheus"


def promtool(*arguments: str) -> None:
    ran = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("rules", sorted(RULES.glob("*.rules.yml")), ids=lambda file: file.stem)
def test_rules_are_well_formed_and_fire_and_clear_as_their_test_says(rules: Path) -> None:
    cases = RULES / "tests" / rules.name.replace(".rules.yml", ".test.yml")
    promtool("check", "rules", str(rules))
    promtool("test", "rules", str(cases))


@pytest.mark.parametrize("rules", sorted(RULES.glob("*.rules.yml")), ids=lambda file: file.stem)
def test_every_alert_has_a_case_in_which_it_fires(rules: Path) -> None:
    cases = (RULES / "tests" / rules.name.replace(".rules.yml", ".test.yml")).read_text("utf-8")
    fired = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n\s+- exp_labels", cases))
    assert fired == set(re.findall(r"- alert: (\w+)", rules.read_text("utf-8")))
