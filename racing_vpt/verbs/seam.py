"""`racing-vpt seam`: whether long imagination jumps where the world model's memory is emptied."""

from __future__ import annotations

from pathlib import Path


def seam(
    checkpoint: str,
    frames: int = 1000,
    dreams: int = 8,
    tau: float = 1.0,
    seed: int = 0,
    json: Path | None = None,
) -> dict[str, dict[str, object]]:
    """Compare long dreams of a world model whose KV cache slides with dreams whose cache is flushed when it is full.

    IRIS flushes: the window restarts from the last frame. A jump is the mean absolute second difference of the
    pictures; the seam is the mean jump after a flush divided by the mean jump elsewhere, so 1 means no seam. Both kinds
    of dream have the same starts, controls (pieces of recorded ones) and random numbers. A world model with absolute
    positions cannot slide; only its flushed dreams are measured.

    Args:
        checkpoint: TokenWorld or IRIS: a run folder, a file or zoo:NAME.
        frames: frames per dream, at least three windows.
        dreams: dreams of each kind.
        tau: temperature.
        seed: seed of all random draws.
        json: file for the figures.

    Returns:
        For `flushed` and `slides`: `seam` (mean over dreams), `ci95`, `jump` and `jump_elsewhere` (of 255), and
        `flushes`; and `difference`, the paired difference of their seams.

    Raises:
        ValueError: the checkpoint has no world model over tokens, or a number is too small.
    """
    import numpy as np
    import torch

    from racing_vpt.checkpoints.load import load_module
    from racing_vpt.files import write_json
    from racing_vpt.models.worlds import token_world_of
    from racing_vpt.nn.seam import roughness
    from racing_vpt.nn.seam import seam as seam_of
    from racing_vpt.outputs import check_own_report, sole_writer_of
    from racing_vpt.statistics import bootstrap_interval
    from racing_vpt.studies.long_dreams import imagined

    check_own_report(json)
    module = load_module(checkpoint)
    world = token_world_of(module.eval())
    if world is None:
        raise ValueError(
            f"{checkpoint} is a {type(module).__name__}, but only a world model over tokens has a memory that slides; "
            "give a TokenWorld or an IRIS"
        )
    window = world.size.window
    if frames < 3 * window or dreams < 1 or tau < 0:
        raise ValueError(
            f"dreams from 1, a temperature from 0 and frames from {3 * window}, three windows, were expected, but they "
            f"are {dreams}, {tau} and {frames}"
        )
    slides = world.net.blocks.slides
    found: dict[str, dict[str, object]] = {}
    seams: list[np.ndarray] = []  # of each dream
    lines, places = [], torch.zeros(frames, dtype=torch.bool)
    for kind in ("flushed", "slides") if slides else ("flushed",):
        pictures, flushed = imagined(world, frames, dreams, tau, seed, window if slides and kind == "flushed" else None)
        places = flushed if kind == "flushed" else places  # where the other one was
        jumps = [roughness(row) for row in pictures.unbind(1)]
        each = np.array([seam_of(row, places) for row in jumps])
        seams.append(each)
        low, high = bootstrap_interval(each)
        after, elsewhere = (float(torch.stack(jumps)[:, where].mean()) for where in (places, ~places))
        found[kind] = {
            "seam": float(each.mean()),
            "ci95": (low, high),
            "jump": after,
            "jump_elsewhere": elsewhere,
            "flushes": int(flushed.sum()),
        }
        lines.append(
            f"{kind:8} seam {each.mean():.2f} (95% {low:.2f} to {high:.2f}): {after:.2f} of 255 at those frames, "
            f"{elsewhere:.2f} elsewhere; {int(flushed.sum())} flushes"
        )
    if slides:
        more = seams[0] - seams[1]
        low, high = bootstrap_interval(more)
        found["difference"] = {"seam": float(more.mean()), "ci95": (low, high)}
        lines.append(f"flushed less slides, paired: {more.mean():+.2f} (95% {low:+.2f} to {high:+.2f})")
    print("\n".join([f"{checkpoint}: {dreams} dreams of {frames} frames at tau {tau:g}, window {window}", *lines]))
    if json is not None:
        with sole_writer_of(json):
            write_json(json, {"checkpoint": checkpoint, "frames": frames, "dreams": dreams, "tau": tau, **found})
    return found
