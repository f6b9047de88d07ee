"""What a game is: its controls and how each becomes classes."""
