"""Recordings of others: the game file, the aligned tables, and what is asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from racing_vpt.adopt.columns import propose
from racing_vpt.adopt.picture import response
from racing_vpt.cli.main import main
from racing_vpt.data.recordings import find_recordings
from racing_vpt.games.read import load_game
from racing_vpt.video.encode import VideoWriter
from tests.cli.answers import said

RATE, NUM_FRAMES = 25, 100


def driven(times: np.ndarray) -> dict[str, np.ndarray]:
    """Controls at times in seconds."""
    return {"steering": np.sin(3 * times), "throttle": (np.sin(5 * times) > 0).astype(float)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A video whose corner shows the throttle, and controls at 60 Hz in columns of their own, with a stray file."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    random = np.random.default_rng(1)
    writer = VideoWriter(folder / "lap1.mp4", RATE, 96, 128)
    for index in range(NUM_FRAMES):
        frame = random.integers(0, 255, (96, 128, 3), np.uint8)
        frame[80:96, 0:16] = 255 if driven(np.array([index / RATE]))["throttle"][0] else 0
        writer.add(frame)
    writer.close()
    times = np.arange(round(NUM_FRAMES / RATE * 60)) / 60
    controls = driven(times)
    rows = ["time_ms,wheel_angle,gas_pedal,speed"]
    rows += [
        f"{1000 * time + 5000:.3f},{-450 * steer:.4f},{255 * gas:.0f},{20 + time}"
        for time, steer, gas in zip(times, controls["steering"], controls["throttle"], strict=True)
    ]
    (folder / "lap1_inputs.csv").write_text("\n".join(rows) + "\n")
    (folder / "notes.txt").write_text("rain")
    return folder


def test_what_cannot_be_told_is_asked_with_the_options_that_answer(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    answer = said(capsys, "adopt", str(folder), "--out", str(tmp_path / "out"))
    assert "--ignore speed" in answer
    assert "--ranges '{steering: [LOW, HIGH]}'" in answer
    assert not (tmp_path / "out").exists()


def test_strange_recordings_become_recordings_of_ours(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    answers = ["--ignore", "speed", "--ranges", "{steering: [450, -450]}"]
    assert main(["adopt", str(folder), "--out", str(out), *answers]) == 0
    told = capsys.readouterr().out
    assert "not used: notes.txt" in told
    assert "columns not used: speed" in told
    assert "follows throttle" in told
    game = load_game(out / "mine.yaml")
    assert game.frames.frames_per_second == RATE
    assert (game.frames.height, game.frames.width) == (96, 128)
    assert any(top > 0.7 and left < 0.1 for top, left, _, _ in game.frames.hide)
    words = ["--format", "table", "--game", str(out / "mine.yaml"), "--out", str(tmp_path / "data")]
    assert main(["import", str(out / "tables"), *words]) == 0
    controls = find_recordings(tmp_path / "data")[0].controls()
    true = driven(np.arange(NUM_FRAMES) / RATE)
    np.testing.assert_allclose(controls["steering"], true["steering"], atol=3 / 60 + 0.01)
    assert (controls["throttle"] == true["throttle"]).mean() > 0.9


def test_late_controls_are_moved_to_their_picture(folder: Path, tmp_path: Path) -> None:
    answers = ["--ignore", "speed", "--ranges", "{steering: [450, -450]}"]
    read = []
    for late in (0, 5):
        out = tmp_path / f"out{late}"
        assert main(["adopt", str(folder), "--out", str(out), *answers, "--late", str(late)]) == 0
        rows = np.loadtxt(out / "tables" / "lap1.csv", delimiter=",", skiprows=1)
        read.append(rows[:, 0])
    np.testing.assert_allclose(read[1][:-5], read[0][5:])


def test_two_columns_that_may_be_one_control_are_asked_for() -> None:
    columns = {name: np.linspace(-1, 1, 50) for name in ("steer_raw", "steer_filtered")}
    told = propose(columns, None, {}, [], 10.0)
    assert any("--controls '{steering: steer_raw}'" in question for question in told.questions)
    with pytest.raises(ValueError, match="--controls names wheel"):
        propose(columns, {"steering": "wheel"}, {}, [], 10.0)


def test_the_lag_of_the_picture_behind_the_steering_is_found() -> None:
    random = np.random.default_rng(0)
    steering = np.convolve(random.normal(size=240), np.ones(6) / 3, "same")
    texture = np.repeat(np.repeat(random.integers(0, 255, (48, 400, 3), np.uint8), 2, 0), 2, 1)
    place = 300 + np.cumsum(np.roll(steering, 3)) * 2
    frames = np.stack([texture[:, int(at) : int(at) + 128] for at in np.clip(place, 0, 600)])
    found = response(frames, steering)
    assert found is not None
    assert abs(found[0] - 2) <= 1


def test_a_game_file_is_written_as_yaml_that_people_can_read(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["--ignore", "speed", "--ranges", "{steering: [450, -450]}", "--name", "rally"]
    assert main(["adopt", str(folder), "--out", str(out), *words]) == 0
    content = yaml.safe_load((out / "rally.yaml").read_text())
    assert [*content["controls"]] == ["steering", "throttle"]
