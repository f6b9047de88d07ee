"""Speed of the rollouts of a controller's search, compared with one process of the stock environment."""

from __future__ import annotations

import os
import time


def bench_search(candidates: int = 64, frames: int = 300) -> dict[str, float]:
    """Let the same candidates drive the same tracks, with the search's batched rollouts and one at a time.

    Args:
        candidates: number of candidates, with random parameters; networks have the paper's sizes and random weights.
        frames: length of every episode, so that both do the same work; the slow one drives fewer candidates.

    Returns:
        `rollouts_per_second` and `stock_rollouts_per_second` (episodes of 1000 frames), and their `ratio`.
    """
    import numpy as np

    from racing_vpt.envs.make import FAST_ID, STOCK_ID
    from racing_vpt.free_cores import num_cores
    from racing_vpt.games.read import load_game
    from racing_vpt.models.controller import Controller
    from racing_vpt.processes import Pool
    from racing_vpt.rollout.population import WHOLE_EPISODE, DrivePopulation, DriveTask
    from racing_vpt.seeds import FIRST_TRAINING_SEED

    spec = load_game("carracing").world_frames
    world, cores = Controller(memory_use="random").world, num_cores()
    numbers = np.random.default_rng(0).normal(0, 0.1, (candidates, 3 * (world.width + 1)))
    numbers[:, -2] = -1  # little throttle, so that all of them stay on the map
    tasks = [DriveTask(some, [FIRST_TRAINING_SEED] * len(some)) for some in np.array_split(numbers, cores)]
    pool = Pool(DrivePopulation(world, spec, FAST_ID, frames), cores)
    try:
        pool.map(
            [DriveTask(task.controllers[:1], task.seeds[:1]) for task in tasks]
        )  # start the processes before timing
        begun = time.perf_counter()
        pool.map(tasks)
        ours = candidates * frames / WHOLE_EPISODE / (time.perf_counter() - begun)
    finally:
        pool.close()
    few = max(1, candidates // 20)
    alone = DrivePopulation(world, spec, STOCK_ID, frames)
    alone(DriveTask(numbers[:1], [FIRST_TRAINING_SEED]))
    begun = time.perf_counter()
    for row in range(few):
        alone(DriveTask(numbers[row : row + 1], [FIRST_TRAINING_SEED]))
    stock = few * frames / WHOLE_EPISODE / (time.perf_counter() - begun)
    print(
        f"search: {ours:.2f} rollouts/s in {cores} processes, batched; stock environment, one process, one at a time: "
        f"{stock:.2f}; ratio {ours / stock:.1f} (a decision every {spec.stride} frames, load {os.getloadavg()[0]:.1f})"
    )
    return {"rollouts_per_second": ours, "stock_rollouts_per_second": stock, "ratio": ours / stock}
