"""Scores of an agent over many seeds: the statistics, the table, and the content of the JSON file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from racing_vpt.statistics import bootstrap_interval, interquartile_mean

if TYPE_CHECKING:
    from racing_vpt.rollout.episodes import EpisodeResult


@dataclass(frozen=True)
class Report:
    """Content of the JSON file; lists in the order of the seeds."""

    env: str
    checkpoint: str
    seeds: list[int]
    returns: list[float]
    mean: float
    ci95: tuple[float, float]
    median: float
    iqm: float  # mean of the middle half
    p10: float
    laps_finished: int
    frames: list[int]
    frames_per_second: float
    complete: bool  # whether all seeds were driven
    command: list[str]


def report_of(
    checkpoint: str, env: str, seeds: Sequence[int], results: Sequence[EpisodeResult], seconds: float
) -> Report:
    """Scores of the seeds driven so far, in the order of the seeds, with their statistics."""
    by_seed = {result.seed: result for result in results}
    driven = [by_seed[seed] for seed in seeds if seed in by_seed]
    returns = np.array([result.score for result in driven])
    low, high = bootstrap_interval(returns)
    return Report(
        env=env,
        checkpoint=checkpoint,
        seeds=[result.seed for result in driven],
        returns=[round(float(score), 4) for score in returns],
        mean=round(float(returns.mean()), 4),
        ci95=(round(low, 4), round(high, 4)),
        median=round(float(np.median(returns)), 4),
        iqm=round(interquartile_mean(returns), 4),
        p10=round(float(np.percentile(returns, 10)), 4),
        laps_finished=sum(result.lap_finished for result in driven),
        frames=[result.frames for result in driven],
        frames_per_second=round(sum(result.frames for result in driven) / seconds, 1),
        complete=len(driven) == len(seeds),
        command=sys.argv,
    )


def outcome(result: EpisodeResult) -> str:
    """How an episode ended, in a few words."""
    if not result.tiles:  # no race track
        return "ended"
    return "lap" if result.lap_finished else f"{result.tiles_visited} of {result.tiles} tiles"


def table(results: Sequence[EpisodeResult], report: Report) -> str:
    """Score, frames and outcome by seed, and the statistics in one line."""
    lines = [f"{'seed':>6}{'score':>9}{'frames':>8}  outcome"]
    for result in sorted(results, key=lambda result: result.seed):
        lines.append(f"{result.seed:6}{result.score:9.1f}{result.frames:8}  {outcome(result)}")
    interval = " (95% interval {:.1f} to {:.1f})".format(*report.ci95) if len(results) > 1 else ""
    episodes = f"{len(results)} episodes" if len(results) > 1 else "1 episode"
    laps = f"{report.laps_finished} laps finished, " if any(result.tiles for result in results) else ""
    lines.append(
        f"{report.checkpoint} in {report.env}, {episodes}: mean {report.mean:.1f}{interval}, "
        f"median {report.median:.1f}, middle half {report.iqm:.1f}, "
        f"10th percentile {report.p10:.1f}, {laps}{sum(report.frames)} frames"
    )
    return "\n".join(lines)
