"""A server that is told something wrong does not start, and says what and where."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("server", ["cs_gateway", "pref_server", "national_server"])
def test_an_unknown_configuration_key_stops_the_start_with_its_name_and_the_file(
    server: str, tmp_path: Path
) -> None:
    configuration = tmp_path / "misspelt.toml"
    configuration.write_text('listen_adress = "127.0.0.1:0"\n')
    started = subprocess.run(
        [sys.executable, "-m", server, "--config", str(configuration)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert started.returncode == 1
    assert "listen_adress" in started.stderr
    assert "misspelt.toml" in started.stderr
    assert "Traceback" not in started.stderr
