"""Many controllers at once, each in its own environment, with one eye and one memory for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import gymnasium
import numpy as np
import torch
from torch import Tensor

from racing_vpt.dream import DreamEnv
from racing_vpt.envs.make import FAST_ID, make_env
from racing_vpt.frames import prepare
from racing_vpt.nn.world import WorldNet, drive
from racing_vpt.rollout import Episode
from racing_vpt.types import FrameSpec

Task = tuple[np.ndarray, list[int]]
"""Controllers float [N, numbers], and the seed of the track that each of them drives."""


@dataclass
class DrivePopulation:
    """Drives a task's controllers to the ends of their episodes; call it for their returns float64 [N].

    Args:
        world: eye and memory.
        frames: what the eye wants to see.
        env: environment.
        max_frames: end episodes after so many frames; None leaves it to the environment.
    """

    world: WorldNet
    frames: FrameSpec
    env: str = FAST_ID
    max_frames: int | None = None
    envs: list[gymnasium.Env] = field(default_factory=list, repr=False)

    @torch.inference_mode()
    def __call__(self, task: Task) -> np.ndarray:
        parameters, seeds = torch.as_tensor(task[0], dtype=torch.float32), task[1]
        while len(self.envs) < len(seeds):
            self.envs.append(make_env(self.env))
        envs = self.envs[: len(seeds)]
        episodes = [Episode(env, seed, None, self.max_frames) for env, seed in zip(envs, seeds, strict=True)]
        state, rows = self.world.initial_state(len(seeds)), list(range(len(seeds)))
        while rows:
            pictures = prepare(np.stack([episodes[row].frame for row in rows]), self.frames)
            z = self.world.vae.encode(torch.from_numpy(np.ascontiguousarray(pictures))).mean
            actions = drive(parameters, self.world.features(z, state))
            state = self.world.remember(z, actions, state)
            for row, (steering, throttle, brake) in zip(rows, actions.tolist(), strict=True):
                episodes[row].step({"steering": steering, "throttle": throttle, "brake": brake})
            going = [place for place, row in enumerate(rows) if not episodes[row].done]
            if len(going) < len(rows):  # nothing is computed for those that are done
                parameters, state = parameters[going], (state[0][going], state[1][going])
                rows = [rows[place] for place in going]
        return np.array([episode.score for episode in episodes])

    def __getstate__(self) -> dict:
        return {**vars(self), "envs": []}


def dream_population(
    world: WorldNet, starts: Tensor, parameters: np.ndarray, seeds: Sequence[int], tau: float, frames: int
) -> np.ndarray:
    """Returns float64 [N] of N controllers [N, numbers], each the mean of a dream for each seed.

    All controllers of a seed dream with the same random numbers, from the same start.
    """
    if world.memory is None:
        raise ValueError("a controller without a memory cannot dream; give --model.memory_use trained")
    count = len(parameters)
    controllers = torch.as_tensor(parameters, dtype=torch.float32).repeat_interleave(len(seeds), 0)
    env = DreamEnv(world.memory, starts, count * len(seeds), tau, frames, copies=count)
    seen, _ = env.reset(seed=seeds[0])
    total, going = np.zeros(env.num_envs), np.ones(env.num_envs, bool)
    while going.any():
        with torch.inference_mode():
            actions = drive(controllers, torch.from_numpy(seen))
        seen, reward, ended, cut, _ = env.step(actions.numpy())
        total += reward * going
        going &= ~(ended | cut)
    return total.reshape(count, len(seeds)).mean(1)
