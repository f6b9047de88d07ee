"""Benchmarks of `racing-vpt bench`."""
