"""Fixtures of the integration tests."""

from tests.custody_fixtures import own_host, provisioned_host, trust_domain

__all__ = ["own_host", "provisioned_host", "trust_domain"]
