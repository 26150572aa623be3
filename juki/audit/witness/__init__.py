"""Other tiers watch a log grow: they co-sign its checkpoints, and keep what they co-signed."""
