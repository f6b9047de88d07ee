"""Displays of the controls in the picture, read as labels."""
