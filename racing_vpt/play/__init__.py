"""Showing: windows, panels, films, viewers."""
