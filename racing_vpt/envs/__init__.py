"""Environments: CarRacing (stock and fast), Minecraft, Atari, and any of gymnasium that offers its controls."""
