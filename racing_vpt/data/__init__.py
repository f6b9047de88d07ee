"""Recordings, labels, shards and videos: what is on disk, and how it becomes batches."""
