from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from racing_vpt.agents.checkpoint import CheckpointAgent
from racing_vpt.agents.load import load_agent
from racing_vpt.envs.make import FAST_ID, MEADOW_ID, make_env
from racing_vpt.statistics import bootstrap_interval
from racing_vpt.verbs.drive import drive
from racing_vpt.video.decode import open_video

PARITY = Path(__file__).parents[1] / "vpt_parity"
KEYS = {"env", "checkpoint", "seeds", "returns", "mean", "ci95", "median", "p10", "laps_finished", "frames"}


def test_drive_scores_films_and_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores, film = tmp_path / "scores.json", tmp_path / "film.mp4"
    drive("expert:calm", FAST_ID, "1002,1000-1001", video=film, json=scores, max_frames=30, workers=2, batch=2)
    report = json.loads(scores.read_text())
    assert report.keys() >= KEYS
    assert report["seeds"] == [1002, 1000, 1001]
    assert report["frames"] == [30, 30, 30]
    assert report["mean"] == pytest.approx(np.mean(report["returns"]), abs=1e-3)
    assert report["ci95"][0] <= report["mean"] <= report["ci95"][1]
    assert report["laps_finished"] == 0
    assert report["complete"]
    assert open_video(film).num_frames == 30
    printed = capsys.readouterr().out
    assert "10th percentile" in printed
    assert all(f"{seed}" in printed for seed in report["seeds"])


@pytest.mark.parametrize(("agent", "processes"), [("brownian", 1), ("expert:wild", 2)])
def test_scores_do_not_depend_on_the_division_of_work(agent: str, processes: int) -> None:
    reports = [
        drive(agent, FAST_ID, "1000-1002", max_frames=15, workers=workers, batch=batch)
        for workers, batch in ((1, 1), (processes, 2))
    ]
    assert all(report and report.returns == reports[0].returns for report in reports)  # type: ignore[union-attr]


def test_an_interrupted_drive_writes_its_scores_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from racing_vpt.verbs import drive as tool

    asked = tool.outcome

    def stop_at_second(result) -> str:  # type: ignore[no-untyped-def]
        if result.seed == 1001:
            raise KeyboardInterrupt
        return asked(result)

    monkeypatch.setattr(tool, "outcome", stop_at_second)
    scores = tmp_path / "scores.json"
    with pytest.raises(KeyboardInterrupt):
        drive("random", FAST_ID, "1000-1002", json=scores, max_frames=5, workers=1, batch=1)
    report = json.loads(scores.read_text())
    assert report["seeds"] == [1000]
    assert not report["complete"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": "9-3"}, "backwards"),
        ({"seeds": "1000", "film_seed": 3}, "not among"),
        ({"env": "CarRacing-v2"}, "v3"),
        ({"checkpoint": "expert:reckless"}, "no style"),
        ({"batch": 0}, "count from 1"),
    ],
)
def test_drive_answers_bad_input(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        drive(**{"checkpoint": "brownian", "env": FAST_ID, "seeds": "1000", "max_frames": 3, **options})


def test_a_window_without_a_display_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="display"):
        drive("brownian", seeds="1000", render="human")


def test_an_agent_that_does_not_exist_is_answered_with_those_that_do() -> None:
    with pytest.raises(FileNotFoundError, match="brownian"):
        drive("no-such-run", seeds="1000")


def test_the_interval_holds_the_mean_and_of_equal_scores_is_that_score() -> None:
    scores = np.random.default_rng(0).normal(900, 30, 100)
    low, high = bootstrap_interval(scores)
    assert (low, high) == bootstrap_interval(scores)
    assert low < scores.mean() < high
    assert high - low == pytest.approx(4 * scores.std() / 10, rel=0.15)
    assert bootstrap_interval(np.array([5.0, 5.0])) == (5.0, 5.0)
    assert bootstrap_interval(np.array([7.0])) == (7.0, 7.0)


def test_an_openai_policy_drives_what_has_minecrafts_controls(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores, film = tmp_path / "scores.json", tmp_path / "film.mp4"
    options = {"video": film, "json": scores, "max_frames": 12, "workers": 1, "batch": 2, "sample": True}
    drive(str(PARITY / "policy.model"), MEADOW_ID, "1000-1001", **options)  # type: ignore[arg-type]
    assert json.loads(scores.read_text())["frames"] == [12, 12]
    assert open_video(film).num_frames == 12
    printed = capsys.readouterr().out
    assert "ended" in printed
    assert "laps" not in printed


def test_a_policy_acts_at_the_rate_of_the_environment() -> None:
    agent = load_agent(str(PARITY / "policy.model"))
    assert isinstance(agent, CheckpointAgent)
    agent.attach(make_env(MEADOW_ID))
    assert agent.repeat == 1


def test_a_policy_of_another_game_is_refused() -> None:
    with pytest.raises(ValueError, match="minecraft, but the environment takes those of carracing"):
        drive(str(PARITY / "policy.model"), FAST_ID, "1000", max_frames=3, workers=1)
