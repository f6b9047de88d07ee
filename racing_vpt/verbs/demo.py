"""`racing-vpt demo`: the whole circle on CarRacing in minutes, by the commands that anybody would type.

Minutes of labelled driving train an inverse dynamics model; it labels video without controls; a policy is cloned from
those labels alone and drives tracks that it has not seen. The sizes are in `configs/demo/*.yaml`.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from racing_vpt.bench.pace import has_fast_bf16, slowdown
from racing_vpt.cli.configs import find_config

CONFIGS = Path("configs/demo")


@dataclass(frozen=True)
class Step:
    """One command of the circle.

    Args:
        title: description.
        words: command line after `racing-vpt`.
        makes: file or folder that it makes.
        seconds: time on the reference machine (`bench/pace.py`), for the estimate at the start.
        needs: outputs of earlier steps that it reads.
    """

    title: str
    words: tuple[str, ...]
    makes: Path
    seconds: float
    needs: tuple[Path, ...] = ()


def demo(out: Path = Path("runs/demo"), configs: Path = CONFIGS, seeds: str = "1050-1059") -> None:
    """Run the whole circle: record, train, label, clone, drive. Started again, it continues where it stopped.

    Args:
        out: folder for all results, with scores.json, drive.mp4 and training.png.
        configs: folder with the recipes labelled, watched, idm and vpt; the last two change those of the folder above.
        seeds: tracks to drive in the end, on the stock environment; unseen in training and labelling.
    """
    from racing_vpt.outputs import sole_writer

    find_config(str(configs / "idm.yaml"))  # a folder without recipes is an error before anything is made
    steps = circle(out, configs, seeds)
    fingerprints: dict[Path, str] = {}
    seconds = 0.0
    with sole_writer(out):
        announce(steps, slowdown())
        for number, step in enumerate(steps, 1):
            print(f"\n[{number}/{len(steps)}] {step.title}\n$ racing-vpt {shlex.join(step.words)}", flush=True)
            fingerprints[step.makes] = fingerprint(step, [fingerprints[need] for need in step.needs])
            took = run_step(step, fingerprints[step.makes], out / "steps" / f"{number}.json")
            seconds += took
            print(f"  {took:.0f} s", flush=True)
        summarize(out, seconds)


def circle(out: Path, configs: Path, seeds: str) -> list[Step]:
    """The commands in order."""
    labelled, watched, labels = out / "labelled", out / "watched", out / "labels"
    shards_idm, shards_vpt = out / "shards-idm", out / "shards-vpt"
    idm, vpt = out / "idm" / "demo", out / "vpt" / "demo"
    brownian, scores = out / "brownian.json", out / "scores.json"

    def words(*given: object) -> tuple[str, ...]:
        return tuple(str(word) for word in given)

    def fit(kind: str, shards: Path) -> tuple[str, ...]:
        recipes = [configs.parent / f"{kind}.yaml", configs / f"{kind}.yaml"]
        if kind == "vpt" and has_fast_bf16():
            recipes.append(configs.parent / "strategy" / "bf16.yaml")
        data = ("--data.train", shards, "--data.val", shards)
        return words("fit", *(word for recipe in recipes for word in ("--config", recipe)), *run, *data)

    def collect(kind: str, folder: Path) -> tuple[str, ...]:
        return words("collect", "--config", configs / f"{kind}.yaml", "--out", folder)

    run, tracks = ("--runs", out, "--name", "demo"), ("--env", "CarRacing-v3", "--seeds", seeds)
    recipe = ("--config", configs.parent / "label.yaml")
    label = words("predict", *recipe, "--ckpt_path", idm, "--data.videos", watched, "--out", labels, *run)
    pack_labels = words("pack", "--recordings", watched, "--labels", labels, "--out", shards_vpt)
    drive = words("drive", "--checkpoint", vpt, *tracks, "--json", scores, "--video", out / "drive.mp4")
    blind = ("--env", "racing_vpt/CarRacingFast-v3", "--seeds", seeds)  # same physics and rewards; it does not look
    wander = words("drive", "--checkpoint", "brownian", *blind, "--json", brownian)
    return [
        Step("Record minutes of driving with the controls", collect("labelled", labelled), labelled, 18),
        Step("Pack them", words("pack", "--recordings", labelled, "--out", shards_idm), shards_idm, 4, (labelled,)),
        Step("Train an inverse dynamics model on them", fit("idm", shards_idm), idm, 104, (shards_idm,)),
        Step("Record other driving as video only", collect("watched", watched), watched, 44),
        Step("Let that model say which controls were used in the video", label, labels, 51, (idm, watched)),
        Step("Pack the video with those labels", pack_labels, shards_vpt, 5, (watched, labels)),
        Step("Clone a policy from the labelled video", fit("vpt", shards_vpt), vpt, 415, (shards_vpt,)),
        Step("Drive at random, for comparison", wander, brownian, 15),
        Step("Let the policy drive tracks that it never saw", drive, scores, 76, (vpt,)),
    ]


def announce(steps: list[Step], factor: float) -> None:
    """Say how long each step will take, where the machine is `factor` times as slow as the reference machine."""
    print(f"Expected on this machine as busy as it is now ({factor:.1f} times the reference machine's time):")
    for number, step in enumerate(steps, 1):
        print(f"  [{number}/{len(steps)}] {step.title:58} {step.seconds * factor:5.0f} s")
    total = sum(step.seconds for step in steps) * factor
    print(f"  {total / 60:.0f} minutes in all; stop it at any time, and the same command continues", flush=True)


def fingerprint(step: Step, needs: list[str]) -> str:
    """Hash of all that a step depends on: its command, its recipes, and the fingerprints of its inputs."""
    recipes = [find_config(word).read_text() for word in step.words if word.endswith(".yaml")]
    return sha256(json.dumps([step.words, recipes, needs]).encode()).hexdigest()


def run_step(step: Step, wanted: str, record: Path) -> float:
    """Run a step unless it finished before with the same fingerprint; continue it if it was stopped.

    Returns:
        Seconds that it took, now or before.

    Raises:
        ValueError: the command failed, or would overwrite files that the demo did not make.
    """
    from racing_vpt.files import write_json
    from racing_vpt.processes import run_command

    before = json.loads(record.read_text()) if record.is_file() else {}
    same = before.get("fingerprint") == wanted
    if same and before["finished"] and step.makes.exists():
        print("  done before")
        return before["seconds"]
    if not same and step.makes.exists():
        if before.get("makes") != str(step.makes):
            raise ValueError(f"{step.makes} is there already, and the demo did not make it; choose another --out")
        print(f"  the recipe changed since {step.makes} was made; it is made anew")
        shutil.rmtree(step.makes) if step.makes.is_dir() else step.makes.unlink()
    seconds = before["seconds"] if same else 0.0
    entry = {"title": step.title, "makes": str(step.makes), "fingerprint": wanted}
    write_json(record, entry | {"seconds": seconds, "finished": False})
    words = list(step.words)
    if words[0] == "fit" and (step.makes / "checkpoints" / "last.ckpt").is_file():
        words += ["--ckpt_path", "last"]
    begun, status = time.monotonic(), 1
    try:
        status = run_command([sys.executable, "-m", "racing_vpt", *words])
    finally:
        seconds += time.monotonic() - begun
        write_json(record, entry | {"seconds": seconds, "finished": status == 0})
    if status:
        raise ValueError(f"the step ended with status {status}; what is finished stays, and the same command continues")
    return seconds


def summarize(out: Path, seconds: float) -> None:
    """Plot the training curves and print the scores beside those of random driving."""
    from racing_vpt.play.curves import plot_training

    plot_training(
        {"inverse dynamics model": out / "idm" / "demo", "policy": out / "vpt" / "demo"}, out / "training.png"
    )
    scores, brownian = (json.loads((out / name).read_text()) for name in ("scores.json", "brownian.json"))
    print(f"\n{len(scores['seeds'])} tracks of {scores['env']} that it never saw; {seconds / 60:.1f} minutes in all:")
    for who, result in (("policy from unlabelled video", scores), ("Brownian driving", brownian)):
        low, high = result["ci95"]
        print(
            f"  {who:30} {result['mean']:7.1f}  (95%: {low:.0f} to {high:.0f}), {result['laps_finished']} laps finished"
        )
    print(f"scores {out / 'scores.json'}, film {out / 'drive.mp4'}, curves {out / 'training.png'}")
