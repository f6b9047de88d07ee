"""`racing-vpt bench`: speeds on this machine, as ratios within one run where two ways are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def bench(
    what: Literal["all", "envs", "label", "policy", "dream", "imagination", "search", "dqn", "guards"] = "all",
    checkpoint: str = "zoo:idm-carracing",
    frames: int = 2000,
    json: Path | None = None,
) -> None:
    """Measure the speed of environments, labelling, policies, world models and training on this machine.

    Args:
        what: `envs` (fast and stock CarRacing, and envpool's where it is installed), `label`, `policy` (a step with
            memory at tiny, small and 1x, and 2x on a GPU), `dream` (controllers in a world model), `imagination`
            (IRIS's world model with and without its KV cache), `search` (controllers in the environment), `dqn`
            (training, and stable-baselines3's where it is installed), `guards` (overhead of the guards against NaN,
            signals and damaged checkpoints), or `all`.
        checkpoint: inverse dynamics model for `label`.
        frames: frames per environment, and decisions of the DQN.
        json: file for the figures.
    """
    figures: dict[str, object] = {}
    if what in ("all", "envs"):
        from racing_vpt.bench.envs import bench_envs

        figures["envs"] = bench_envs(frames)
    if what in ("all", "label"):
        from racing_vpt.bench.label import bench_label

        figures["label"] = bench_label(checkpoint)
    if what in ("all", "policy"):
        from racing_vpt.bench.policy import bench_policy

        figures["policy"] = bench_policy()
    if what in ("all", "dream"):
        from racing_vpt.bench.dream import bench_dream

        figures["dream"] = bench_dream()
    if what in ("all", "imagination"):
        from racing_vpt.bench.imagination import bench_imagination

        figures["imagination"] = bench_imagination()
    if what in ("all", "search"):
        from racing_vpt.bench.search import bench_search

        figures["search"] = bench_search()
    if what in ("all", "dqn"):
        from racing_vpt.bench.dqn import bench_dqn

        figures["dqn"] = bench_dqn(frames)
    if what in ("all", "guards"):
        from racing_vpt.bench.guards import bench_guards

        figures["guards"] = bench_guards()
    if json is not None:
        from racing_vpt.files import write_json
        from racing_vpt.outputs import sole_writer_of

        with sole_writer_of(json):
            write_json(json, figures)
