"""The window, and text drawn into pictures."""
