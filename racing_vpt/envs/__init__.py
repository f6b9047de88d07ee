"""Environments: CarRacing (stock, and a faster one), Minecraft, Atari, and others of gymnasium."""
