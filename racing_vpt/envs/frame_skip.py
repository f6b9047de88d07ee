"""Frame skip: each action is held for several frames."""

from typing import SupportsFloat

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs


class FrameSkip(gymnasium.Wrapper, RecordConstructorArgs):
    """Repeats each action, sums the rewards and stops at the end of the episode.

    An environment with a `drawing` switch and a `draw()` method (the fast CarRacing) draws only the last of the frames.

    Args:
        env: environment with its time limit, which counts frames.
        num_frames: frames per decision.
    """

    def __init__(self, env: gymnasium.Env, num_frames: int) -> None:
        RecordConstructorArgs.__init__(self, num_frames=num_frames)
        super().__init__(env)
        self.num_frames = num_frames

    def step(self, action: np.ndarray | int) -> tuple[np.ndarray, SupportsFloat, bool, bool, dict]:
        """As gymnasium's; the observation after the last frame, and the sum of the rewards."""
        core = self.env.unwrapped
        draws_on_demand = hasattr(core, "drawing")
        total = 0.0
        try:
            if draws_on_demand:
                core.drawing = False  # type: ignore[attr-defined]
            for _ in range(self.num_frames):
                observation, reward, terminated, truncated, info = self.env.step(action)
                total += float(reward)
                if terminated or truncated:
                    break
        finally:
            if draws_on_demand:
                core.drawing = True  # type: ignore[attr-defined]
        if draws_on_demand:
            observation = core.draw()  # type: ignore[attr-defined]
        return observation, total, terminated, truncated, info
