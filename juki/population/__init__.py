"""Synthetic residents in real municipalities and towns, for demos, tests and benchmarks."""
