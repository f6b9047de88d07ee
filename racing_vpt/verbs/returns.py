"""`racing-vpt returns`: learning curves of runs in one picture, and how long each took to reach given returns."""

from __future__ import annotations

from pathlib import Path


def returns(
    folders: list[Path] | Path, out: Path = Path("returns.png"), reach: list[float] | None = None
) -> dict[str, dict[str, float]]:
    """Plot returns on validation tracks of runs that learn by driving, against decisions and hours of training.

    Args:
        folders: run folder, or several: [runs/dqn/default,runs/dqn/plain].
        out: the picture, PNG.
        reach: returns for which decisions and minutes until they were first reached are printed; 600, 850 and 870 if
            not given.

    Returns:
        By folder `best`, the highest mean return of a validation, and for each of `reach`, where it was reached,
        `decisions_to_N` and `minutes_to_N`. A mean of few tracks is uncertain: the highest of many is luck too.

    Raises:
        FileNotFoundError: a run has no `drives.csv`.
    """
    from racing_vpt.outputs import sole_writer_of
    from racing_vpt.play.curves import plot_returns, read_drives
    from racing_vpt.play.picture_file import check_own_picture

    folders = [folders] if isinstance(folders, Path) else folders
    if not folders:
        raise ValueError("no run was given; name some: --folders [runs/dqn/default]")
    check_own_picture(out)
    drives = {str(folder): read_drives(folder) for folder in folders}
    with sole_writer_of(out):
        plot_returns(drives, out)
    found = {title: needed(*drive, reach or [600.0, 850.0, 870.0]) for title, drive in drives.items()}
    for title, figures in found.items():
        print(f"{title}: " + ", ".join(f"{name} {value:,.1f}" for name, value in figures.items()))
    print(f"picture: {out}")
    return found


def needed(decisions: list[float], seconds: list[float], earned: list[float], reach: list[float]) -> dict[str, float]:
    """`best`, and decisions and minutes until the first validation of at least each of `reach`."""
    figures = {"best": max(earned)}
    for level in reach:
        reached = [place for place, value in enumerate(earned) if value >= level]
        if reached:
            figures[f"decisions_to_{level:g}"] = decisions[reached[0]]
            figures[f"minutes_to_{level:g}"] = seconds[reached[0]] / 60
    return figures
