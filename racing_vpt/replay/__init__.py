"""Replay buffers of experience, and their data modules."""
