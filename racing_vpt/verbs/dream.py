"""`racing-vpt dream`: returns of a controller in its world model's dream and in the environment."""

from __future__ import annotations

from pathlib import Path

from racing_vpt.seeds import SHORT_VALIDATION


def dream(
    checkpoint: str,
    taus: list[float] = [0.1, 0.5, 1.0, 1.15, 1.3],  # noqa: B006 # it is not changed, and the help shows it
    dreams: int = 64,
    seeds: str = SHORT_VALIDATION,
    env: str | None = None,
    json: Path | None = None,
) -> dict[str, object]:
    """Compare a controller's returns in the dream of its world model, at several temperatures, with its real returns.

    Args:
        checkpoint: controller of World Models: zoo:world-model-carracing, a run folder or file.
        taus: temperatures; 0 takes the likeliest next state, above 1 the dream is more random than the model.
        dreams: dreams per temperature.
        seeds: tracks driven for comparison.
        env: environment of those tracks. Default: the fast one of the controller's game.
        json: file for the figures.

    Returns:
        `real`: mean and interval; `dreams`: the same by temperature.

    Raises:
        ValueError: the checkpoint is no controller, or a temperature is negative.
    """
    import numpy as np

    from racing_vpt.checkpoints.load import load_module
    from racing_vpt.files import write_json
    from racing_vpt.models.controller import Controller
    from racing_vpt.outputs import check_own_report, sole_writer_of
    from racing_vpt.rollout.population import WHOLE_EPISODE, dream_returns
    from racing_vpt.statistics import bootstrap_interval
    from racing_vpt.verbs.drive import drive

    check_own_report(json)
    module = load_module(checkpoint)
    if not isinstance(module, Controller):
        raise ValueError(f"{checkpoint} is a {type(module).__name__}; only a controller of World Models dreams")
    if min(taus, default=-1) < 0 or dreams < 1:
        raise ValueError(f"temperatures from 0 and dreams from 1 were expected, but {taus} and {dreams} were given")
    numbers, steps = module.controller.detach().numpy()[None], -(-WHOLE_EPISODE // module.frames.stride)
    dreamt: dict[str, dict[str, object]] = {}
    lines = []
    for tau in taus:
        returns = dream_returns(module.world, module.beginnings, numbers, list(range(dreams)), tau, steps)[0]
        mean, (low, high) = float(np.mean(returns)), bootstrap_interval(returns)
        dreamt[f"{tau:g}"] = {"mean": mean, "ci95": (low, high)}
        lines.append(f"in dreams at tau {tau:g}: {mean:.1f} ({low:.1f} to {high:.1f}), {dreams} of them")
    report = drive(checkpoint, env or module.game.place(), seeds)
    assert report is not None
    low, high = report.ci95
    print("\n".join([f"on the road ({seeds}): {report.mean:.1f} ({low:.1f} to {high:.1f})", *lines]))
    real = {"mean": report.mean, "ci95": report.ci95}
    figures: dict[str, object] = {"checkpoint": checkpoint, "real": real, "dreams": dreamt}
    if json is not None:
        with sole_writer_of(json):
            write_json(json, figures)
    return figures
