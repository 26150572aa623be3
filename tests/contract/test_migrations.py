"""Migrations lead from an empty database to the tables of the code, and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import URL, Engine, MetaData, inspect

import juki.store
from juki.store.engine import migrate, open_engine
from national_server.tables import metadata as national
from pref_server.tables import metadata as prefectural

SCHEMAS = pytest.mark.parametrize(
    ("schema", "metadata"), [("national", national), ("prefectural", prefectural)]
)


@pytest.fixture
def empty(database_url: str | URL) -> Iterator[Engine]:
    """An engine on an empty database."""
    one = open_engine(database_url)
    yield one
    one.dispose()


def differences(engine: Engine, metadata: MetaData) -> list[object]:
    """What a further migration would have to change, types and defaults included."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))


def downgrade(engine: Engine, schema: str) -> None:
    """All the way, as an operator would with Alembic."""
    migrations = Path(juki.store.__file__).parent / "migrations"
    config = Config()
    config.set_main_option("path_separator", "os")
    config.set_main_option("script_location", str(migrations))
    config.set_main_option("version_locations", str(migrations / schema))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")


@SCHEMAS
def test_the_migrated_database_has_the_tables_of_the_code(
    empty: Engine, schema: str, metadata: MetaData
) -> None:
    assert differences(empty, metadata) != []
    migrate(empty, schema)
    assert differences(empty, metadata) == []


@SCHEMAS
def test_migrating_again_changes_nothing(empty: Engine, schema: str, metadata: MetaData) -> None:
    migrate(empty, schema)
    migrate(empty, schema)
    assert differences(empty, metadata) == []


@SCHEMAS
def test_a_schema_goes_all_the_way_down_and_up_again(
    empty: Engine, schema: str, metadata: MetaData
) -> None:
    migrate(empty, schema)
    downgrade(empty, schema)
    assert inspect(empty).get_table_names() == ["alembic_version"]
    migrate(empty, schema)
    assert differences(empty, metadata) == []
