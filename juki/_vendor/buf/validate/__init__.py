"""Generated code of third-party contracts."""
