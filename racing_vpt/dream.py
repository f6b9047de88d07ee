"""The dreams of World Models as a gymnasium vector environment.

Ha & Schmidhuber 2018 (arXiv:1803.10122), section 4. An observation is the code of the dreamt frame and the LSTM's state
before it. A temperature above 1 makes dreams more random than the model predicts, and harder to exploit.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from racing_vpt.nn.memory_world import CodeState, MemoryWorld
from racing_vpt.nn.vae_net import Code

Steps = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]


def begun(starts: Tensor, rows: int, random: torch.Generator) -> Tensor:
    """Codes [rows, latent] to start dreams from, sampled from those of first frames [S, 2 * latent]."""
    mean, log_variance = starts[torch.randint(len(starts), (rows,), generator=random)].chunk(2, -1)
    return Code(mean, log_variance).sample(random)


class DreamEnv(VectorEnv):
    """Parallel dreams. A finished dream is reset at the next step, as in gymnasium's vector environments.

    Args:
        world: the world model; its `copies` groups of dreams share starts and random numbers.
        starts: codes of first frames float32 [S, 2 * latent], means and log-variances.
        num_envs: number of dreams.
        tau: temperature.
        max_steps: steps after which a dream is truncated.
    """

    def __init__(
        self,
        world: MemoryWorld,
        starts: Tensor,
        num_envs: int,
        tau: float = 1.0,
        max_steps: int = 1000,
    ) -> None:
        if not len(starts):
            raise ValueError(
                "this MDN-RNN has no episode starts stored, so it cannot dream; train it on whole episodes"
            )
        if tau < 0 or max_steps < 1 or num_envs < 1 or num_envs % world.copies:
            raise ValueError(
                f"expected tau >= 0, max_steps >= 1 and num_envs a multiple of {world.copies} copies, but they "
                f"are {tau}, {max_steps} and {num_envs}"
            )
        self.world = world
        self.starts = starts
        self.num_envs = num_envs
        self.tau = tau
        self.max_steps = max_steps
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_fps": 50}
        high = np.ones(3, np.float32)
        self.single_action_space = spaces.Box(np.array([-1, 0, 0], np.float32), high)
        self.single_observation_space = spaces.Box(
            -np.inf, np.inf, (world.memory.latent + world.memory.width,), np.float32
        )
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.random = torch.Generator()

    @torch.inference_mode()
    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict | None = None
    ) -> tuple[np.ndarray, dict]:
        """Observations float32 [N, latent + width] of new dreams, and an empty info."""
        if isinstance(seed, int):
            self.random.manual_seed(seed)
        elif seed is not None:
            raise ValueError("the dreams share one random generator: give one seed")
        self.state = self.world.initial(self.num_envs)._replace(observation=self._begin())
        self.age = np.zeros(self.num_envs, int)
        self.done = np.zeros(self.num_envs, bool)
        return self._seen(), {}

    @torch.inference_mode()
    def step(self, actions: np.ndarray) -> Steps:
        """Observations, rewards float64 [N], terminated and truncated bool [N], and an empty info."""
        given = torch.from_numpy(np.clip(np.asarray(actions, np.float32), (-1, 0, 0), 1).astype(np.float32))
        if given.shape != (self.num_envs, 3):
            raise ValueError(f"actions have the shape {tuple(given.shape)}, but [{self.num_envs}, 3] was expected")
        imagined = self.world.imagine(given, self.state, self.tau, self.random)
        self.state = cast(CodeState, imagined.state)
        group = torch.rand(self.num_envs // self.world.copies, generator=self.random)
        ended = (group.repeat(self.world.copies) < imagined.end).numpy()
        rewards = imagined.reward.double().numpy()
        self.age += 1
        if self.done.any():  # dreams that were reset in this step
            again = torch.from_numpy(self.done)[:, None]
            output, cell = self.state.memory
            code = torch.where(again, self._begin(), imagined.observation)
            self.state = CodeState((output * ~again, cell * ~again), code)
            rewards, ended = np.where(self.done, 0.0, rewards), ended & ~self.done
            self.age[self.done] = 0
        cut = (self.age >= self.max_steps) & ~ended
        self.done = ended | cut
        return self._seen(), rewards, ended, cut, {}

    def _begin(self) -> Tensor:
        rows = self.num_envs // self.world.copies
        return begun(self.starts, rows, self.random).repeat(self.world.copies, 1)

    def _seen(self) -> np.ndarray:
        assert self.state.observation is not None, "call reset first"
        return torch.cat([self.state.observation, self.state.memory[0]], -1).numpy()
