"""Environments: one door, `make_env`, to the stock CarRacing-v3 and to ours that draws an order of magnitude faster.

Importing this package registers `racing_vpt/CarRacingFast-v3` with gymnasium and does nothing else: Box2D, pygame and
OpenCV are loaded when an environment is made.
"""

import gymnasium

from racing_vpt.envs.make import FAST_ID, make_env

__all__ = ["FAST_ID", "make_env"]

if FAST_ID not in gymnasium.registry:
    gymnasium.register(
        id=FAST_ID,
        entry_point="racing_vpt.envs.carracing_fast:CarRacingFast",
        max_episode_steps=1000,
        reward_threshold=900,
    )
