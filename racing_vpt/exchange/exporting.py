"""Export of episodes, one after the other; what an interrupted run wrote is passed over."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, Protocol

from tqdm import tqdm

from racing_vpt.data.item_errors import concerns_all, reason
from racing_vpt.exchange.outgoing import Outgoing
from racing_vpt.outputs import check_no_inputs, sole_writer


class Exporter(Protocol):
    """Writes episodes in a format."""

    def begin(self) -> None:
        """Read what an earlier run wrote, once nobody else can write."""

    def is_done(self, episode: Outgoing) -> bool:
        """Whether this content was exported before in the same way."""

    def write(self, episode: Outgoing) -> str:
        """Write an episode; returns what was changed, or nothing."""

    def close(self) -> None:
        """Write what stands at the end, after the last episode."""

    def abort(self) -> None:
        """Remove what is unfinished, after an error."""


def export_all(
    episodes: Sequence[Outgoing], exporter: Exporter, out: Path, on_error: Literal["raise", "skip"]
) -> dict[str, int]:
    """Export episodes that are not in `out` yet, with progress; prints what was changed.

    Returns:
        Numbers of episodes `done`, `passed_over` and `failed`, and of `frames`.
    """
    counts = {"done": 0, "passed_over": 0, "failed": 0, "frames": 0}
    check_no_inputs(out, (file for episode in episodes for file in episode.inputs), "data that is exported")
    with sole_writer(out):
        exporter.begin()
        with ExitStack() as unfinished, tqdm(episodes, unit="episode", desc=out.name) as bar:
            unfinished.callback(exporter.abort)
            for episode in bar:
                try:
                    if exporter.is_done(episode):
                        counts["passed_over"] += 1
                        continue
                    changed = exporter.write(episode)
                    counts["done"] += 1
                    counts["frames"] += episode.num_frames
                    if changed:
                        bar.write(f"{episode.name}: {changed}")
                except Exception as error:  # whatever is wrong with one is no reason to pass over the others
                    if on_error == "raise" or concerns_all(error):
                        raise
                    counts["failed"] += 1
                    bar.write(f"passed over {episode.name}: {reason(error)}")
            exporter.close()
            unfinished.pop_all()
    print(f"{out}: " + ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in counts.items()))
    if counts["failed"] and not counts["done"] and not counts["passed_over"]:
        raise ValueError(f"none of the {counts['failed']} episodes could be exported; the reasons stand above")
    return counts
