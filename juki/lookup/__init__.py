"""Answering lookups: the question, the decision, the record, the answer; for any tier."""
