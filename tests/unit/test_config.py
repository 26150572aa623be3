"""A configuration file with a mistake stops the server and names the key, never the value."""

from __future__ import annotations

from pathlib import Path

import pytest

from juki.config import Configuration, load_config
from juki.domain.errors import JukiError, Reason


class _Listen(Configuration):
    port: int


class _Server(Configuration):
    name: str
    listen: _Listen


GOOD = 'name = "cs"\n[listen]\nport = 4433\n'


def _write(folder: Path, text: str) -> Path:
    path = folder / "server.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _refusal(path: Path) -> JukiError:
    with pytest.raises(JukiError) as caught:
        load_config(path, _Server)
    assert caught.value.reason is Reason.CONFIGURATION_INVALID
    assert caught.value.metadata["file"] == str(path)
    assert "secret" not in repr(caught.value.metadata) + str(caught.value)
    return caught.value


def test_a_good_file_is_read(tmp_path: Path) -> None:
    assert load_config(_write(tmp_path, GOOD), _Server).listen.port == 4433


def test_an_unknown_key_is_refused_by_name(tmp_path: Path) -> None:
    refusal = _refusal(_write(tmp_path, GOOD + 'prot = "secret"\n'))
    assert refusal.metadata["key"] == "listen.prot"
    assert refusal.metadata["rule"] == "extra_forbidden"


def test_an_invalid_value_is_refused_without_being_repeated(tmp_path: Path) -> None:
    refusal = _refusal(_write(tmp_path, GOOD.replace("4433", '"secret"')))
    assert refusal.metadata["key"] == "listen.port"
    assert refusal.__cause__ is None


def test_a_missing_key_is_refused_by_name(tmp_path: Path) -> None:
    assert _refusal(_write(tmp_path, "[listen]\nport = 1\n")).metadata["key"] == "name"


def test_a_file_that_is_not_toml_is_refused_by_line(tmp_path: Path) -> None:
    assert _refusal(_write(tmp_path, 'name = "a"\nsecret\n')).metadata["line"] == "2"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    _refusal(tmp_path / "none.toml")
