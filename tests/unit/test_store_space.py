"""A disk that is nearly full is not healthy."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine

from juki.domain.errors import JukiError, Reason
from juki.store import space


def test_an_sqlite_database_needs_room_on_its_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'data.sqlite'}")
    space.require_space(engine)
    monkeypatch.setattr(space, "LEAST_FREE_BYTES", 1 << 62)
    with pytest.raises(JukiError) as refused:
        space.require_space(engine)
    assert refused.value.reason is Reason.STORE_UNAVAILABLE


@pytest.mark.parametrize("url", ["sqlite://", "postgresql+psycopg://nobody@127.0.0.1/x"])
def test_a_database_without_a_file_of_ours_is_not_asked(url: str) -> None:
    space.require_space(create_engine(url))
