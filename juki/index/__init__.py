"""The lookup index: derived from the register, rebuilt from it at any time."""
