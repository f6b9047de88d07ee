"""Registers our environments with gymnasium through the package's entry point `gymnasium.envs`.

Box2D and pygame are imported when an environment is made.
"""

import gymnasium

FAST_ID = "racing_vpt/CarRacingFast-v3"
MEADOW_ID = "racing_vpt/Meadow-v0"


def register_envs() -> None:
    """Register `racing_vpt/CarRacingFast-v3` and `racing_vpt/Meadow-v0`, if they are not registered yet."""
    if FAST_ID not in gymnasium.registry:
        gymnasium.register(
            id=FAST_ID,
            entry_point="racing_vpt.envs.carracing.fast:CarRacingFast",
            max_episode_steps=1000,
            reward_threshold=900,
        )
    if MEADOW_ID not in gymnasium.registry:
        gymnasium.register(id=MEADOW_ID, entry_point="racing_vpt.envs.meadow:Meadow", max_episode_steps=600)
