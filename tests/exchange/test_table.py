"""Videos and pictures with tables, in and out."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from racing_vpt.cli.main import main
from racing_vpt.data.columns import Columns
from racing_vpt.data.label_files import write_labels
from racing_vpt.data.recording import Recording
from racing_vpt.data.shards import ShardStore
from racing_vpt.types import FrameRecord
from tests.cli.answers import said
from tests.conftest import write_tiny_recording

NUM_FRAMES = 24


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    write_tiny_recording(folder, 0, NUM_FRAMES)
    write_tiny_recording(folder, 1, NUM_FRAMES - 5)
    return folder


def export(source: Path, out: Path, *words: str) -> None:
    assert main(["export", str(source), "--format", "table", "--out", str(out), *words]) == 0


def taken_in(source: Path, out: Path, *words: str) -> None:
    assert main(["import", str(source), "--format", "table", "--out", str(out), *words]) == 0


def same(one: Recording, other: Recording, pixels: bool = True) -> None:
    """Frames, controls, rewards and first of two recordings are equal."""
    assert one.num_frames == other.num_frames
    assert one.frames_per_second == other.frames_per_second
    before, after = (Columns.of_records(recording.records()) for recording in (one, other))
    assert before.controls.keys() == after.controls.keys()
    for name, column in before.controls.items():
        np.testing.assert_array_equal(column, after.controls[name])
    np.testing.assert_array_equal(before.first, after.first)
    assert before.reward is not None
    np.testing.assert_array_equal(before.reward, after.reward)
    if pixels:
        frames = np.arange(one.num_frames)
        np.testing.assert_array_equal(one.open_video().read(frames), other.open_video().read(frames))


@pytest.mark.parametrize("rows", ["csv", "jsonl", "parquet"])
def test_recordings_go_out_as_tables_and_come_back_unchanged(rows: str, recordings: Path, tmp_path: Path) -> None:
    if rows == "parquet":
        pytest.importorskip("pyarrow", reason="the extra [lerobot] is not installed")
    export(recordings, tmp_path / "out", "--rows", rows)
    taken_in(tmp_path / "out", tmp_path / "back", "--game", "carracing")
    for name in ("tiny-10000", "tiny-10001"):
        one, other = (Recording.open(folder / f"{name}.mp4") for folder in (recordings, tmp_path / "back"))
        same(one, other, pixels=False)
        assert one.sha256 == other.sha256  # the codec is kept, and with it every pixel
        assert other.meta["seed"] == one.meta["seed"]


def test_shards_go_out_as_tables_with_every_pixel(recordings: Path, tmp_path: Path) -> None:
    words = ["--recordings", str(recordings), "--clip_frames", "8", "--val_fraction", "0.5"]
    assert main(["pack", *words, "--out", str(tmp_path / "shards")]) == 0
    export(tmp_path / "shards", tmp_path / "out")
    taken_in(tmp_path / "out", tmp_path / "back")
    for split in ("train", "val"):
        store = ShardStore(str(tmp_path / "shards"), split)
        (episode,) = store.episodes
        after = Recording.open(tmp_path / "back" / f"{episode.name}.mp4")
        same(Recording.open(recordings / f"{episode.name}.mp4"), after, pixels=False)
        for clip in episode.clips:
            video, offset = store.open(clip)
            packed = video.read(np.arange(offset, offset + clip.frames))
            again = after.open_video().read(np.arange(clip.start, clip.start + clip.frames))
            np.testing.assert_array_equal(packed, again)


def test_labels_go_out_with_their_confidence(recordings: Path, tmp_path: Path) -> None:
    video = Recording.open(recordings / "tiny-10001.mp4")
    records = [FrameRecord(i, i / 50, {"steering": i / 50}, confidence=i / 40) for i in range(video.num_frames)]
    about = {"checkpoint": "abc", "checkpoint_name": "test", "video": "tiny-10001.mp4", "video_sha256": video.sha256}
    write_labels(tmp_path / "labels" / "tiny-10001.jsonl", records, about)
    export(recordings, tmp_path / "out", "--labels", str(tmp_path / "labels"))
    taken_in(tmp_path / "out", tmp_path / "back")
    columns = Columns.of_records(Recording.open(tmp_path / "back" / "tiny-10001.mp4").records())
    assert columns.confidence is not None
    np.testing.assert_array_equal(columns.confidence, np.arange(len(records), dtype=np.float32) / np.float32(40))
    assert [path.name for path in (tmp_path / "back").glob("*.mp4")] == ["tiny-10001.mp4"]


def test_what_is_done_is_passed_over_and_a_missing_episode_is_made(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    shutil.copytree(recordings, source)
    for _ in range(2):
        export(source, out)
        taken_in(out, tmp_path / "back")
    assert capsys.readouterr().out.count("0 done, 2 passed over") == 2
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    for path in out.glob("tiny-10001*"):
        path.unlink()
    export(source, out)
    assert {path: path.stat().st_mtime_ns for path in before if "10000" in path.name}.items() <= before.items()
    assert {path.name for path in out.iterdir()} == {path.name for path in before}


def test_pictures_come_in_with_columns_of_any_name(tmp_path: Path) -> None:
    source = tmp_path / "drive"
    (source / "IMG").mkdir(parents=True)
    pictures = np.random.default_rng(0).integers(0, 256, (6, 8, 12, 3), np.uint8)
    lines = ["centre,angle,pedal,speed"]
    for index, picture in enumerate(pictures):
        cv2.imwrite(str(source / "IMG" / f"{index}.png"), picture[..., ::-1])
        lines.append(f"IMG/{index}.png,{index * 10},0.5,30")
    (source / "log.csv").write_text("\n".join(lines))
    words = [
        "--mapping.columns",
        "{steering: angle, throttle: pedal, image: centre}",
        "--mapping.scale",
        "{steering: 0.01}",
    ]
    taken_in(tmp_path, tmp_path / "back", *words, "--frames_per_second", "10", "--pictures")
    recording = Recording.open(tmp_path / "back" / "drive_log.meta.json")
    np.testing.assert_array_equal(recording.open_video().read(np.arange(6)), pictures)
    np.testing.assert_allclose(recording.controls()["steering"], np.arange(6) / 10, rtol=1e-6)
    assert "speed" in recording.meta["remarks"][0]
    export(tmp_path / "back", tmp_path / "again")
    taken_in(tmp_path / "again", tmp_path / "third", "--pictures")
    np.testing.assert_array_equal(
        Recording.open(tmp_path / "third" / "drive_log").open_video().read(range(6)), pictures
    )


def test_frames_without_controls_and_cut_rows_are_told(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    shutil.copy(recordings / "tiny-10000.mp4", source / "still.mp4")
    (source / "still.csv").write_text("steering\n" + "0\n" * 20 + "0.5\n" * 2)
    assert "22 rows, but" in said(capsys, "import", str(source), "--format", "table", "--out", str(tmp_path / "back"))
    taken_in(source, tmp_path / "back", "--slack", "2")
    recording = Recording.open(tmp_path / "back" / "still.mp4")
    assert recording.num_frames == 22
    assert recording.meta["remarks"] == ["the last 2 frames are cut off", "91% of the frames have no control"]
    frames = np.arange(22)
    before = Recording.open(recordings / "tiny-10000.mp4").open_video().read(frames)
    np.testing.assert_array_equal(recording.open_video().read(frames), before)


BAD = {  # table, columns, answer
    "a column of another name": ("steer\n" + "0\n" * NUM_FRAMES, ["{steering: stear}"], "did you mean steer?"),
    "no controls": ("x,y\n" + "0,1\n" * NUM_FRAMES, [], "its columns are x, y; say which they are with"),
    "not a number": ("steering\n0\nleft\n" + "0\n" * 22, [], "column steering should hold numbers, but holds 'left'"),
    "NaN": ("steering\n" + "nan\n" * NUM_FRAMES, [], "column steering of row 0 is nan; a finite number"),
    "out of range": ("steering\n" + "90\n" * NUM_FRAMES, [], "steering of frame 0 is 90.0, not a number from -1"),
    "time that falls": ("steering,timestamp\n" + "0,0\n0,1\n" * 12, [], "the time stamp of row 2 is 0 s after 1 s"),
    "another rate": (
        "steering,timestamp\n" + "".join(f"0,{i / 30}\n" for i in range(NUM_FRAMES)),
        [],
        "30.00 rows/s by its time stamps, .*50.00 frames/s",
    ),
    "fields that are missing": ("steering,brake\n0\n", [], "row 0 has 1 fields, but the first line names 2"),
    "no rows": ("steering\n", [], "has no rows"),
}  # fmt: skip


@pytest.mark.parametrize("kind", [*BAD, "no video", "no table", "parquet that is none"])
def test_bad_tables_are_answered_in_one_line_and_leave_nothing(
    kind: str, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    text, columns, answer = BAD.get(kind, ("steering\n0\n", [], ""))
    if kind != "no video":
        shutil.copy(recordings / "tiny-10000.mp4", source / "drive.mp4")
    else:
        answer = "there is no video drive.mp4"
    if kind == "no table":
        answer = "holds no table"
    elif kind == "parquet that is none":
        pytest.importorskip("pyarrow", reason="the extra [lerobot] is not installed")
        (source / "drive.parquet").write_text(text)
        answer = "drive.parquet is not a parquet file that can be read"
    else:
        (source / "drive.csv").write_text(text)
    words = ["--mapping.columns", *columns] if columns else []
    line = said(capsys, "import", str(source), "--format", "table", "--out", str(out), *words)
    assert re.search(answer, line), line
    assert not out.exists() or not list(out.iterdir())


def test_an_export_of_a_checkpoint_is_answered_with_its_new_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert "racing-vpt export-weights zoo:idm-carracing OUT" in said(capsys, "export", "zoo:idm-carracing", "small")
    assert "racing-vpt import FOLDER --format contractor" in said(capsys, "import-contractor", "x", "--out", "y")


def test_rows_of_jsonl_may_be_nested(recordings: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    shutil.copy(recordings / "tiny-10001.mp4", source / "a.mp4")
    rows = [{"action": {"steering": i / 100, "brake": 0}, "reward": 1} for i in range(NUM_FRAMES - 5)]
    (source / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    taken_in(source, tmp_path / "back")
    assert Recording.open(tmp_path / "back" / "a.mp4").records()[3].action == {"steering": 0.03, "brake": 0.0}
