"""Recordings, labels and shards, and the data modules that make batches of them."""
