"""A user's own keyboard game: ten lines of YAML are enough to pack, train and label."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from racing_vpt.cli.main import main
from racing_vpt.data.recording import Recording, RecordingWriter
from racing_vpt.types import FrameRecord

GAME = """
controls:
  left: button
  right: button
  gas: button
  brake: button
frames: {height: 64, width: 64, frames_per_second: 20}
keys: {left: [left], right: [right], gas: [up], brake: [down]}
"""
KEYS = ("left", "right", "gas", "brake")


def play(seed: int, frames: int) -> tuple[list[np.ndarray], list[dict[str, float]]]:
    """A road seen from above that turns and scrolls: pictures uint8 [64, 64, 3], and the keys held in each."""
    random, rows, columns = np.random.default_rng(seed), *np.mgrid[-32:32, -32:32]
    place, heading, speed = np.zeros(2), 0.0, 1.0
    texture = np.random.default_rng(7).uniform(60, 200, (32, 32))
    pictures, held, keys = [], [], dict.fromkeys(KEYS, 0.0)
    for frame in range(frames):
        if frame % 6 == 0:
            turn, pedal = random.integers(3), random.integers(3)
            keys = dict(zip(KEYS, map(float, (turn == 1, turn == 2, pedal == 1, pedal == 2)), strict=True))
        ahead, aside = np.array([np.cos(heading), np.sin(heading)]), np.array([-np.sin(heading), np.cos(heading)])
        x, y = (place[axis] - rows * ahead[axis] + columns * aside[axis] for axis in (0, 1))
        i, j = np.floor(x / 4).astype(int) % 32, np.floor(y / 4).astype(int) % 32
        pictures.append(np.repeat(texture[i, j].astype(np.uint8)[..., None], 3, -1))
        held.append(dict(keys))
        heading += 0.08 * (keys["right"] - keys["left"])
        speed = float(np.clip(speed + 0.25 * (keys["gas"] - keys["brake"]), 0.0, 3.0))
        place = place + speed * np.array([np.cos(heading), np.sin(heading)])
    return pictures, held


def record(folder: Path, seeds: range, frames: int) -> None:
    for seed in seeds:
        pictures, held = play(seed, frames)
        with RecordingWriter(folder, f"race-{seed}", frames_per_second=20.0, meta={}) as writer:
            for number, (picture, keys) in enumerate(zip(pictures, held, strict=True)):
                writer.add(picture, FrameRecord(number, number / 20, keys, first=number == 0))


def f1(labels: np.ndarray, truth: np.ndarray) -> float:
    hits = float((labels & truth).sum())
    return 2 * hits / max(1.0, float(labels.sum() + truth.sum()))


@pytest.mark.slow
@pytest.mark.timeout(900)  # half a minute on an idle core
def test_a_game_of_ten_lines_is_packed_trained_and_labelled(tmp_path: Path) -> None:
    game = tmp_path / "race.yaml"
    game.write_text(GAME)
    record(tmp_path / "own", range(6), 300)
    record(tmp_path / "held_out", range(100, 101), 300)
    shards, runs = tmp_path / "shards", tmp_path / "runs"
    pack = ["--height=64", "--width=64", "--val_fraction=0.2"]
    assert main(["pack", f"--recordings={tmp_path / 'own'}", f"--out={shards}", *pack]) == 0
    small = ["--trainer.max_steps=120", "--trainer.val_check_interval=120", "--trainer.accelerator=cpu"]
    small += ["--model.network.motion_remembered=10000"]
    words = [f"--data.train={shards}", f"--data.val={shards}", f"--runs={runs}", f"--game={game}"]
    assert main(["fit", "--config", "base", "--config", "idm", *words, *small]) == 0
    labels = tmp_path / "labels"
    found = [f"--ckpt_path={runs / 'idm' / 'default'}", f"--data.videos={tmp_path / 'held_out'}", f"--out={labels}"]
    assert main(["predict", "--config", "label", *found, f"--runs={runs}"]) == 0
    written = Recording.open(tmp_path / "held_out" / "race-100.mp4").controls()
    said: dict[str, list[float]] = {name: [] for name in KEYS}
    for line in (labels / "race-100.jsonl").read_text().splitlines():
        for name, value in json.loads(line)["action"].items():
            said[name].append(value)
    for key in ("left", "right"):
        assert f1(np.array(said[key]) > 0.5, np.asarray(written[key]) > 0.5) >= 0.95
    assert main(["predict", "--config", "label", *found, f"--runs={runs}", "--game=enduro"]) == 2
