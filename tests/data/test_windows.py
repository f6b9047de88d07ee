"""Windows cover every video exactly once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from racing_vpt.data.window_batches import WindowDataset
from racing_vpt.data.windows import find_videos, windows_of
from racing_vpt.types import FrameSpec
from racing_vpt.video.encode import VideoWriter

SPEC = FrameSpec(height=32, width=32, frames_per_second=50.0)


def write_video(path: Path, num_frames: int, frames_per_second: float = 50.0) -> Path:
    """Write a video whose frame i has brightness 2 i, modulo 200."""
    writer = VideoWriter(path, frames_per_second, 32, 32, crf=5)
    for index in range(num_frames):
        writer.add(np.full((32, 32, 3), 2 * index % 200, np.uint8))
    writer.close()
    return path


@pytest.mark.parametrize("frames_per_second", [50.0, 30.0, 60.0, 12.5])
@pytest.mark.parametrize("num_frames", [1, 2, 7, 15, 16, 17, 24, 25, 100])
def test_windows_label_every_source_frame_once(tmp_path: Path, num_frames: int, frames_per_second: float) -> None:
    path = write_video(tmp_path / "a.mp4", num_frames, frames_per_second)
    windows = list(windows_of("a", path, SPEC, window=16, stride=8))
    labelled = np.concatenate([window.source_frames for window in windows])
    assert labelled.tolist() == list(range(num_frames))
    assert [window.last for window in windows] == [False] * (len(windows) - 1) + [True]
    for window in windows:
        assert window.error is None
        assert window.frames.shape == (16, 32, 32, 3)
        assert ((window.keep[0] <= window.source_rows) & (window.source_rows < window.keep[1])).all()
        assert window.valid[window.source_rows].all()
        shown = window.frames[window.source_rows].mean((1, 2, 3))
        tolerance = 2 + 2 * (frames_per_second > 50)  # above the model's rate a frame's neighbour may stand for it
        assert np.abs(shown - 2 * window.source_frames % 200).max() <= tolerance


def test_windows_keep_a_margin_except_at_the_ends_of_the_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 100)
    keeps = [window.keep for window in windows_of("a", path, SPEC, window=16, stride=8)]
    assert keeps[0] == (0, 12)
    assert set(keeps[1:-1]) == {(4, 12)}
    assert keeps[-1][1] == 16


def test_windows_of_a_stride_repeat_labels_over_the_frames_left_out(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 50)
    spec = FrameSpec(height=32, width=32, stride=4)
    windows = list(windows_of("a", path, spec, window=16, stride=8))
    assert np.concatenate([window.source_frames for window in windows]).tolist() == list(range(50))
    assert windows[0].source_rows.tolist() == [index // 4 for index in range(50)]


@pytest.mark.parametrize("frames_per_second", [50.0, 30.0, 125.0])
def test_a_video_that_is_examined_on_the_way_gives_the_windows_of_one_that_was_examined_before(
    tmp_path: Path, frames_per_second: float
) -> None:
    path = write_video(tmp_path / "a.mp4", 83, frames_per_second)
    found, known = (list(windows_of("a", path, SPEC, 16, 8, decoder)) for decoder in ("auto", "decord"))  # type: ignore[arg-type]
    for once, twice in zip(found, known, strict=True):
        assert once.error is None
        assert once.num_frames == twice.num_frames == 83
        for name in ("frames", "valid", "source_frames", "source_rows"):
            np.testing.assert_array_equal(getattr(once, name), getattr(twice, name))
        np.testing.assert_allclose(once.source_timestamps, twice.source_timestamps, atol=1e-6)


def test_damage_after_the_last_used_frame_is_named(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 400, 400.0)
    whole = path.read_bytes()
    end = whole.rindex(b"moov") if whole.rindex(b"moov") > len(whole) // 2 else len(whole)
    path.write_bytes(whole[: end - 60] + bytes(40) + whole[end - 20 :])  # in the very last frames
    *_, last = windows_of("a", path, SPEC, 16, 8)
    assert last.error is not None
    assert "a.mp4" in last.error


def test_a_bad_video_is_one_error_and_the_others_are_labelled(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", 20)
    (tmp_path / "b.mp4").write_bytes((tmp_path / "a.mp4").read_bytes()[:500])
    write_video(tmp_path / "c.mp4", 20)
    batches = list(WindowDataset(find_videos(str(tmp_path)), SPEC, batch_size=2, window=16, stride=8))
    windows = [window for batch in batches for window in batch.windows]
    assert [window.name for window in windows if window.error] == ["b"]
    assert "b.mp4" in str(next(window.error for window in windows if window.error))
    assert sum(len(window.source_frames) for window in windows) == 40
    assert batches[0].frames.shape == (2, 16, 32, 32, 3)


def test_two_ranks_take_different_videos(tmp_path: Path) -> None:
    for name in "abc":
        write_video(tmp_path / f"{name}.mp4", 5)
    parts = [WindowDataset(find_videos(str(tmp_path)), SPEC, rank=rank, world_size=2).videos for rank in range(2)]
    assert [sorted(part) for part in parts] == [["a", "c"], ["b"]]


def test_a_folder_without_videos_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        find_videos(str(tmp_path))
