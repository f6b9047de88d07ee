"""Speed and picture of our CarRacing compared with the stock one and envpool's.

The expert drives once; its actions are then replayed in both environments, alternating by episode, so that other load
on the machine affects both.
"""

from __future__ import annotations

import importlib.util
import time
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

import numpy as np

from racing_vpt.envs.make import FAST_ID, STOCK_ID
from racing_vpt.seeds import FIRST_TRAINING_SEED

MAX_EPISODE = 500  # frames to replay per track
COMPARED = 1000  # frames to compare
ZOOM_FRAMES = 50  # frames during which the camera zooms in
NUM_PROCESSES = 2


@dataclass(frozen=True)
class Drive:
    """Seed and actions, float64 [T, 3], of an episode."""

    seed: int
    actions: np.ndarray


@dataclass(frozen=True)
class Replay:
    """Frames of a drive, uint8 [T, 96, 96, 3], and the time of its steps in seconds, without the reset."""

    frames: np.ndarray
    seconds: float


def bench_envs(frames: int = 2000) -> dict[str, float]:
    """Measure and print frames per second and picture differences.

    Args:
        frames: number of frames to replay; the stock environment draws 100 to 170 per second.

    Returns:
        `stock_fps`, `fast_fps` (one process each, every frame drawn) and their `ratio`; `difference`, and by region,
        the mean absolute difference from the stock picture (of 255); `reset_ms` of ours; `two_processes_fps`, resets
        included, and, if envpool is installed, `envpool_fps` with two threads and the ratio of the two. The last three
        also per CPU second, which depends less on other load on the machine.

    Raises:
        ValueError: `frames` is below 1.
    """
    if frames < 1:
        raise ValueError(f"frames must be at least 1, but {frames} was given")
    drives = record_drives(frames)
    seconds = {STOCK_ID: 0.0, FAST_ID: 0.0}
    differences: list[np.ndarray] = []
    replay(FAST_ID, drives[0])  # car and digits are drawn once per process
    for drive in drives:
        replays = {name: replay(name, drive) for name in seconds}
        for name, result in replays.items():
            seconds[name] += result.seconds
        stock, fast = (result.frames.astype(np.int16) for result in replays.values())
        if sum(len(episode) for episode in differences) < COMPARED:
            differences.append(np.abs(stock - fast).mean(-1))  # (T, 96, 96)
    figures = {"stock_fps": frames / seconds[STOCK_ID], "fast_fps": frames / seconds[FAST_ID]}
    figures["ratio"] = figures["fast_fps"] / figures["stock_fps"]
    figures |= difference_by_region(differences)
    figures["reset_ms"] = reset_milliseconds(drives)
    figures |= two_processes(drives)
    if importlib.util.find_spec("envpool") is None:
        print("envpool is not installed, so it is not compared; install it with: pip install 'racing-vpt[bench]'")
    else:
        figures |= envpool_two_threads(drives)
        for unit in ("fps", "frames_per_cpu_s"):
            figures[f"envpool_ratio_{unit}"] = figures[f"two_processes_{unit}"] / figures[f"envpool_{unit}"]
    for name, figure in figures.items():
        print(f"{name:>32} {figure:10.3f}" if figure < 100 else f"{name:>32} {figure:10.0f}")
    return figures


def record_drives(frames: int) -> list[Drive]:
    """Let the expert drive `frames` frames, on one track after another."""
    from racing_vpt.agents.load import load_agent
    from racing_vpt.agents.solo import NeedsEnvironment
    from racing_vpt.envs.actions import to_action
    from racing_vpt.envs.make import make_env

    env, agent = make_env(FAST_ID), load_agent("expert")
    assert isinstance(agent, NeedsEnvironment)
    drives: list[Drive] = []
    while frames > 0:
        seed = FIRST_TRAINING_SEED + len(drives)
        frame, _ = env.reset(seed=seed)
        agent.reset()
        agent.attach(env)
        actions: list[np.ndarray | int] = []
        ended = False
        while not ended and len(actions) < min(MAX_EPISODE, frames):
            actions.append(to_action(env, agent.act(frame)))
            frame, _, terminated, truncated, _ = env.step(actions[-1])
            ended = terminated or truncated
        frames -= len(actions)
        drives.append(Drive(seed, np.array(actions)))
    return drives


def replay(id: str, drive: Drive) -> Replay:
    """Repeat a drive in the environment `env_id`, with every frame drawn."""
    from racing_vpt.envs.make import make_env

    env = make_env(id)
    env.reset(seed=drive.seed)
    frames = []
    start = time.perf_counter()
    for action in drive.actions:
        frames.append(env.step(action)[0])
    seconds = time.perf_counter() - start
    env.close()
    return Replay(np.array(frames), seconds)


def difference_by_region(differences: list[np.ndarray]) -> dict[str, float]:
    """Mean absolute difference by region of two arrays [T, 96, 96], which start at the beginning of an episode."""
    from racing_vpt.envs.carracing.sprites import COLUMNS, ROWS
    from racing_vpt.envs.carracing.texture import ROAD_ROWS

    everything = np.concatenate(differences)[:COMPARED]
    zoom = np.concatenate([episode[:ZOOM_FRAMES] for episode in differences])
    return {
        "difference": float(everything.mean()),
        "difference_zoom_phase": float(zoom.mean()),
        "difference_road": float(everything[:, :ROAD_ROWS].mean()),
        "difference_car": float(everything[:, ROWS, COLUMNS].mean()),
        "difference_instruments": float(everything[:, ROAD_ROWS:].mean()),
    }


def reset_milliseconds(drives: list[Drive]) -> float:
    """Mean time of a reset of our environment, track generation included."""
    from racing_vpt.envs.make import make_env

    env = make_env(FAST_ID)
    env.reset(seed=FIRST_TRAINING_SEED)
    start = time.perf_counter()
    for drive in drives:
        env.reset(seed=drive.seed)
    return 1000 * (time.perf_counter() - start) / len(drives)


def two_processes(drives: list[Drive]) -> dict[str, float]:
    """Total speed of two processes of our environment, resets included, after warming up."""
    context = get_context("spawn")
    barrier, spans = context.Barrier(NUM_PROCESSES), context.Queue()
    processes = [context.Process(target=_time_steps, args=(drives, barrier, spans)) for _ in range(NUM_PROCESSES)]
    for process in processes:
        process.start()
    starts, ends, cpu_seconds = zip(*(spans.get(timeout=600) for _ in processes), strict=True)
    for process in processes:
        process.join()
    frames = NUM_PROCESSES * sum(len(drive.actions) for drive in drives)
    return {
        "two_processes_fps": frames / (max(ends) - min(starts)),
        "two_processes_frames_per_cpu_s": frames / sum(cpu_seconds),
    }


def _time_steps(drives: list[Drive], barrier: Barrier, spans: Queue[tuple[float, float, float]]) -> None:
    """Replay drives without keeping frames: once to warm up, then timed; reports start, end and CPU seconds."""
    from racing_vpt.envs.make import make_env

    env = make_env(FAST_ID)
    for warm in (False, True):
        barrier.wait()
        start, cpu_start = time.monotonic(), time.process_time()
        for drive in drives:
            env.reset(seed=drive.seed)
            for action in drive.actions:
                env.step(action)
        if warm:
            spans.put((start, time.monotonic(), time.process_time() - cpu_start))


def envpool_two_threads(drives: list[Drive]) -> dict[str, float]:
    """Speed of envpool's CarRacing-v3: two environments on two threads (more are slower), the same actions in both."""
    import envpool

    env = envpool.make_gymnasium("CarRacing-v3", num_envs=2, num_threads=2, seed=FIRST_TRAINING_SEED)
    actions = np.concatenate([drive.actions for drive in drives]).astype(np.float32)
    env.reset()
    start, cpu_start = time.perf_counter(), time.process_time()
    for action in actions:
        env.step(np.stack([action, action]))
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    frames = 2 * len(actions)
    return {"envpool_fps": frames / seconds, "envpool_frames_per_cpu_s": frames / cpu_seconds}
