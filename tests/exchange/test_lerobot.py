"""LeRobot datasets, out and back; the real lerobot judges them in `judge_lerobot.py`."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from racing_vpt.cli.main import main
from racing_vpt.data.recording import Recording, RecordingWriter
from racing_vpt.exchange.lerobot_export import LeRobotExport
from racing_vpt.exchange.lerobot_files import joined_stats, stats_of
from racing_vpt.types import FrameRecord
from tests.cli.answers import said
from tests.conftest import write_tiny_recording
from tests.exchange.test_table import same

pyarrow = pytest.importorskip("pyarrow", reason="the extra [lerobot] is not installed")
parquet = pytest.importorskip("pyarrow.parquet")
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
VIDEO = "videos/observation.image/chunk-000/file-000.mp4"
LENGTHS = (20, 13, 7)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    for episode, length in enumerate(LENGTHS):
        write_tiny_recording(folder, episode, length)
    return folder


@pytest.fixture(scope="module")
def dataset(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dataset") / "out"
    export(recordings, out)
    return out


def export(source: Path, out: Path, *words: str) -> None:
    assert main(["export", str(source), "--format", "lerobot", "--out", str(out), *words]) == 0


def taken_in(source: Path, out: Path, *words: str) -> None:
    assert main(["import", str(source), "--format", "lerobot", "--out", str(out), *words]) == 0


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_episodes_share_one_video_and_come_back_with_every_pixel(
    recordings: Path, dataset: Path, tmp_path: Path
) -> None:
    assert [path.name for path in dataset.rglob("*.mp4")] == ["file-000.mp4"]
    taken_in(dataset, tmp_path / "back", "--game", "carracing")
    for episode in range(len(LENGTHS)):
        name = f"tiny-{10_000 + episode}.mp4"
        after = Recording.open(tmp_path / "back" / name)
        same(Recording.open(recordings / name), after)
        assert after.meta["seed"] == 10_000 + episode


def test_it_is_laid_out_as_lerobot_reads_it(dataset: Path) -> None:
    info = json.loads((dataset / "meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["total_frames"]) == ("v3.0", 50, sum(LENGTHS))
    assert type(info["fps"]) is int
    assert info["features"]["action"]["names"] == ["steering", "throttle", "brake", "gear_change"]
    data = parquet.read_table(dataset / "data/chunk-000/file-000.parquet")
    assert data.schema.field("action").type == pyarrow.list_(pyarrow.float32(), 4)  # of fixed size
    assert data.schema.field("timestamp").type == pyarrow.float32()
    assert {*data.column_names} == {*info["features"]} - {"observation.image"}
    rows = parquet.read_table(dataset / EPISODES).to_pylist()
    bounds = np.cumsum([0, *LENGTHS])
    assert [row["videos/observation.image/from_timestamp"] for row in rows] == [begin / 50 for begin in bounds[:-1]]
    assert [row["dataset_to_index"] for row in rows] == [*bounds[1:]]
    tasks = parquet.read_table(dataset / "meta/tasks.parquet")
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["__index_level_0__"]
    stats = json.loads((dataset / "meta/stats.json").read_text())
    columns = np.array(data["action"].to_pylist())
    np.testing.assert_allclose(stats["action"]["std"], columns.std(0), atol=1e-6)
    assert np.shape(stats["observation.image"]["mean"]) == (3, 1, 1)


def test_times_stay_exact_over_many_episodes_and_long_ones(recordings: Path, tmp_path: Path) -> None:
    """Sums of durations, and float32 after 34 minutes, leave lerobot's tolerance of 1e-4 s."""

    class Long:
        name, frames_per_second, num_frames, origin = "long", 30.0, 3 * 3600 * 30, {"video_sha256": "0"}

    long = LeRobotExport(tmp_path, [Long()], "drive", 12, 64.0)  # type: ignore[list-item]
    times = (np.arange(Long.num_frames) / 30).astype(long._times)
    assert np.abs(times - np.arange(Long.num_frames) / 30).max() < 1e-4
    assert np.abs(times.astype(np.float32) - times).max() > 1e-4


def test_files_are_closed_at_their_size_and_an_interrupted_export_goes_on(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(recordings, tmp_path / "whole", "--file_mib", "0.000001")
    assert len(list((tmp_path / "whole").rglob("*.mp4"))) == len(LENGTHS)
    written, add = [], LeRobotExport._add

    def stop_at_the_last(self: LeRobotExport, *given: object) -> None:
        written.append(given)
        if len(written) == len(LENGTHS):
            raise OSError(28, "No space left on device", "x")
        add(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(LeRobotExport, "_add", stop_at_the_last)
    words = ["export", str(recordings), "--format", "lerobot", "--out", str(tmp_path / "cut"), "--file_mib", "0.000001"]
    assert main(words) == 2
    left = contents(tmp_path / "cut")
    assert "meta/info.json" not in left
    assert not [name for name in left if ".tmp-" in name]
    assert len([name for name in left if name.endswith(".mp4")]) == 1  # the second one was not closed
    monkeypatch.undo()
    assert main(words) == 0
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_episodes_that_are_not_alike_are_refused(
    recordings: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(recordings, mixed)
    with RecordingWriter(mixed, "other", frames_per_second=50.0, meta={}) as writer:
        writer.add(np.zeros((96, 96, 3), np.uint8), FrameRecord(0, 0.0, {"steering": 0.0}))
    words = ["--format", "lerobot", "--out"]
    answer = said(capsys, "export", str(mixed), *words, str(tmp_path / "a"))
    assert "has next.reward of shape [1], the episodes before have not at all" in answer or "action" in answer
    with RecordingWriter(mixed, "slow", frames_per_second=30.0, meta={}) as writer:
        writer.add(np.zeros((96, 96, 3), np.uint8), FrameRecord(0, 0.0, {"steering": 0.0}))
    answer = said(capsys, "export", str(mixed), *words, str(tmp_path / "b"))
    assert "has one rate; export them into two folders" in answer
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    before = contents(copy)
    assert "already holds another dataset" in said(capsys, "export", str(recordings), *words, str(copy), "--crf", "20")
    assert contents(copy) == before


def edit_info(folder: Path, **fields: object) -> None:
    path = folder / "meta/info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def drop(folder: Path, file: str, column: str, new: str | None = None) -> None:
    table = parquet.read_table(folder / file)
    names = [new if name == column and new else name for name in table.column_names]
    parquet.write_table(table.rename_columns(names) if new else table.drop_columns([column]), folder / file)


def jump_back(folder: Path) -> None:
    path = folder / "data/chunk-000/file-000.parquet"
    table = parquet.read_table(path)
    times = table["timestamp"].to_numpy().copy()
    times[5] = 0
    place = table.column_names.index("timestamp")
    parquet.write_table(table.set_column(place, "timestamp", pyarrow.array(times)), path)


BAD = {
    "an older version": (lambda f: edit_info(f, codebase_version="v2.1"), "of version v2.1; v3.0 is read; convert it"),
    "another rate": (lambda f: edit_info(f, fps=100), "has 50.00 frames/s, but meta/info.json says 100"),
    "a missing video": (lambda f: (f / VIDEO).unlink(), "file-000.mp4 is missing, which meta/episodes names"),
    "no column of lengths": (
        lambda f: drop(f, EPISODES, "length", "lenght"),
        "no column 'length'; did you mean lenght",
    ),
    "a time that jumps back": (jump_back, "episode 0: the time stamp of row 5 is 0 s after"),
    "half a parquet file": (lambda f: (f / EPISODES).write_bytes(b"PAR1"), "is not a parquet file that can be read"),
    "a path that leads out": (lambda f: edit_info(f, video_path="../x{chunk_index}.mp4"), "leads out of the dataset"),
    "no dataset": (lambda f: (f / "meta/info.json").unlink(), "holds no LeRobot dataset"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_dataset_is_answered_in_one_line_and_leaves_nothing(
    kind: str, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, answer = BAD[kind]
    source = tmp_path / "source"
    shutil.copytree(dataset, source)
    spoil(source)
    line = said(capsys, "import", str(source), "--format", "lerobot", "--out", str(tmp_path / "back"))
    assert re.search(re.escape(answer), line), line
    assert not list((tmp_path / "back").glob("*"))


def test_statistics_of_parts_are_those_of_all() -> None:
    rows = np.random.default_rng(0).normal(3, 2, (100, 4))
    joined, whole = joined_stats([stats_of(rows[:30]), stats_of(rows[30:])]), stats_of(rows)
    for name, figure in whole.items():
        np.testing.assert_allclose(joined[name], figure)
