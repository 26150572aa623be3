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
