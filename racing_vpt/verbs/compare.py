"""`racing-vpt compare`: agents on the same tracks, with paired differences."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from racing_vpt.seeds import JUDGING
from racing_vpt.statistics import interquartile_mean, interval_over_seeds


def compare(
    checkpoints: list[str],
    env: str | None = None,
    seeds: str = JUDGING,
    json: Path | None = None,
    workers: int | None = None,
    device: str = "cpu",
    game: str | None = None,
) -> dict[str, dict]:
    """Let several agents drive the same seeds, and print the difference of each to the first.

    Tracks differ more than agents do, so the paired differences per track are much more precise than two means.

    Args:
        checkpoints: agents, the reference first: zoo:vpt-carracing runs/vpt/mine expert:calm. Training seeds of one
            method are joined by plus signs, runs/a+runs/b+runs/c, and are one row, its interval over seeds and tracks.
        env: environment. Default: that of the game.
        seeds: tracks, such as 0-99 or 5,7-9. Choose models on 1000-1099; 0-99 are for the final figure.
        json: file for all scores and differences.
        workers: processes. Default: one per core.
        device: device of the networks: cpu or cuda.
        game: name or YAML file of the game, which all checkpoints must be of. Default: that of the reference.

    Returns:
        By row: `reports` of `drive`, one per training seed, `mean` and `ci95` over seeds and tracks, `iqm`, `median`,
        `p10`, `laps_finished`, and `difference` and `difference_ci95` to the first row.

    Raises:
        ValueError: fewer than two different agents, or one of another game.
    """
    from dataclasses import asdict

    from racing_vpt.agents.load import game_of, load_agent
    from racing_vpt.files import write_json
    from racing_vpt.games.game import check_same_game
    from racing_vpt.games.read import load_game
    from racing_vpt.outputs import check_own_report, sole_writer_of
    from racing_vpt.verbs.drive import drive

    if len(set(checkpoints)) < 2:
        raise ValueError(f"compare takes two or more different checkpoints, but got: {checkpoints}")
    check_own_report(json)
    asked = None if game is None else load_game(game)
    methods = {row: row.split("+") for row in checkpoints}
    every = [checkpoint for runs in methods.values() for checkpoint in runs]
    games = [game_of(load_agent(checkpoint, device)) for checkpoint in every]  # errors now, not after an hour
    for checkpoint, held in zip(every, games, strict=True):
        if asked is not None and held is not None:
            check_same_game(held, asked, checkpoint)
    env = env or (asked or games[0] or load_game("carracing")).place(training=False)
    found: dict[str, dict] = {}
    first = np.empty((0, 0))
    with sole_writer_of(json):
        for row, runs in methods.items():
            reports = [drive(checkpoint, env, seeds, workers=workers, device=device) for checkpoint in runs]
            driven = [report for report in reports if report is not None]
            if len(driven) < len(runs):
                break
            returns = np.array([report.returns for report in driven])  # [S, K]
            first = first if found else returns
            found[row] = summary(returns, first) | {
                "laps_finished": sum(report.laps_finished for report in driven),
                "reports": [asdict(report) for report in driven],
            }
            if json is not None:
                write_json(json, found)
    print(table(found))
    return found


def summary(returns: np.ndarray, first: np.ndarray) -> dict[str, object]:
    """Figures of returns [S, K] of a method's training seeds on K tracks, and the difference to the first [S', K]."""
    return {
        "mean": round(float(returns.mean()), 4),
        "ci95": interval_over_seeds(returns),
        "iqm": round(interquartile_mean(returns), 4),
        "median": round(float(np.median(returns)), 4),
        "p10": round(float(np.percentile(returns, 10)), 4),
        "difference": round(float(returns.mean() - first.mean()), 4),
        "difference_ci95": (0.0, 0.0) if returns is first else interval_over_seeds(returns, first),
    }


def table(found: dict[str, dict]) -> str:
    """Markdown: means with intervals, and paired differences to the first."""
    lines = [
        "| driver | mean (95%) | middle half | median | p10 | laps | more than the first, paired (95%) |",
        "|---|---|---|---|---|---|---|",
    ]
    for number, (row, figures) in enumerate(found.items()):
        low, high = figures["ci95"]
        below, above = figures["difference_ci95"]
        difference = f"{figures['difference']:+.1f} ({below:+.1f} to {above:+.1f})" if number else ""
        drives = sum(len(report["seeds"]) for report in figures["reports"])
        middle = " | ".join(f"{figures[name]:.1f}" for name in ("iqm", "median", "p10"))
        mean, laps = f"{figures['mean']:.1f} ({low:.1f} to {high:.1f})", f"{figures['laps_finished']} of {drives}"
        lines.append(f"| {row} | {mean} | {middle} | {laps} | {difference} |")
    return "\n".join(lines)
