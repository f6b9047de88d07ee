"""The program's one window, and the letters that are drawn into pictures."""
