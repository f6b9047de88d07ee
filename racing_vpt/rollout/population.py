"""Many World Models controllers at once, each in its own environment, sharing one VAE and one MDN-RNN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import gymnasium
import numpy as np
import torch
from torch import Tensor

from racing_vpt.dream import DreamEnv
from racing_vpt.envs.make import FAST_ID, make_env
from racing_vpt.frames import prepare
from racing_vpt.nn.memory_world import MemoryWorld
from racing_vpt.nn.world import WorldNet, drive
from racing_vpt.rollout.episodes import RunningEpisode
from racing_vpt.types import FrameSpec

FRAME_COST = 0.1  # CarRacing's cost of each frame
WHOLE_EPISODE = 1000  # frames


class DriveTask(NamedTuple):
    """N controllers to evaluate.

    Args:
        controllers: float [N, parameters].
        seeds: seed of each controller's track.
        patience: frames without a positive reward after which an episode is ended; None: never. Its return is then
            computed as if it had earned nothing more until the end, a lower bound in CarRacing.
    """

    controllers: np.ndarray
    seeds: list[int]
    patience: int | None = None


@dataclass
class DrivePopulation:
    """Callable that drives a task's controllers to the ends of their episodes and returns their returns, float64 [N].

    Args:
        world: VAE and MDN-RNN.
        frames: input frames of the VAE; controls are held for its stride.
        env: environment id.
        max_frames: maximum length of an episode in frames; None: the environment's own.
    """

    world: WorldNet
    frames: FrameSpec
    env: str = FAST_ID
    max_frames: int | None = None
    envs: list[gymnasium.Env] = field(default_factory=list, repr=False)

    @torch.inference_mode()
    def __call__(self, task: DriveTask) -> np.ndarray:
        parameters, stride = torch.as_tensor(task.controllers, dtype=torch.float32), self.frames.stride
        while len(self.envs) < len(task.seeds):
            self.envs.append(make_env(self.env, frame_skip=stride))
        most = None if self.max_frames is None else -(-self.max_frames // stride)
        envs = self.envs[: len(task.seeds)]
        episodes = [RunningEpisode(env, seed, None, most) for env, seed in zip(envs, task.seeds, strict=True)]
        state, rows = self.world.initial_state(len(episodes)), list(range(len(episodes)))
        quiet, earned = [0] * len(episodes), np.zeros(len(episodes))
        while rows:
            pictures = prepare(np.stack([episodes[row].frame for row in rows]), self.frames)
            z = self.world.vae.encode(torch.from_numpy(np.ascontiguousarray(pictures))).mean
            actions = drive(parameters, self.world.features(z, state))
            state = self.world.remember(z, actions, state)
            going = []
            for place, (row, action) in enumerate(zip(rows, actions.tolist(), strict=True)):
                episode, before = episodes[row], episodes[row].score
                episode.step(dict(zip(self.world.controls, action, strict=True)))
                quiet[row] = 0 if episode.score > before else quiet[row] + stride
                earned[row] = episode.score
                if task.patience is not None and quiet[row] >= task.patience and not episode.done:
                    earned[row] -= FRAME_COST * max(0, (self.max_frames or WHOLE_EPISODE) - episode.frames * stride)
                elif not episode.done:
                    going.append(place)
            if len(going) < len(rows):  # finished episodes are left out of the batch
                parameters, state = parameters[going], (state[0][going], state[1][going])
                rows = [rows[place] for place in going]
        return earned

    def __getstate__(self) -> dict:
        return {**vars(self), "envs": []}


def dream_returns(
    world: WorldNet, starts: Tensor, parameters: np.ndarray, seeds: Sequence[int], tau: float, steps: int
) -> np.ndarray:
    """Returns float64 [N, len(seeds)] of N controllers [N, parameters], each in one dream per seed.

    All controllers of a seed share the start and the random numbers; a dream has at most `steps` steps.
    """
    if world.memory is None:
        raise ValueError("a controller without a memory cannot dream; give --model.memory_use trained")
    count = len(parameters)
    controllers = torch.as_tensor(parameters, dtype=torch.float32).repeat_interleave(len(seeds), 0)
    env = DreamEnv(MemoryWorld(world.vae, world.memory, world.controls, count), starts, count * len(seeds), tau, steps)
    seen, _ = env.reset(seed=seeds[0])
    total, going = np.zeros(env.num_envs), np.ones(env.num_envs, bool)
    while going.any():
        with torch.inference_mode():
            actions = drive(controllers, torch.from_numpy(seen))
        seen, reward, ended, cut, _ = env.step(actions.numpy())
        total += reward * going
        going &= ~(ended | cut)
    return total.reshape(count, len(seeds))
