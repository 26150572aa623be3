"""A whole network on this machine as real processes: for the demo, the benches and the tests."""
