"""A world model as a batched environment: gymnasium's vector interface over a memory that dreams.

Ha & Schmidhuber 2018 (arXiv:1803.10122), section 4. An observation is the code of the frame dreamt, and what is
remembered before it. At a temperature above 1 a dream is less sure of itself than the memory is, and harder to exploit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from racing_vpt.nn.memory import MemoryNet
from racing_vpt.nn.vae_net import Code

Steps = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]


def begun(starts: Tensor, rows: int, random: torch.Generator) -> Tensor:
    """Codes [rows, latent] that dreams begin with, drawn of those of first frames [S, 2 * latent]."""
    mean, log_variance = starts[torch.randint(len(starts), (rows,), generator=random)].chunk(2, -1)
    return Code(mean, log_variance).sample(random)


class DreamEnv(VectorEnv):
    """Dreams in parallel. A dream that ended starts anew at the next step, as gymnasium's vector environments do.

    Args:
        memory: with heads for reward and end.
        starts: codes of first frames float32 [S, 2 * latent], means and log-variances.
        num_envs: dreams at once.
        tau: temperature.
        max_steps: frames until a dream is cut off.
        copies: the dreams are so many groups after each other that begin alike and draw the same random numbers.
    """

    def __init__(
        self,
        memory: MemoryNet,
        starts: Tensor,
        num_envs: int,
        tau: float = 1.0,
        max_steps: int = 1000,
        copies: int = 1,
    ) -> None:
        if memory.outcome is None:
            raise ValueError(
                "this memory has no heads for reward and end, so that nothing can be dreamt with it; train one with "
                "--model.outcomes true"
            )
        if not len(starts):
            raise ValueError("this memory saw no episode begin, so that no dream can; train it on whole episodes")
        if tau < 0 or max_steps < 1 or num_envs < 1 or num_envs % copies:
            raise ValueError(
                f"tau from 0, max_steps from 1 and a multiple of copies as num_envs were expected, but they are {tau}, "
                f"{max_steps}, {num_envs} and {copies}"
            )
        self.memory, self.starts, self.num_envs = memory, starts, num_envs
        self.tau, self.max_steps, self.copies = tau, max_steps, copies
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_fps": 50}
        high = np.ones(3, np.float32)
        self.single_action_space = spaces.Box(np.array([-1, 0, 0], np.float32), high)
        self.single_observation_space = spaces.Box(-np.inf, np.inf, (memory.latent + memory.width,), np.float32)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.random = torch.Generator()

    @torch.inference_mode()
    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict | None = None
    ) -> tuple[np.ndarray, dict]:
        """Observations float32 [N, latent + width] of new dreams, and nothing more."""
        if isinstance(seed, int):
            self.random.manual_seed(seed)
        elif seed is not None:
            raise ValueError("a dream draws for all of its rows together: give one seed")
        self.z = self._begin()
        self.state = self.memory.initial_state(self.num_envs)
        self.age = np.zeros(self.num_envs, int)
        self.done = np.zeros(self.num_envs, bool)
        return self._seen(), {}

    @torch.inference_mode()
    def step(self, actions: np.ndarray) -> Steps:
        """Observations, rewards float64 [N], terminated and truncated bool [N], and nothing more."""
        given = torch.from_numpy(np.clip(np.asarray(actions, np.float32), (-1, 0, 0), 1).astype(np.float32))
        if given.shape != (self.num_envs, 3):
            raise ValueError(f"actions have the shape {tuple(given.shape)}, but [{self.num_envs}, 3] was expected")
        self.state = self.memory.step(self.z, given, self.state)
        reward, end = self.memory.outcomes(self.state[0])
        self.z = self.memory.predict(self.state[0]).draw(self.tau, self.random, self.copies)
        group = torch.rand(self.num_envs // self.copies, generator=self.random)
        ended = (group.repeat(self.copies) < end.sigmoid()).numpy()
        rewards = reward.double().numpy()
        self.age += 1
        if self.done.any():  # these begin anew: what was just dreamt is not theirs
            again = torch.from_numpy(self.done)
            self.z = torch.where(again[:, None], self._begin(), self.z)
            self.state = (self.state[0] * ~again[:, None], self.state[1] * ~again[:, None])
            rewards, ended = np.where(self.done, 0.0, rewards), ended & ~self.done
            self.age[self.done] = 0
        cut = (self.age >= self.max_steps) & ~ended
        self.done = ended | cut
        return self._seen(), rewards, ended, cut, {}

    def _begin(self) -> Tensor:
        rows = self.num_envs // self.copies
        return begun(self.starts, rows, self.random).repeat(self.copies, 1)

    def _seen(self) -> np.ndarray:
        return torch.cat([self.z, self.state[0]], -1).numpy()
