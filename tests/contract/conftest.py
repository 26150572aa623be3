"""Fixtures of the contract tests."""

from tests.custody_fixtures import provisioned_host, trust_domain

__all__ = ["provisioned_host", "trust_domain"]
