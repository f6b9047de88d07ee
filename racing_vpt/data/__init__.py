"""Recordings, labels and shards, and data modules for them."""
