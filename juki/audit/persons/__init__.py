"""From a person to their entries in the audit log: the private index, and the history it gives."""
