"""Shared by every tier: domain, contracts, storage, transport."""
