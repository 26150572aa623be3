"""The `juki` command."""
