"""Registers our environments with gymnasium through the package's entry point `gymnasium.envs`.

Box2D and pygame are imported when an environment is made.
"""

import gymnasium

FAST_ID = "racing_vpt/CarRacingFast-v3"
WINDOW_ID = "racing_vpt/CarRacingWindow-v3"
MEADOW_ID = "racing_vpt/Meadow-v0"
ROAD_ID = "racing_vpt/NesRoadFast-v0"


def register_envs() -> None:
    """Register our environments, if they are not registered yet."""
    for id, name in ((FAST_ID, "fast:CarRacingFast"), (WINDOW_ID, "window:CarRacingWindow")):
        if id not in gymnasium.registry:
            entry_point = f"racing_vpt.envs.carracing.{name}"
            gymnasium.register(id=id, entry_point=entry_point, max_episode_steps=1000, reward_threshold=900)
    if MEADOW_ID not in gymnasium.registry:
        gymnasium.register(id=MEADOW_ID, entry_point="racing_vpt.envs.meadow:Meadow", max_episode_steps=600)
    if ROAD_ID not in gymnasium.registry:
        gymnasium.register(
            id=ROAD_ID, entry_point="racing_vpt.envs.nes_road.fast:NesRoadFast", max_episode_steps=12_000
        )
