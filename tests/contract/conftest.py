<<<<<<< HEAD
"""Fixtures of the contract tests."""

from tests.custody_fixtures import provisioned_host, trust_domain
from tests.postgres_fixture import new_postgres_url, postgres_server, postgres_url

__all__ = [
    "new_postgres_url",
    "postgres_server",
    "postgres_url",
    "provisioned_host",
    "trust_domain",
]
=======
"""Fixtures of the store's contract suite: everything runs over SQLite and over PostgreSQL."""

from tests.postgres_fixture import postgres_server
from tests.register_fixtures import database_url, engine, nation, root

__all__ = ["database_url", "engine", "nation", "postgres_server", "root"]
>>>>>>> 9f2de36 (Contract suite of the store over SQLite and PostgreSQL: migrations, intake, codes and numbers)
