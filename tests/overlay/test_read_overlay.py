"""Labels from displays of the controls that are drawn over a video."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest
import yaml

from racing_vpt.cli.main import main
from racing_vpt.data.clip_controls import ClipControls
from racing_vpt.data.columns import Columns
from racing_vpt.data.label_files import read_labels
from racing_vpt.games.read import load_game
from tests.cli.answers import said
from tests.overlay.drawing import Drawn

HEIGHT, WIDTH, NUM_FRAMES = 128, 192, 160
COVERED = slice(90, 110)
DISPLAYS = (
    Drawn("panel-bar", "throttle", (30, 12, 60, 12), (90, 220, 80), (30, 30, 40), 0.75),
    Drawn("middle-bar", "steering", (100, 60, 12, 90), (240, 170, 60), (20, 20, 30), 0.8),
    Drawn("box-key", "brake", (14, 140, 24, 24), (230, 70, 60), (40, 40, 40), 0.8),
)


def driven() -> dict[str, np.ndarray]:
    """Controls float64 [NUM_FRAMES] that reach their extremes."""
    times = np.arange(NUM_FRAMES)
    return {
        "throttle": np.clip(0.5 + 0.7 * np.sin(times / 9), 0, 1),
        "steering": np.clip(1.3 * np.sin(times / 13 + 1), -1, 1),
        "brake": (np.sin(times / 7) > 0.6).astype(float),
    }


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A moving picture with semi-transparent displays, which something covers for a while, at crf 28."""
    path = tmp_path_factory.mktemp("videos") / "drive.mp4"
    random, controls = np.random.default_rng(3), driven()
    texture = np.repeat(np.repeat(random.integers(40, 200, (40, 80, 3)), 8, 0), 8, 1).astype(np.uint8)
    with closing(av.open(str(path), "w")) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt, stream.options = HEIGHT, WIDTH, "yuv420p", {"crf": "28"}
        for index in range(NUM_FRAMES):
            frame = texture[index : index + HEIGHT, 2 * index % 300 : 2 * index % 300 + WIDTH].copy()
            for drawn in DISPLAYS:
                drawn.over(frame, float(controls[drawn.control][index]))
            if COVERED.start <= index < COVERED.stop:
                frame[20:100, 4:40] = (120, 150, 220)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def described() -> dict:
    """The displays as they stand in a file."""
    return {drawn.control: drawn.described(HEIGHT, WIDTH) for drawn in DISPLAYS}


def test_controls_are_read_from_displays_and_covered_ones_give_no_label(video: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(yaml.safe_dump(described()))
    assert main(["read-overlay", str(video), "--overlay", str(overlay), "--out", str(tmp_path / "labels")]) == 0
    records, meta = read_labels(tmp_path / "labels" / "drive.jsonl")
    assert meta["kind"] == "labels"
    assert meta["num_frames"] == NUM_FRAMES
    sure = np.array([record.confidence > 0 for record in records])
    assert sure[: COVERED.start].mean() > 0.9
    assert not sure[COVERED].any()
    for name, true in driven().items():
        read = np.array([record.action[name] for record in records])[sure]
        apart = ((true[sure] - read) ** 2).sum() / ((true[sure] - true[sure].mean()) ** 2).sum()
        assert 1 - apart > 0.95, name


def test_a_frame_without_a_label_has_no_weight() -> None:
    columns = Columns(
        first=np.array([True, False]),
        controls={"throttle": np.zeros(2, np.float32)},
        confidence=np.array([0.0, 0.4], np.float32),
    )
    assert ClipControls().apply(columns)[1].tolist() == [0, 1]


def test_a_game_hides_its_overlay_from_models(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    controls = {"steering": {"axis": [-1, 1]}, "throttle": {"axis": [0, 1]}, "brake": "button"}
    frames = {"crop_bottom": 0.1, "hide": [[0, 0, 0.1, 0.1]]}
    file.write_text(yaml.safe_dump({"controls": controls, "frames": frames, "overlay": described()}))
    game = load_game(file)
    assert len(game.overlay) == 3
    assert len(game.frames.hide) == 4
    top, _, height, _ = game.frames.hide[1]
    shown = game.overlay[0].place
    assert top == pytest.approx(shown[0] / 0.9)
    assert top + height == pytest.approx((shown[0] + shown[2]) / 0.9)


@pytest.mark.parametrize(
    ("overlay", "answer"),
    [
        ("throttle: {bar: [0.1, 0.1, 0.5, 0.1], towards: north}", "expected one of: up, down, left, right"),
        ("throttle: {gauge: [0.1, 0.1, 0.5, 0.1]}", "unknown key gauge"),
        ("throttle: {bar: [0.9, 0.1, 0.5, 0.1]}", "is not a rectangle within the picture"),
        ("throttle: {bar: [0.1, 0.1, 0.001, 0.001]}", "give a larger rectangle"),
        ("{}", "names no display"),
    ],
)
def test_a_wrong_overlay_is_one_line(
    overlay: str, answer: str, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    file = tmp_path / "overlay.yaml"
    file.write_text(overlay)
    words = ["read-overlay", str(video), "--overlay", str(file), "--out", str(tmp_path / "labels")]
    assert answer in said(capsys, *words)
    assert not (tmp_path / "labels" / "drive.jsonl").exists()
