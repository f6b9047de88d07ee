"""`racing-vpt compare`: agents on the same tracks, with paired differences."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from racing_vpt.seeds import JUDGING


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
        checkpoints: agents, the reference first: zoo:vpt-carracing runs/vpt/mine expert:calm.
        env: environment. Default: that of the game.
        seeds: tracks, such as 0-99 or 5,7-9. Choose models on 1000-1099; 0-99 are for the final figure.
        json: file for all scores and differences.
        workers: processes. Default: one per core.
        device: device of the networks: cpu or cuda.
        game: name or YAML file of the game, which all checkpoints must be of. Default: that of the reference.

    Returns:
        By agent: the report of `drive`, with `difference` and `difference_ci95` to the first.

    Raises:
        ValueError: fewer than two different agents, or one of another game.
    """
    from dataclasses import asdict

    from racing_vpt.agents.load import game_of, load_agent
    from racing_vpt.files import write_json
    from racing_vpt.games.game import check_same_game
    from racing_vpt.games.read import load_game
    from racing_vpt.outputs import check_own_report, sole_writer_of
    from racing_vpt.statistics import bootstrap_interval
    from racing_vpt.verbs.drive import drive

    if len(set(checkpoints)) < 2:
        raise ValueError(f"compare takes two or more different checkpoints, but got: {checkpoints}")
    check_own_report(json)
    asked = None if game is None else load_game(game)
    games = [game_of(load_agent(checkpoint, device)) for checkpoint in checkpoints]  # errors now, not after an hour
    for checkpoint, held in zip(checkpoints, games, strict=True):
        if asked is not None and held is not None:
            check_same_game(held, asked, checkpoint)
    env = env or (asked or games[0] or load_game("carracing")).place(training=False)
    found: dict[str, dict] = {}
    first = np.empty(0)
    with sole_writer_of(json):
        for checkpoint in checkpoints:
            report = drive(checkpoint, env, seeds, workers=workers, device=device)
            if report is None:
                break
            returns = np.array(report.returns)
            first = first if found else returns
            low, high = bootstrap_interval(returns - first)
            difference = {"difference": round(float((returns - first).mean()), 4), "difference_ci95": (low, high)}
            found[checkpoint] = asdict(report) | difference
            if json is not None:
                write_json(json, found)
    print(table(found))
    return found


def table(found: dict[str, dict]) -> str:
    """Markdown: means with intervals, and paired differences to the first."""
    lines = ["| driver | mean (95%) | median | laps | more than the first, paired (95%) |", "|---|---|---|---|---|"]
    for number, (checkpoint, report) in enumerate(found.items()):
        low, high = report["ci95"]
        below, above = report["difference_ci95"]
        difference = f"{report['difference']:+.1f} ({below:+.1f} to {above:+.1f})" if number else ""
        lines.append(
            f"| {checkpoint} | {report['mean']:.1f} ({low:.1f} to {high:.1f}) | {report['median']:.1f} | "
            f"{report['laps_finished']} of {len(report['seeds'])} | {difference} |"
        )
    return "\n".join(lines)
