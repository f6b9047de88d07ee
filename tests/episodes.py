"""One episode, for tests."""

from __future__ import annotations

import gymnasium

from racing_vpt.agents.perturbation import Perturbation
from racing_vpt.rollout.episodes import EpisodeResult, EpisodeWriter, run_episodes
from racing_vpt.types import Agent


def run_episode(
    env: gymnasium.Env,
    agent: Agent,
    seed: int,
    *,
    writer: EpisodeWriter | None = None,
    perturbation: Perturbation | None = None,
    max_frames: int | None = None,
) -> EpisodeResult:
    """Drive one episode; arguments as `run_episodes`."""
    results = run_episodes(
        [env], agent, [seed], open_writer=lambda _: writer, perturbation=perturbation, max_frames=max_frames
    )
    return next(results)
