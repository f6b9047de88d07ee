"""Windows on an X display: finding and capturing them, reading and pressing keys. Needs the extra `[screen]`."""
