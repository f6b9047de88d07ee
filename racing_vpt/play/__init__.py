"""Watching and playing: windows, panels, films, viewers."""
