"""Stepping environments with agents: episodes, lanes, actors, populations."""
