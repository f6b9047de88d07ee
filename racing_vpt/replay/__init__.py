"""Replay: what was experienced, kept to learn from, and its data modules."""
