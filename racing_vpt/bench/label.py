"""Speed of labelling in frames per second, decoding and writing included."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

FRAMES_PER_SECOND = 50.0  # CarRacing's real time

WINDOWS = {"window": 256, "window_stride": 216, "batch_size": 2}  # as in configs/label.yaml (tested)


def bench_label(checkpoint: str, num_frames: int = 6000) -> dict[str, float]:
    """Label a video of CarRacing with `predict`, once to warm up and once timed.

    Args:
        checkpoint: name of the model.
        num_frames: length of the video in frames.

    Returns:
        `frames_per_second` and `times_real_time`.
    """
    import torch

    from racing_vpt.cli.stages import run_stage

    with TemporaryDirectory() as folder:
        videos = {"short": 300, "long": num_frames}
        seconds = {}
        for name, frames in videos.items():
            video = Path(folder) / name / f"{name}.mp4"
            film(video, frames)
            words = ["--ckpt_path", checkpoint, "--data.videos", str(video.parent), "--out", f"{folder}/labels-{name}"]
            begun = time.perf_counter()
            words += [word for option, value in WINDOWS.items() for word in (f"--data.{option}", str(value))]
            run_stage("predict", [*words, "--runs", f"{folder}/runs"])
            seconds[name] = time.perf_counter() - begun
    speed = num_frames / seconds["long"]
    print(
        f"labelling with {checkpoint}: {speed:.0f} frames/s, {speed / FRAMES_PER_SECOND:.1f} x real time "
        f"({num_frames} frames of 96x96, {torch.get_num_threads()} threads, decoding and writing included)"
    )
    return {"frames_per_second": speed, "times_real_time": speed / FRAMES_PER_SECOND}


def film(path: Path, num_frames: int) -> None:
    """Write an mp4 of random driving in the fast environment."""
    import numpy as np

    from racing_vpt.envs.make import make_env
    from racing_vpt.seeds import FIRST_TRAINING_SEED
    from racing_vpt.video.encode import VideoWriter

    env = make_env("racing_vpt/CarRacingFast-v3", render_mode="rgb_array")
    generator, seed, written = np.random.default_rng(0), FIRST_TRAINING_SEED, 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(VideoWriter(path, FRAMES_PER_SECOND, 96, 96)) as video:
        while written < num_frames:
            frame, _ = env.reset(seed=seed)
            seed, ended = seed + 1, False
            while not ended and written < num_frames:
                video.add(frame)
                written += 1
                action = np.array([generator.uniform(-0.4, 0.4), 0.3, 0.0], np.float32)
                frame, _, terminated, truncated, _ = env.step(action)
                ended = terminated or truncated
    env.close()
