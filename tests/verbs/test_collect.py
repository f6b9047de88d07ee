from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from racing_vpt.agents.perturbation import Perturbation
from racing_vpt.agents.styles import ExpertStyle
from racing_vpt.cli.main import tool_parser
from racing_vpt.data.label_files import read_labels
from racing_vpt.data.pairing import pair_recordings
from racing_vpt.data.recordings import find_recordings
from racing_vpt.data.rendered import RenditionTask, render
from racing_vpt.data.renditions import Rendition
from racing_vpt.rollout.plan import Driver, Plan
from racing_vpt.verbs.collect import collect

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "collect").glob("*.yaml"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_collect_records_one_episode_per_seed_reproducibly(tmp_path: Path) -> None:
    drivers = [Driver("expert:sporty", 2), Driver("brownian", 1)]
    for name, workers in (("one", 1), ("two", 2)):
        collect(tmp_path / name, "10000-10003", drivers, perturb=Perturbation(0.1), max_frames=20, workers=workers)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    recordings = find_recordings(tmp_path / "one")
    assert [recording.meta["seed"] for recording in recordings] == [10_000, 10_001, 10_002, 10_003]
    assert {recording.meta["agent"] for recording in recordings} == {"expert:sporty", "brownian"}
    assert all(recording.num_frames == 20 and recording.has_actions for recording in recordings)
    assert all(recording.meta["environment"] == "racing_vpt/CarRacingFast-v3" for recording in recordings)
    assert all("gymnasium" in recording.meta["versions"] for recording in recordings)


def test_collect_started_again_records_only_what_is_missing(tmp_path: Path) -> None:
    collect(tmp_path, "10000-10001", max_frames=10, workers=1)
    before = contents(tmp_path)
    for suffix in (".mp4", ".jsonl", ".meta.json"):
        (tmp_path / f"010001-expert-calm{suffix}").unlink()
    assert [result.seed for result in collect(tmp_path, "10000-10002", max_frames=10, workers=1)] == [10_001, 10_002]
    assert len(find_recordings(tmp_path)) == 3
    assert before.items() <= contents(tmp_path).items()


def test_collect_refuses_a_folder_recorded_with_other_settings(tmp_path: Path) -> None:
    collect(tmp_path, "10000", max_frames=10, workers=1)
    with pytest.raises(ValueError, match="other --out"):
        collect(tmp_path, "10000", max_frames=11, workers=1)


def test_video_only_keeps_the_controls_in_another_folder(tmp_path: Path) -> None:
    collect(tmp_path / "watched", "10000", video_only=True, max_frames=10, workers=1)
    assert sorted(contents(tmp_path / "watched")) == ["010000-expert-calm.meta.json", "010000-expert-calm.mp4"]
    assert b"steering" not in (tmp_path / "watched" / "010000-expert-calm.meta.json").read_bytes()
    records, meta = read_labels(tmp_path / "watched-truth" / "010000-expert-calm.jsonl")
    assert len(records) == 10
    assert meta["kind"] == "truth"
    (recording,) = find_recordings(tmp_path / "watched")
    assert not recording.has_actions
    assert meta["video_sha256"] == recording.sha256


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": "0-9"}, "allow_judging_seeds"),
        ({"seeds": "1000"}, "allow_judging_seeds"),
        ({"seeds": "10003-10001"}, "backwards"),
        ({"truth": Path("elsewhere")}, "video_only"),
        ({"agents": [Driver("expert:reckless")]}, "no style"),
        ({"agents": [Driver("expert", -1.0)]}, "shares"),
        ({"env": "CarRacing-v2"}, "v3"),
        ({"renditions": [Rendition("a"), Rendition("a", crf=28)]}, "names of their own"),
    ],
)
def test_collect_refuses_bad_options(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        collect(tmp_path / "out", **{"seeds": "10000", "max_frames": 5, "workers": 1, **options})


def test_the_truth_must_not_be_beside_the_videos(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="another folder"):
        collect(tmp_path, "10000", video_only=True, truth=tmp_path / "truth")


def test_shares_are_kept_whichever_seeds_are_taken() -> None:
    drivers = (Driver("expert:calm", 3), Driver("brownian", 1))
    plan = Plan(Path("out"), "env", drivers, None, None, False, False, None)
    for start in (10_000, 12_345):
        chosen = [plan.driver_of(seed).agent for seed in range(start, start + 40)]
        assert chosen.count("brownian") in (9, 10, 11)


def test_a_style_can_be_given_in_numbers(tmp_path: Path) -> None:
    slow = ExpertStyle(top_speed=15.0)
    (result,) = collect(tmp_path, "10000", [Driver("expert", style=slow)], max_frames=60, workers=1)
    (recording,) = find_recordings(tmp_path)
    assert max(float(record.observation["speed"] or 0) for record in recording.records()) < 20
    assert recording.meta["settings"]["style"]["top_speed"] == 15.0
    assert result.frames == 60


def test_renditions_written_while_driving_have_the_lines_of_those_made_afterwards(tmp_path: Path) -> None:
    asked = [Rendition("film", preset="ultrafast", frames_per_second=30), Rendition("phone", frames_per_second=None)]
    options = {"seeds": "10000-10001", "max_frames": 21, "workers": 1}
    collect(tmp_path / "plain", **options)
    collect(tmp_path / "seen", renditions=asked, **options)
    for seed, source in enumerate(pair_recordings(tmp_path / "plain"), 10_000):
        for rendition in asked:
            render(RenditionTask(source, rendition, tmp_path / "made", seed))
    made, seen = (pair_recordings(tmp_path / name) for name in ("made", "seen"))
    assert [one.name for one in seen] == [one.name for one in made]
    for ours, theirs in zip(seen, made, strict=True):
        count = theirs.recording.num_frames  # afterwards an end of a fraction of a frame is left out
        assert count <= ours.recording.num_frames <= count + 1
        before, after = (one.recording.records()[: count - 1] for one in (ours, theirs))
        assert before == after
        assert ours.recording.open_video().num_frames == ours.recording.num_frames
        assert ours.recording.meta["rendition"] == theirs.recording.meta["rendition"]
    assert len({one.drive for one in seen}) == 2


def test_renditions_keep_the_controls_apart_and_are_recorded_once(tmp_path: Path) -> None:
    asked = [Rendition("small", preset="ultrafast", height=48, width=64), Rendition("half", frames_per_second=25)]
    options = {"seeds": "10000", "video_only": True, "max_frames": 12, "workers": 1}
    collect(tmp_path / "watched", renditions=asked, **options)
    before = contents(tmp_path / "watched")
    assert sorted(before) == [
        f"010000-expert-calm-{name}" for name in ("half.meta.json", "half.mkv", "small.meta.json", "small.mkv")
    ]
    (truth,) = [one for one in pair_recordings(tmp_path / "watched", tmp_path / "watched-truth") if "half" in one.name]
    assert [one.recording.num_frames for one in [truth]] == [6]
    assert len(truth.columns().controls["steering"]) == 6
    assert collect(tmp_path / "watched", renditions=asked, **options) == []
    assert contents(tmp_path / "watched") == before
    with pytest.raises(ValueError, match="other --out"):
        collect(tmp_path / "watched", renditions=[Rendition("small", crf=28), asked[1]], **options)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_configuration_is_understood_and_names_drivers_that_exist(config: Path, tmp_path: Path) -> None:
    parser, _ = tool_parser("collect")
    options = parser.instantiate_classes(parser.parse_args(["--config", str(config), "--out", str(tmp_path)])).as_dict()
    plan = Plan(tmp_path, options["env"], tuple(options["agents"]), options["perturb"], None, False, False, None)
    agents = {driver.agent: seed for seed in range(100) for driver in [plan.driver_of(seed)]}
    assert agents.keys() == {driver.agent for driver in options["agents"]}
    for seed in agents.values():
        plan.load_driver(seed)


def test_collect_interrupted_leaves_no_half_episode_and_continues(tmp_path: Path) -> None:
    words = ["collect", "--out", str(tmp_path), "--seeds", "10000-10002", "--max_frames", "150", "--workers", "1"]
    command = [sys.executable, "-m", "racing_vpt", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(Path.cwd())})
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*.meta.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) in (0, 130)
    names = {path.name for path in tmp_path.iterdir()}
    assert not [name for name in names if name.startswith(".")]
    for meta in tmp_path.glob("*.meta.json"):
        video = json.loads(meta.read_text())["video"]
        assert video in names
    assert len(names) % 3 == 0
    collect(tmp_path, "10000-10002", max_frames=150, workers=1)
    assert len(find_recordings(tmp_path)) == 3
