"""The IDM for video at any rate: its clock, view and pool, and the renditions for its training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from racing_vpt.checkpoints.load import load_module
from racing_vpt.cli.main import main
from racing_vpt.data.clip_controls import ClipControls
from racing_vpt.data.clip_dataset import ClipDataset
from racing_vpt.data.reader import EpisodeReader
from racing_vpt.data.renditions import Codec, Rendition, RenditionWriter, random_rendition, shown_frames, timed_frames
from racing_vpt.data.sampler import EMPTY, ClipIndex
from racing_vpt.data.stores import open_store
from racing_vpt.models.idm_pool import Pool
from racing_vpt.models.idm_trust import error_kept
from racing_vpt.models.timed_idm import TimedIDM
from racing_vpt.models.view_finder import control_scores, find_view
from racing_vpt.nn.timed import interpolate, steady_clock
from racing_vpt.types import FrameSpec
from racing_vpt.video.decode import open_video, padded_times
from racing_vpt.video.windows import cut_windows


def film(path: Path, frames_per_second: float | None, num_frames: int = 60, size: int = 96) -> np.ndarray:
    """A video whose frame shows its number as brightness; the time of each frame, in seconds."""
    rendition = Rendition("film", "x264", 18, "veryfast", size, size, frames_per_second)
    source, times = shown_frames(rendition, num_frames, 50.0)
    writer = RenditionWriter(path, rendition)
    for frame, time in zip(source, times, strict=True):
        writer.add(np.full((size, size, 3), 2 * frame + 40, np.uint8), time)
    writer.close()
    return times


def test_interpolation_at_the_frames_own_times_changes_nothing() -> None:
    values, times = torch.randn(2, 7, 3), torch.rand(2, 7).cumsum(1)
    torch.testing.assert_close(interpolate(values, times, times), values, atol=1e-5, rtol=0)


def test_a_straight_line_is_the_same_at_any_rate() -> None:
    fast, slow = torch.arange(0, 1, 0.02)[None], torch.arange(0, 1.02, 1 / 30)[None]
    clock = steady_clock(fast, torch.ones_like(fast, dtype=torch.bool), 0.02)
    one, other = (interpolate(3 * times.unsqueeze(-1), times, clock[:, :40]) for times in (fast, slow))
    torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


def test_padding_changes_no_label() -> None:
    model = load_module("zoo:idm-carracing-video")
    frames = torch.randint(0, 255, (1, 24, 96, 96, 3), dtype=torch.uint8)
    times = (torch.arange(40) / 30)[None]
    padded = torch.cat([frames, torch.zeros(1, 16, 96, 96, 3, dtype=torch.uint8)], 1)
    with torch.no_grad():
        alone = model(frames, None, times[:, :24])
        beside = model(padded, torch.arange(40)[None] < 24, times)
    for head, logits in alone.items():
        torch.testing.assert_close(logits[:, :20], beside[head][:, :20], atol=2e-3, rtol=0)


def test_frames_without_times_come_at_the_models_rate() -> None:
    model = load_module("zoo:idm-carracing-video")
    frames = torch.randint(0, 255, (1, 12, 96, 96, 3), dtype=torch.uint8)
    with torch.no_grad():
        silent, said, slow = (
            model(frames, None, times) for times in (None, *(torch.arange(12)[None] / r for r in (50, 25)))
        )
    torch.testing.assert_close(silent["steering"], said["steering"])
    assert (silent["throttle"] - slow["throttle"]).abs().max() > 0.01


def test_an_untrained_model_says_that_its_view_is_unknown() -> None:
    with pytest.raises(ValueError, match="place of its view is not known"):
        TimedIDM()(torch.zeros(1, 4, 96, 96, 3, dtype=torch.uint8))


def test_the_view_is_found_where_the_picture_shows_the_controls() -> None:
    random = np.random.default_rng(0)
    videos, controls = [], []
    for _ in range(4):
        wheel = np.cumsum(random.normal(size=200)) / 5
        frames = random.integers(100, 140, (200, 48, 64, 3)).astype(np.uint8)
        frames[1:, 20:26, 40:46] = np.clip(120 + 40 * np.tanh(wheel[:-1]), 0, 255)[:, None, None, None].astype(np.uint8)
        videos.append(frames)
        controls.append(np.tanh(wheel)[:, None])
    found = find_view(control_scores(videos, controls), 12, 12)
    assert found is not None
    top, left = found
    assert top <= 20 <= 26 <= top + 12
    assert left <= 40 <= 46 <= left + 12
    assert find_view(np.full((8, 8), 0.1), 12, 12) is None


def test_the_pool_learns_which_reader_to_trust() -> None:
    pool = Pool({"brake": 3})
    targets = torch.eye(3)[torch.randint(0, 3, (300,))]
    guesses = torch.randn(300, 3, 3).log_softmax(-1)
    guesses[:, 1] = (4 * targets).log_softmax(-1)
    entropy = torch.rand(300, 3)
    pool.fit("brake", guesses, entropy, targets)
    right = (pool.weigh("brake", guesses, entropy).argmax(-1) == targets.argmax(-1)).float().mean()
    assert right > 0.98


@pytest.mark.parametrize("codec", ["x264", "x265", "vp9", "lossless"])
def test_a_rendition_keeps_every_frame_and_its_time(codec: Codec, tmp_path: Path) -> None:
    rendition = Rendition("r", codec, 23, "veryfast", frames_per_second=None)
    source, times = shown_frames(rendition, 40, 50.0)
    writer = RenditionWriter(tmp_path / "r.mkv", rendition)
    for frame, time in zip(source, times, strict=True):
        writer.add(np.full((96, 96, 3), 2 * frame + 40, np.uint8), time)
    writer.close()
    frames, seen = zip(*timed_frames(tmp_path / "r.mkv"), strict=True)
    assert len(frames) == len(source)
    assert np.abs(np.array(seen) - seen[0] - times).max() < 0.002
    assert np.abs(np.array([frame.mean() for frame in frames]) - (2 * source + 40)).max() < 12


def test_random_renditions_differ() -> None:
    random = np.random.default_rng(0)
    drawn = [random_rendition(random) for _ in range(40)]
    assert len({each.codec for each in drawn}) == 3
    assert {None, 50.0} < {each.frames_per_second for each in drawn}
    assert {each.width for each in drawn} == {96, 600}


@pytest.mark.parametrize("rate", [24.0, 60.0, None])
def test_windows_of_every_frame_name_each_once_with_its_time(rate: float | None, tmp_path: Path) -> None:
    times = film(tmp_path / "v.mkv", rate, 100, size=32)
    video = open_video(tmp_path / "v.mkv", "pyav", "cpu")
    windows = list(cut_windows(video, FrameSpec(32, 32, every_frame=True), window=32, stride=20))
    labelled = np.concatenate([window.source_frames for window in windows])
    assert np.array_equal(labelled, np.arange(len(times)))
    for window in windows:
        assert (np.diff(window.times) > 0).all()
        shown = times[window.source_frames]
        assert np.abs(np.diff(window.times[window.source_rows]) - np.diff(shown)).max(initial=0) < 0.002


def test_padding_goes_on_in_steps_of_the_last_interval() -> None:
    np.testing.assert_allclose(padded_times(np.array([3.0, 3.1, 3.15]), 5, 0.02), [0, 0.1, 0.15, 0.2, 0.25])
    np.testing.assert_allclose(padded_times(np.array([3.0]), 3, 0.02), [0, 0.02, 0.04])


def test_a_reader_of_every_frame_repeats_none_and_knows_when_each_was(tmp_path: Path) -> None:
    words = ["--out", str(tmp_path), "--seeds", "10000", "--max_frames", "20", "--workers", "1"]
    assert main(["collect", *words]) == 0
    store = open_store(str(tmp_path), "train", None, 0, None, "pyav")
    assert store is not None
    resampled, every = (
        EpisodeReader([store], FrameSpec(frames_per_second=25.0, every_frame=whole)) for whole in (False, True)
    )
    assert resampled.lengths == [10]
    assert every.lengths == [20]
    np.testing.assert_allclose(resampled.times(0, 2, 5), [0.08, 0.12, 0.16])
    np.testing.assert_allclose(every.times(0, 2, 5), [0.04, 0.06, 0.08])
    batch = ClipDataset(every, 6, ClipControls())[[ClipIndex(0, 16), EMPTY]]  # type: ignore[list-item]
    assert batch.times is not None
    np.testing.assert_allclose(batch.times[0], 0.02 * np.arange(6), atol=1e-6)  # two of them padding
    assert (batch.times.diff(dim=1) > 0).all()


@pytest.mark.parametrize("rate", [30.0, None])
def test_predict_writes_a_line_for_each_frame_of_any_rate(rate: float | None, tmp_path: Path) -> None:
    times = film(tmp_path / "v.mkv", rate)
    words = ["--config", "label", "--ckpt_path", "zoo:idm-carracing-video", "--data.window_stride", "192"]
    assert main(["predict", *words, "--data.videos", str(tmp_path / "v.mkv"), "--out", str(tmp_path / "out")]) == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "v.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(len(times)))
    np.testing.assert_allclose([line["timestamp"] for line in lines], times, atol=2e-3)
    assert all(0 <= line["confidence"] <= 1 for line in lines)


def test_dropping_the_doubtful_tenth_leaves_the_error_of_the_rest() -> None:
    error, doubt = np.ones(100), np.zeros(100)
    error[:10], doubt[:10] = 11.0, 1.0
    assert error_kept(error, doubt) == pytest.approx(0.5)
