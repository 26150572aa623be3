"""The custody bench measures real processes against their peers and leaves nothing behind."""

from __future__ import annotations

import json
import tempfile

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.custody import BATCHES


def test_the_bench_measures_custody_and_its_peers_in_one_run(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path_factory.mktemp("b")  # short: paths of unix sockets have 107 bytes at most
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    result = CliRunner().invoke(
        app,
        ["custody", "--rounds", "1", "--seconds", "0.1", "--handshakes", "5", "--json"],
    )
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert (figures["clients"], figures["rounds"]) == (4, 1)
    assert figures["bare_signatures_per_second"] > 0
    assert set(figures["ratio_to_bare"]) == {str(batch) for batch in BATCHES}
    assert all(ratio > 0 for ratio in figures["ratio_to_bare"].values())
    assert all(ratio > 0 for ratio in figures["processor_ratio_to_bare"].values())
    handshake = figures["grpcio_client_handshake"]
    assert handshake["handshakes"] == 5
    assert set(handshake["ratio_of_token"]) == {"called back", "memory"}
    nginx = figures["nginx_server_handshake"]
    assert nginx is None or nginx["ratio_of_token"]["memory"] > 0
    assert not list(temporary.iterdir())
