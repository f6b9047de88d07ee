"""`racing-vpt seam`: whether long imagination jumps where a memory is emptied, and whether a sliding one does not."""

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
    """Imagine long dreams with a world model's sliding memory, and the same with a memory that is flushed to the last
    frame whenever the window is full, as the original's; compare how far frames after a flush jump.

    A jump is the mean absolute second difference of the pictures, and the seam its mean after a flush by its mean
    elsewhere: 1 is no seam. Both kinds of dream have the same beginnings, controls (recorded ones, in pieces), random
    numbers and places. A world with absolute positions cannot slide, and is only shown with its flushes.

    Args:
        checkpoint: a TokenWorld or an IRIS: a run folder, a file or zoo:NAME.
        frames: of each dream.
        dreams: of each kind.
        tau: temperature.
        seed: of all that is drawn.
        json: file for the figures.

    Returns:
        By kind, `flushed` and `slides`: `seam` (mean over dreams), `ci95`, `jump` and `jump_elsewhere` (of 255), and
        `flushes`; and `difference`, of the first seam less the second, dream by dream.
    """
    import numpy as np
    import torch

    from racing_vpt.checkpoints.load import load_module
    from racing_vpt.files import write_json
    from racing_vpt.models.worlds import token_world_of
    from racing_vpt.nn.seam import roughness
    from racing_vpt.nn.seam import seam as seam_of
    from racing_vpt.statistics import bootstrap_interval
    from racing_vpt.studies.long_dreams import imagined

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
        write_json(json, {"checkpoint": checkpoint, "frames": frames, "dreams": dreams, "tau": tau, **found})
    return found
