"""Fixtures of the integration tests."""

from tests.custody_fixtures import own_host, provisioned_host, trust_domain
from tests.disclosure_fixtures import disclosure_server, governors_server
from tests.lookup_fixtures import lookup_server, national_custody, pension_custody

__all__ = [
    "disclosure_server",
    "governors_server",
    "lookup_server",
    "national_custody",
    "own_host",
    "pension_custody",
    "provisioned_host",
    "trust_domain",
]
