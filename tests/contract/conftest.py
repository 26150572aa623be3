"""Fixtures of the contract tests."""

from tests.custody_fixtures import provisioned_host, trust_domain
from tests.postgres_fixture import new_postgres_url, postgres_server, postgres_url
from tests.register_fixtures import database_url, engine, hosts, nation

__all__ = [
    "database_url",
    "engine",
    "hosts",
    "nation",
    "new_postgres_url",
    "postgres_server",
    "postgres_url",
    "provisioned_host",
    "trust_domain",
]
