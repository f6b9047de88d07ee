"""`racing-vpt demo`: the whole circle on CarRacing in minutes, by the commands that anybody would type.

Minutes of labelled driving train an inverse dynamics model; it labels video without controls; a policy is cloned from
those labels alone and drives tracks that it has not seen. The sizes are in `configs/demo/*.yaml`.
"""

from __future__ import annotations

import json
from pathlib import Path

from racing_vpt.bench.pace import has_fast_bf16, slowdown
from racing_vpt.cli.configs import find_config
from racing_vpt.cli.steps import Step, announce, run_steps, words

CONFIGS = Path("configs/demo")


def demo(out: Path = Path("runs/demo"), configs: Path = CONFIGS, seeds: str = "1050-1059") -> None:
    """Run the whole circle: record, train, label, clone, drive. Started again, it continues where it stopped.

    Args:
        out: folder for all results, with scores.json, drive.mp4 and training.png.
        configs: folder with the recipes labelled, watched, idm and vpt; the last two change those of the folder above.
        seeds: tracks to drive in the end, unseen in training and labelling.
    """
    from racing_vpt.outputs import sole_writer

    find_config(str(configs / "idm.yaml"))  # a folder without recipes is an error before anything is made
    steps = circle(out, configs, seeds)
    with sole_writer(out):
        announce(steps, slowdown())
        summarize(out, run_steps(steps, out / "steps"))


def circle(out: Path, configs: Path, seeds: str) -> list[Step]:
    """The commands in order."""
    labelled, watched, labels = out / "labelled", out / "watched", out / "labels"
    shards_idm, shards_vpt = out / "shards-idm", out / "shards-vpt"
    idm, vpt = out / "idm" / "demo", out / "vpt" / "demo"
    brownian, scores = out / "brownian.json", out / "scores.json"

    def fit(kind: str, shards: Path) -> tuple[str, ...]:
        recipes = [configs.parent / f"{kind}.yaml", configs / f"{kind}.yaml"]
        if kind == "vpt" and has_fast_bf16():
            recipes.append(configs.parent / "strategy" / "bf16.yaml")
        data = ("--data.train", shards, "--data.val", shards)
        return words("fit", *(word for recipe in recipes for word in ("--config", recipe)), *run, *data)

    def collect(kind: str, folder: Path) -> tuple[str, ...]:
        return words("collect", "--config", configs / f"{kind}.yaml", "--out", folder)

    run = ("--runs", out, "--name", "demo")
    # the physics and rewards of the stock CarRacing-v3, and pictures within 0.12 of 255, in a minute less
    tracks = ("--env", "racing_vpt/CarRacingFast-v3", "--seeds", seeds)
    recipe = ("--config", configs.parent / "label.yaml")
    label = words("predict", *recipe, "--ckpt_path", idm, "--data.videos", watched, "--out", labels, *run)
    pack_labels = words("pack", "--recordings", watched, "--labels", labels, "--out", shards_vpt)
    drive = words("drive", "--checkpoint", vpt, *tracks, "--json", scores, "--video", out / "drive.mp4")
    wander = words("drive", "--checkpoint", "brownian", *tracks, "--json", brownian)
    return [
        Step("Record minutes of driving with the controls", collect("labelled", labelled), labelled, 17),
        Step("Pack them", words("pack", "--recordings", labelled, "--out", shards_idm), shards_idm, 3, (labelled,)),
        Step("Train an inverse dynamics model on them", fit("idm", shards_idm), idm, 96, (shards_idm,)),
        Step("Record other driving as video only", collect("watched", watched), watched, 39),
        Step("Let that model say which controls were used in the video", label, labels, 51, (idm, watched)),
        Step("Pack the video with those labels", pack_labels, shards_vpt, 6, (watched, labels)),
        Step("Clone a policy from the labelled video", fit("vpt", shards_vpt), vpt, 250, (shards_vpt,)),
        Step("Drive at random, for comparison", wander, brownian, 12),
        Step("Let the policy drive tracks that it never saw", drive, scores, 29, (vpt,)),
    ]


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
