"""`racing-vpt renditions`: drives encoded as other tools record them, each frame with its controls and time."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from racing_vpt.cli.main import main
from racing_vpt.data.pairing import pair_recordings, split_episodes
from racing_vpt.data.reader import EpisodeReader
from racing_vpt.data.recording import Recording, RecordingWriter
from racing_vpt.data.renditions import Rendition
from racing_vpt.data.store import RecordingStore
from racing_vpt.types import FrameRecord, FrameSpec
from racing_vpt.verbs.pack import pack
from racing_vpt.verbs.renditions import renditions
from racing_vpt.verbs.verify import verify

NUM_FRAMES = 40
RECIPES = """
recipes:
  - {name: film, codec: x264, crf: 18, preset: ultrafast, frames_per_second: 25}
  - {name: smooth, codec: vp9, height: 64, width: 64, frames_per_second: 100}
  - {name: phone, codec: x265, preset: ultrafast, frames_per_second: null}
"""


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a recording whose frames are as bright as their throttle."""
    folder = tmp_path_factory.mktemp("drive")
    with RecordingWriter(folder, "ride", frames_per_second=50, meta={"seed": 7, "lap_finished": True}) as writer:
        for t in range(NUM_FRAMES):
            controls = {"steering": 0.0, "throttle": t / NUM_FRAMES, "brake": 0.0, "gear_change": 0.0}
            record = FrameRecord(t, t / 50, controls, reward=1.0, first=t == 0)
            writer.add(np.full((96, 96, 3), 40 + 4 * t, np.uint8), record)
    return folder


@pytest.fixture(scope="module")
def out(drive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    (folder / "recipes.yaml").write_text(RECIPES)
    words = ["--config", str(folder / "recipes.yaml"), "--out", str(folder / "renditions"), "--workers=1"]
    assert main(["renditions", str(drive), *words]) == 0
    return folder


@pytest.mark.parametrize(("name", "rate", "size"), [("film", 25, 96), ("smooth", 100, 64), ("phone", None, 96)])
def test_each_frame_has_the_controls_of_the_frame_that_it_shows(
    name: str, rate: float | None, size: int, out: Path
) -> None:
    made = Recording.open(out / "renditions" / f"ride-{name}.meta.json")
    frames, controls = made.open_video("pyav").read(range(made.num_frames)), made.controls()
    assert frames.shape[1] == size
    brightness = 40 + 4 * NUM_FRAMES * controls["throttle"]
    assert np.abs(frames.mean((1, 2, 3)) - brightness).max() < 8
    records = made.records()
    shown = np.floor(made.times * 50 + 1e-6)
    np.testing.assert_allclose(controls["throttle"], shown / NUM_FRAMES, atol=1e-6)
    assert sum(record.reward or 0 for record in records) == NUM_FRAMES
    assert sum(bool(record.first) for record in records) == 1
    np.testing.assert_allclose(made.open_video("pyav").timestamps, made.times, atol=2e-3)
    if rate is not None:
        np.testing.assert_allclose(made.times, np.arange(made.num_frames) / rate, atol=1e-6)
    assert (made.meta["seed"], made.meta["lap_finished"]) == (7, True)
    assert made.meta["rendition"]["name"] == name


@pytest.mark.parametrize("late", [3, -2])
def test_controls_come_late_on_purpose_and_rewards_do_not(late: int, drive: Path, tmp_path: Path) -> None:
    recipes = [Rendition("late", preset="ultrafast", controls_late=late)]
    renditions(drive, out=tmp_path, recipes=recipes, workers=1)
    records = Recording.open(tmp_path / "ride-late.meta.json").records()
    shown = np.clip(np.arange(NUM_FRAMES) - late, 0, NUM_FRAMES - 1) / NUM_FRAMES
    np.testing.assert_allclose([record.action["throttle"] for record in records], shown, atol=1e-6)
    assert [record.first for record in records] == [True] + [False] * (NUM_FRAMES - 1)


def test_existing_renditions_are_kept_and_lost_ones_made_again(
    drive: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = out / "renditions"
    words = ["renditions", str(drive), "--config", str(out / "recipes.yaml"), "--workers=1"]
    before = (folder / "ride-film.mkv").read_bytes()
    (folder / "ride-film.meta.json").unlink()  # as if it had been stopped before it was published
    assert main([*words, f"--out={folder}"]) == 0
    assert "1 renditions with 20 frames written; 2 were there before" in capsys.readouterr().out
    assert (folder / "ride-film.mkv").read_bytes() == before
    verify(str(folder), game="carracing")
    assert main([*words, f"--out={folder}", "--seed=1"]) == 2
    assert "is another rendition" in capsys.readouterr().err
    assert main([*words, f"--out={drive / 'in'}"]) == 2
    assert "whose recordings are read" in capsys.readouterr().err
    assert main([*words, f"--out={out / 'more'}", "--random=2"]) == 2
    assert "no recipes with it" in capsys.readouterr().err


def test_renditions_of_a_drive_are_not_divided_between_training_and_validation(out: Path) -> None:
    made = pair_recordings(out / "renditions")
    assert len(made) == 3
    assert len({one.drive for one in made}) == 1
    assert split_episodes(["a", "b", "a", "c", "b"], 0.4, seed=1) in (
        ["val", "train", "val", "train", "train"],
        ["train", "val", "train", "train", "val"],
        ["train", "train", "train", "val", "train"],
    )


def test_the_default_renditions_keep_the_rate_of_the_recording(drive: Path, tmp_path: Path) -> None:
    meta = drive / "ride.meta.json"
    text = meta.read_text().replace('"frames_per_second": 50', '"frames_per_second": 20')
    (tmp_path / "in").mkdir()
    for name in ("ride.mp4", "ride.jsonl"):
        shutil.copy(drive / name, tmp_path / "in")
    (tmp_path / "in" / "ride.meta.json").write_text(text)
    assert main(["renditions", str(tmp_path / "in"), f"--out={tmp_path / 'out'}", "--workers=1"]) == 0
    rates = {one.recording.meta["rendition"]["name"]: one.recording for one in pair_recordings(tmp_path / "out")}
    assert len(rates) == 6
    assert (rates["crf23"].frames_per_second, rates["crf23"].num_frames) == (20, NUM_FRAMES)
    assert (rates["crf23-30fps"].frames_per_second, rates["crf23-variable"].uneven) == (30, True)


def test_uneven_frames_are_read_at_their_times_and_packed_at_a_rate(out: Path, tmp_path: Path) -> None:
    place = out / "renditions"
    (made,) = (one for one in pair_recordings(place) if one.recording.uneven)
    reader = EpisodeReader([RecordingStore([made], "pyav")], FrameSpec(96, 96, every_frame=True))
    times = made.recording.times
    np.testing.assert_allclose(reader.times(0, 2, 9), times[2:9])
    assert np.ptp(np.diff(times)) > 0.005
    with pytest.raises(ValueError, match=r"uneven distances in time, .*--frames_per_second"):
        pack(place, tmp_path / "no")
    manifest = pack(place, tmp_path / "shards", frames_per_second=50, height=48, width=48, val_fraction=0)
    frames = {name: round(made["frames"] / 10) for name, made in manifest["splits"].items()}
    assert frames == {"train": 12}
