"""Verbs that write to a folder full of somebody else's files: none of these changes or goes.

Each verb runs twice: among files of the very names that it would write, which it must not replace, and among others,
where it must come to its end.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from racing_vpt.cli.main import main
from racing_vpt.video.encode import VideoWriter, count_frames
from tests.conftest import write_tiny_recording
from tests.faults.harness import note

POLICY = Path(__file__).parents[1] / "vpt_parity" / "policy.model"
FILES = {  # names that resemble ours, in every output folder
    "train-000007.entry.json": "theirs",
    "val-000000.entry.json": json.dumps({"plan": "theirs", "file": "val-000000.tar"}),
    "other.entry.json": "{}",
    ".tmp-x.jsonl": "theirs",
    ".tmp-abcdef-1-01234567-x.mp4": "of another machine",
    "0" * 32: "a file of another cache",
    "replay-00000001.json.bak": "theirs",
    "notes.jsonl": "theirs",
    "notes.meta.json": json.dumps({"kind": "recording"}),
    "below/README.md": "theirs",
    "below/last.ckpt": "theirs",
}
Taken = dict[str, str]
"""Files of somebody else's that have names which a verb would write, and their content."""


def plant(folder: Path, taken: Taken) -> None:
    """Somebody else's files, a link to a file outside and one that leads nowhere."""
    for name, content in {**FILES, **taken}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    outside = folder.parent / "outside"
    outside.write_text("precious")
    (folder / ".tmp-a.jsonl").symlink_to(outside)
    (folder / "b.mp4").symlink_to(outside)
    (folder / "c.tar").symlink_to("nowhere")


def snapshot(folder: Path) -> dict[str, tuple]:
    """Kind, content or target, time and permissions of each path below a folder and beside it."""
    found: dict[str, tuple] = {}
    for path in [folder.parent / "outside", *folder.rglob("*")]:
        about = path.lstat()
        time = None if path.is_dir() else about.st_mtime_ns  # that of a folder changes with what is written there
        content = os.readlink(path) if path.is_symlink() else None if path.is_dir() else path.read_bytes()
        found[os.path.relpath(path, folder)] = (stat.filemode(about.st_mode), content, time)
    return found


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A recording with controls, a video without, and a run that learned by driving."""
    folder = tmp_path / "inputs"
    (folder / "run").mkdir(parents=True)
    (folder / "run" / "drives.csv").write_text("decisions,seconds,return\n1,2.0,3.0\n")
    write_tiny_recording(folder / "recordings", 0, 12)
    (folder / "videos").mkdir()
    writer = VideoWriter(folder / "videos" / "a.mp4", 50.0, 96, 96)
    for index in range(3):
        writer.add(np.full((96, 96, 3), 80 * index, np.uint8))
    writer.close()
    return folder


def verbs(inputs: Path, out: Path) -> dict[str, tuple[list[str], Taken | list[Taken]]]:
    """Command line of each verb, and files that it must refuse to replace: together, or each of several sets."""
    recording = f"{inputs}/recordings/tiny-10000.mp4"
    controls = json.dumps({"frame": 0, "timestamp": 0.0, "action": {"steering": 0.5}})
    driven = ["--seeds=10000", "--max_frames=2", "--workers=1"]
    foreign = json.dumps({"name": "a web application"})
    return {
        "collect": (["collect", f"--out={out}", *driven], {"010000-expert-calm.jsonl": "theirs"}),
        "collect --pictures": (["collect", f"--out={out}", "--pictures", *driven], {"010000-expert-calm/x.png": ""}),
        "pack": (["pack", f"--recordings={inputs}/recordings", f"--out={out}"], {"train-000000.tar": "theirs"}),
        "pack over a manifest": (
            ["pack", f"--recordings={inputs}/recordings", f"--out={out}"],
            {"manifest.json": foreign},
        ),
        "predict": (
            ["predict", "--config=label", "--ckpt_path=zoo:idm-carracing", f"--data.videos={inputs}/videos",
             f"--out={out}", f"--runs={inputs}/runs", "--trainer.accelerator=cpu"],
            {"a.jsonl": controls},
        ),
        "export-weights": (
            ["export-weights", "zoo:vpt-carracing", str(out)],
            {"README.md": "theirs", "config.json": foreign},
        ),
        "export": (
            ["export", f"{inputs}/recordings", "--format=table", f"--out={out}"],
            {"tiny-10000.csv": "theirs", "tiny-10000.mp4": "theirs"},
        ),
        "import": (
            ["import", f"{inputs}/recordings", "--format=table", f"--out={out}"],
            {"tiny-10000.jsonl": controls},
        ),
        "import-vpt": (["import-vpt", f"--model={POLICY}", f"--out={out}"], {"README.md": "theirs"}),
        "export-vpt": (["export-vpt", f"--checkpoint={POLICY}", f"--model={out}/x.model"], {"x.weights": "theirs"}),
        "drive": (
            ["drive", "--checkpoint=brownian", f"--json={out}/scores.json", f"--video={out}/film.mp4",
             "--env=racing_vpt/CarRacingFast-v3", *driven],
            [{"scores.json": foreign}, {"film.mp4": "theirs"}],
        ),
        "view": (
            ["view", recording, f"--out={out}/film.mp4"],
            [{"film.mp4": "theirs"}, {"film.mp4": "theirs", "film.jsonl": controls}],
        ),
        "play": (
            ["play", "zoo:world-model-carracing", "--world_model", "--keys=up*2", f"--out={out}/film.mp4"],
            {"film.mp4": "theirs"},
        ),
        "inspect": (["inspect", recording, f"--out={out}/picture.png"], {"picture.png": "theirs"}),
        "returns": (["returns", f"{inputs}/run", f"--out={out}/returns.png"], {"returns.png": "theirs"}),
    }  # fmt: skip


@pytest.mark.parametrize("verb", verbs(Path("inputs"), Path("out")))
def test_a_verb_leaves_the_files_of_others_as_they_are(verb: str, inputs: Path, tmp_path: Path) -> None:
    kept = 0
    _, sets = verbs(inputs, tmp_path)[verb]
    for number, taken in enumerate([{}, *(sets if isinstance(sets, list) else [sets])]):
        out, refuses = tmp_path / str(number) / "out", bool(taken)
        words, _ = verbs(inputs, out)[verb]
        plant(out, taken)
        before = snapshot(out)
        status = main(words)
        after = snapshot(out)
        assert {name: after.get(name) for name in before} == before
        assert status == (2 if refuses else 0)
        assert refuses == (after.keys() == before.keys())
        kept += 1
    note(f"{verb} in a folder with files of others: none changed", kept, kept)


def test_a_film_of_ours_is_replaced_unless_controls_lie_beside_it(inputs: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    words = ["view", f"{inputs}/recordings/tiny-10000.mp4", f"--out={film}", "--num_frames"]
    assert [main([*words, number]) for number in ("2", "5")] == [0, 0]
    assert count_frames(film) == 5
    film.with_suffix(".jsonl").write_text("somebody's labels of it")
    assert main([*words, "2"]) == 2
    assert count_frames(film) == 5


def test_a_run_begins_in_no_folder_of_others(tmp_path: Path, tiny_shards: Path) -> None:
    run = tmp_path / "runs" / "vpt" / "x"
    plant(run, {"config.yaml": "services: [web]", "metrics.csv": "theirs"})
    before = snapshot(run)
    words = [f"--data.train={tiny_shards}", f"--runs={tmp_path / 'runs'}", "--name=x", "--trainer.max_steps=1"]
    assert main(["fit", "--config=vpt", *words]) == 2
    assert snapshot(run) == before
    note("fit in a folder with files of others: none changed", 1, 1)


def test_labels_beside_videos_must_be_meant_and_even_so_replace_no_controls(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = inputs / "videos"
    words, _ = verbs(inputs, videos)["predict"]
    assert main(words) == 2
    assert "choose another folder" in capsys.readouterr().err
    (videos / "a.jsonl").write_text("recorded")
    assert main([*words, "--overwrite=true"]) == 2
    assert "is not replaced" in capsys.readouterr().err
    assert (videos / "a.jsonl").read_text() == "recorded"
    (videos / "a.jsonl").unlink()
    assert main([*words, "--overwrite=true"]) == 0
    assert (videos / "a.meta.json").is_file()
