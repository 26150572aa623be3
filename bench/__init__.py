"""Benchmarks, with their peers, run by `juki bench`."""
