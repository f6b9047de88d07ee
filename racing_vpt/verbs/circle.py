"""`racing-vpt circle`: the whole circle on a button game, with the comparisons that show what it is worth.

Minutes with buttons train an inverse dynamics model; it labels an hour of video of a driver that it has not seen; a
policy is cloned from those labels. Beside it, on the same seeds: random buttons, the driver of the video, the clone of
the labelled minutes alone, and the clone of the video's true buttons. The recipes are a folder, such as `configs/nes`.
"""

from __future__ import annotations

import json
from pathlib import Path

from racing_vpt.cli.configs import find_config
from racing_vpt.cli.steps import Step, announce, run_steps, words

CONFIGS = Path("configs/nes")
RECIPES = ("labelled", "watched", "judge", "idm", "vpt")
SECONDS = {  # of each kind of step on the reference machine: estimates, from processor time per frame and step
    "labelled": 20.0, "watched": 105.0, "judge": 15.0, "pack": 60.0, "idm": 400.0, "test": 20.0, "label": 210.0,
    "vpt": 300.0, "drive": 60.0,
}  # fmt: skip


def circle(
    out: Path = Path("runs/nes-road"),
    configs: Path = CONFIGS,
    seeds: str = "1000-1029",
    max_frames: int | None = None,
) -> None:
    """Run the circle of a button game: record, train, label, clone, drive, compare. Started again, it continues.

    Args:
        out: folder for all results, with results.json.
        configs: folder with the recipes labelled, watched, judge, idm and vpt; the first three name the game, and
            watched the driver of the video.
        seeds: episodes to drive in the end, in the game's environment for training, which has the dynamics of that for
            judging; unseen in training and labelling.
        max_frames: longest of those episodes in frames. Default: the environment's.
    """
    from racing_vpt.bench.pace import slowdown
    from racing_vpt.outputs import sole_writer

    steps = steps_of(out, configs, seeds, max_frames)
    with sole_writer(out):
        announce(steps, slowdown())
        summarize(out, run_steps(steps, out / "steps"))


def steps_of(out: Path, configs: Path, seeds: str, max_frames: int | None = None) -> list[Step]:
    """The commands in order.

    Raises:
        ValueError: a recipe is missing, or says no game or driver.
    """
    import yaml

    from racing_vpt.games.read import load_game

    recipes = {name: find_config(str(configs / f"{name}.yaml")) for name in RECIPES}
    watched_by = yaml.safe_load(recipes["watched"].read_text())
    game, drivers = watched_by.get("game"), [each["agent"] for each in watched_by.get("agents", [])]
    if game is None or len(drivers) != 1:
        raise ValueError(f"{recipes['watched']} must name the game and one agent; it has {game} and {drivers}")
    env = load_game(game).place()
    labelled, watched, judge, labels = (out / name for name in ("labelled", "watched", "judge", "labels"))
    truth = out / "watched-truth"
    idm, report = out / "idm" / "circle", out / "test" / "circle"
    run = ("--runs", out, "--name")

    def collect(kind: str) -> Step:
        made = out / kind
        title = {
            "labelled": "Record minutes with buttons",
            "watched": "Record an hour of another driver as video only",
            "judge": "Record that driver with buttons, to judge labels by",
        }[kind]
        return Step(title, words("collect", "--config", configs / f"{kind}.yaml", "--out", made), made, SECONDS[kind])

    def pack(title: str, recordings: Path, shards: str, needs: tuple[Path, ...], *more: object) -> Step:
        made = out / shards
        command = words("pack", "--recordings", recordings, "--out", made, "--game", game, *more)
        return Step(title, command, made, SECONDS["pack"], needs)

    def clone(title: str, shards: str, name: str) -> Step:
        data = ("--data.train", out / shards, "--data.val", out / shards)
        command = words("fit", "--config", configs / "vpt.yaml", *run, name, *data)
        return Step(title, command, out / "vpt" / name, SECONDS["vpt"], (out / shards,))

    def drive(who: str, driver: object, name: str, *needs: Path) -> Step:
        made = out / f"{name}.json"
        film = ("--video", out / f"{name}.mp4") if needs else ()
        longest = () if max_frames is None else ("--max_frames", max_frames)
        command = words(
            "drive", "--checkpoint", driver, "--env", env, "--seeds", seeds, "--json", made, *film, *longest
        )
        return Step(f"Drive: {who}", command, made, SECONDS["drive"], needs)

    learn = words(
        "fit", "--config", configs / "idm.yaml", *run, "circle", "--data.train", out / "shards-labelled",
        "--data.val", out / "shards-labelled",
    )  # fmt: skip
    test = words("test", "--ckpt_path", idm, *run, "circle", "--data.test", judge, "--data.clip_frames", 256)
    label = words(
        "predict", "--config", configs.parent / "label.yaml", "--ckpt_path", idm, "--data.videos", watched,
        "--out", labels, *run, "circle",
    )  # fmt: skip
    return [
        collect("labelled"),
        pack("Pack them", labelled, "shards-labelled", (labelled,), *clip_options(recipes["idm"])),
        Step("Train an inverse dynamics model on them", learn, idm, SECONDS["idm"], (out / "shards-labelled",)),
        collect("judge"),
        Step("Judge its labels on a driver that it has not seen", test, report, SECONDS["test"], (idm, judge)),
        collect("watched"),
        Step("Let it say which buttons were held in the video", label, labels, SECONDS["label"], (idm, watched)),
        pack("Pack the video with those labels", watched, "shards-watched", (watched, labels), "--labels", labels),
        pack("Pack it with its true buttons, to compare", watched, "shards-truth", (watched,), "--labels", truth),
        clone("Clone a policy from the labelled video", "shards-watched", "policy"),
        clone("Clone the true buttons, to compare", "shards-truth", "truth"),
        clone("Clone the minutes with buttons alone, to compare", "shards-labelled", "minutes"),
        drive("the policy", out / "vpt" / "policy", "policy", out / "vpt" / "policy"),
        drive("the clone of the true buttons", out / "vpt" / "truth", "truth", out / "vpt" / "truth"),
        drive("the clone of the minutes", out / "vpt" / "minutes", "minutes", out / "vpt" / "minutes"),
        drive("the driver of the video", drivers[0], "driver"),
        drive("random buttons", "random", "random"),
    ]


def clip_options(recipe: Path) -> tuple[object, ...]:
    """Options of `pack` for clips of the size that the model of a recipe sees, almost without loss.

    In clips of the game's own size, for policies, and with their usual quality, a press of a button may not be seen.
    """
    import yaml

    frames = yaml.safe_load(recipe.read_text()).get("model", {}).get("init_args", {}).get("frames", {})
    sides = [word for side in ("height", "width") if side in frames for word in (f"--{side}", frames[side])]
    return (*sides, "--crf", 1)


def summarize(out: Path, seconds: float) -> None:
    """Print the returns beside each other and the labels' figures, and write all of them to results.json."""
    from racing_vpt.files import write_json

    who = {
        "policy": "policy from unlabelled video",
        "truth": "clone of its true buttons",
        "minutes": "clone of the labelled minutes",
        "driver": "driver of the video",
        "random": "random buttons",
    }
    returns = {name: json.loads((out / f"{name}.json").read_text()) for name in who}
    report = json.loads((out / "test" / "circle" / "report.json").read_text())
    print(f"\nlabels of a driver that the model has not seen, {report['frames']} frames (95% over episodes):")
    for control, figures in report["figures"].items():
        for figure in ("f1", "onset_f1_2"):
            if figure in figures:
                shown = {judged: "{:.3f} ({:.3f} to {:.3f})".format(*interval) for judged, interval in
                         figures[figure].items()}  # fmt: skip
                print(f"  {control:8} {figure:11}" + ", ".join(f"{judged} {value}" for judged, value in shown.items()))
    print(f"\nreturns over {len(returns['policy']['seeds'])} episodes of {returns['policy']['env']}:")
    for name, title in who.items():
        print("  {:32}{:9.1f}  (95%: {:.0f} to {:.0f})".format(title, returns[name]["mean"], *returns[name]["ci95"]))
    print(f"{seconds / 60:.1f} minutes in all; written to {out / 'results.json'}")
    kept = {name: {key: each[key] for key in ("mean", "ci95", "returns")} for name, each in returns.items()}
    write_json(out / "results.json", {"returns": kept, "labels": report["figures"], "seconds": seconds})
