"""Agents: whoever drives. Scripted experts, chance, a person at the keyboard, or a checkpoint."""

from racing_vpt.agents.load import load_agent

__all__ = ["load_agent"]
