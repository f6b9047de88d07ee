"""Environments: one door, `make_env`, to CarRacing (stock, and ours, drawn ten times as fast), Minecraft and others.

Importing this package registers `racing_vpt/CarRacingFast-v3` and `racing_vpt/Meadow-v0` with gymnasium and does
nothing else: Box2D, pygame, OpenCV and MineRL are loaded when an environment is made.
"""

import gymnasium

from racing_vpt.envs.make import FAST_ID, MEADOW_ID, make_env

__all__ = ["FAST_ID", "make_env"]

if FAST_ID not in gymnasium.registry:
    gymnasium.register(
        id=FAST_ID,
        entry_point="racing_vpt.envs.carracing_fast:CarRacingFast",
        max_episode_steps=1000,
        reward_threshold=900,
    )
if MEADOW_ID not in gymnasium.registry:
    gymnasium.register(id=MEADOW_ID, entry_point="racing_vpt.envs.meadow:Meadow", max_episode_steps=600)
