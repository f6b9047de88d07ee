"""Progress over episodes that shows frames before the first episode has ended."""

from __future__ import annotations

from pathlib import Path

from racing_vpt.cli.episode_progress import EpisodeProgress, longest_episode
from racing_vpt.rollout.frame_count import FrameCount


def test_frames_of_other_processes_are_counted(tmp_path: Path) -> None:
    ours, theirs = FrameCount(tmp_path / "frames", [7, 3]), FrameCount(tmp_path / "frames", [7, 3])
    theirs.note(3, 20)
    ours.note(7, 5)
    theirs.note(3, 21)
    assert ours.total() == theirs.total() == 26


def test_progress_shows_frames_within_the_first_episodes() -> None:
    with EpisodeProgress("expert", [1000, 1001], longest=1000) as progress:
        assert progress.line() == "expert: 0 of 2 episodes, starting"
        worker = FrameCount(progress.file, progress.seeds)
        worker.note(1000, 10)
        progress.line()
        worker.note(1000, 400)
        assert "expert: 0 of 2 episodes, 400 frames, " in progress.line()
        assert " left" in progress.line()
        progress.episode("seed 1000", 400, "mean 900.0")
        assert progress.line().startswith("expert: 1 of 2 episodes, 400 frames, ")
        assert progress.line().endswith("mean 900.0")


def test_the_longest_episode_is_the_environments_or_what_was_asked_for() -> None:
    assert longest_episode("CarRacing-v3", None) == 1000
    assert longest_episode("CarRacing-v3", 50) == 50
    assert longest_episode("nowhere/Unknown-v0", None) is None
