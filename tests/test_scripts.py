"""The batch scripts, with stand-ins: srun runs its arguments, racing-vpt records its own."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from racing_vpt.cli.main import TOOLS, tool_parser

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "scripts" / "slurm").glob("[1-8]_*.sh"))


NOTES = """
printf racing-vpt >>"$LOG"
printf ' %q' "$@" >>"$LOG"
echo >>"$LOG"
for word in "$@"; do [[ -d $word ]] && find "$word" -name '*.mp4' >>"$LOG.seen"; done
exit ${STATUS:-0}
"""


class Cluster:
    """A checkout's scripts and configs in a folder, and commands that note how they were called.

    Args:
        folder: where.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "log"
        shutil.copytree(ROOT / "scripts", folder / "scripts")
        shutil.copytree(ROOT / "configs", folder / "configs")
        self.bin = folder / ".venv" / "bin"
        self.bin.mkdir(parents=True)
        self.write("srun", 'while [[ $1 == --* ]]; do echo "srun $1" >>"$LOG"; shift; done; exec "$@"')
        self.write("scontrol", 'echo "scontrol $*" >>"$LOG"')
        self.write("apptainer", 'echo "apptainer $*" >>"$LOG"')
        self.write("racing-vpt", NOTES)

    def write(self, name: str, body: str) -> None:
        (self.bin / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (self.bin / name).chmod(0o755)

    def run(self, script: Path, *words: str, **environment: str) -> tuple[int, list[str]]:
        """Exit status, and the recorded commands."""
        self.log.unlink(missing_ok=True)
        settings = {"PATH": f"{self.bin}:{os.environ['PATH']}", "LOG": str(self.log), "FROM": "zoo:vpt-carracing"}
        done = subprocess.run(
            ["bash", str(self.folder / "scripts" / "slurm" / script.name), *words], cwd=self.folder,
            env={**settings, **environment}, capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, self.log.read_text().splitlines() if self.log.exists() else [done.stderr]


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    cluster = Cluster(tmp_path)
    for name in ("a", "b", "below/a", "c"):
        path = tmp_path / "data" / "watched" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return cluster


def test_there_is_a_script_for_each_step_of_the_pipeline() -> None:
    assert [script.name[0] for script in SCRIPTS] == list("12345678")
    assert all(os.access(script, os.X_OK) for script in SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_commands_of_a_script_parse(script: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    status, lines = cluster.run(script)
    assert status == 0, lines
    assert lines[0].startswith("srun --ntasks=1")
    calls = [shlex.split(line) for line in lines if line.startswith("racing-vpt")]
    assert calls
    monkeypatch.chdir(ROOT)
    for _, verb, *words in calls:
        if verb in TOOLS:
            tool_parser(verb)[0].parse_args(words)
        else:
            from racing_vpt.cli.parsing import parse_stage

            parse_stage(verb, words)


@pytest.mark.parametrize("status", [143, 138, 1])
def test_a_training_that_was_stopped_is_queued_again_and_one_that_failed_is_not(status: int, cluster: Cluster) -> None:
    code, lines = cluster.run(SCRIPTS[1], SLURM_JOB_ID="77", STATUS=str(status))
    assert code == status
    assert ("scontrol requeue 77" in lines) == (status != 1)
    assert not any("--ckpt_path" in line for line in lines)
    checkpoint = cluster.folder / "runs" / "idm" / "default" / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    assert any("--ckpt_path last" in line for line in cluster.run(SCRIPTS[1])[1])


def test_several_machines_get_a_strategy_and_as_many_tasks(cluster: Cluster) -> None:
    _, lines = cluster.run(SCRIPTS[5], DEVICES="4", SLURM_JOB_NUM_NODES="2", STRATEGY="fsdp")
    assert {"srun --ntasks=8", "srun --ntasks-per-node=4", "srun --kill-on-bad-exit=1"} <= set(lines)
    assert any("strategy/fsdp.yaml" in line and "--trainer.num_nodes 2" in line for line in lines)


def test_the_tasks_of_an_array_share_the_videos_and_keep_their_names(cluster: Cluster) -> None:
    found: list[str] = []
    for task in (3, 4, 5):
        (cluster.folder / "log.seen").unlink(missing_ok=True)
        settings = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_MIN": 3, "SLURM_ARRAY_TASK_COUNT": 3}
        status, lines = cluster.run(SCRIPTS[4], **{name: str(value) for name, value in settings.items()})
        assert status == 0, lines
        seen = (cluster.folder / "log.seen").read_text().splitlines()
        found += [line.split("racing-vpt-share.")[1].split("/", 1)[1] for line in seen if "racing-vpt-share" in line]
    assert sorted(found) == ["a.mp4", "b.mp4", "below/a.mp4", "c.mp4"]


def test_a_button_game_has_its_own_recipes_and_raw_arrays(cluster: Cluster) -> None:
    settings = {"SRUN": "", "GAME": "nes-road", "RECIPES": "configs/swag", "SIZE": "small", "RAW": "raw"}
    settings["RAW_WATCHED"] = "videos"
    lines = [line for script in SCRIPTS for line in cluster.run(script, **settings)[1]]
    assert lines[:3] == [
        "racing-vpt import raw --format arrays --out data/labelled --game nes-road",
        "racing-vpt import videos --format arrays --video_only --out data/watched",
        "racing-vpt pack --recordings data/labelled --out data/shards/labelled --workers 2 --game nes-road",
    ]
    trained = [line.split()[1:4] for line in lines if line.startswith("racing-vpt fit")]
    recipes = [f"configs/swag/{kind}_small.yaml" for kind in ("idm", "vpt", "vpt")]
    assert trained == [["fit", "--config", recipe] for recipe in recipes]
    assert all((ROOT / recipe).is_file() for recipe in recipes)
    assert any("drive --checkpoint runs/vpt/default --game nes-road --seeds" in line for line in lines)
    assert not any("srun" in line or "carracing" in line.lower() for line in lines if "init_from" not in line)


def test_a_named_container_is_used(cluster: Cluster) -> None:
    _, lines = cluster.run(SCRIPTS[6], CONTAINER="image.sif")
    assert any(line.startswith("apptainer exec --nv --bind") and "image.sif racing-vpt drive" in line for line in lines)
