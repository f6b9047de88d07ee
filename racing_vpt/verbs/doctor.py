"""`racing-vpt doctor`: what works on this machine, what does not, and what to do about it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Level = Literal["green", "amber", "red"]
COLOURS = {"green": "\033[32m", "amber": "\033[33m", "red": "\033[31m"}
LEAST_DISK_GIB, LEAST_MEMORY_GIB = 5.0, 2.0


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Args:
        level: green works, amber works with limits, red does not work.
        what: the subject of the check.
        found: the result in a few words.
        advice: what to do if it is not green.
    """

    level: Level
    what: str
    found: str
    advice: str = ""


def doctor(
    runs: Path = Path("runs"),
    constraints: Path = Path("constraints.txt"),
    only: list[str] | None = None,
    screen: bool = False,
    screen_seconds: float = 20.0,
    screen_rate: float = 25.0,
) -> int:
    """Check versions, decoders, GPU, environments, window, run folder, temporary folder, memory and disk.

    Args:
        runs: folder of the runs.
        constraints: file of exact versions; without it that check is amber.
        only: checks to make: versions, decoders, gpu, environment, window, runs, temporary, resources. Default: all.
        screen: check the recording of windows instead: in a display of its own, a window that shows the pressed keys
            is watched; says by how many frames keys and pictures differ, and what a capture takes.
        screen_seconds: length of that.
        screen_rate: its frames per second.

    Returns:
        1 if something is red, else 0.
    """
    checks: dict[str, Callable[[], list[Finding]]] = {
        "versions": lambda: check_versions(constraints),
        "decoders": check_decoders,
        "gpu": check_gpu,
        "environment": check_environment,
        "window": check_window,
        "runs": lambda: check_runs(runs),
        "temporary": lambda: check_temporary(runs),
        "resources": lambda: check_resources(runs),
    }
    if screen:
        checks, only = {"screen": lambda: check_screen(screen_seconds, screen_rate)}, ["screen"]
    unknown = sorted(set(only or []) - checks.keys())
    if unknown:
        raise ValueError(f"there is no check {unknown[0]!r}; there are {', '.join(checks)}")
    worst = 0
    for name in only or checks:
        try:
            findings = checks[name]()
        except Exception as error:  # whatever is broken here is what was asked for
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            findings = [Finding("red", name, f"failed: {first}", "see it whole with: racing-vpt doctor --debug")]
            if "--debug" in sys.argv:
                raise
        for finding in findings:
            print(line_of(finding))
            worst = max(worst, finding.level == "red")
    return int(worst)


def line_of(finding: Finding) -> str:
    """One line, and a second one with advice."""
    colour, plain = (COLOURS[finding.level], "\033[0m") if sys.stdout.isatty() else ("", "")
    advice = f"\n{'':8}do: {finding.advice}" if finding.advice and finding.level != "green" else ""
    return f"{colour}{finding.level:8}{plain}{finding.what}: {finding.found}{advice}"


def check_versions(constraints: Path) -> list[Finding]:
    """Compare the installed packages with the constraints."""
    from racing_vpt.cli.versions import compare

    python = ".".join(map(str, sys.version_info[:3]))
    fits = sys.version_info >= (3, 11)
    findings = [Finding("green" if fits else "red", "Python", python, "install Python 3.11 or later")]
    if not constraints.is_file():
        return [*findings, Finding("amber", "versions", f"no {constraints} to compare with", "give --constraints FILE")]
    found = compare(constraints)
    counts = f"{len(found.right)} right, {len(found.missing)} missing, {len(found.different)} different"
    advice = f"pip install --constraint {constraints} NAME, or make setup"
    level: Level = "amber" if found.missing or found.different else "green"
    findings.append(Finding(level, "versions", counts, advice))
    findings += [
        Finding("amber", f"  {name}", f"missing, {wanted} is wanted", advice) for name, wanted in found.missing
    ]
    for name, wanted, there in found.different:
        findings.append(Finding("amber", f"  {name}", f"{there} is installed, {wanted} is wanted", advice))
    return findings


def check_decoders() -> list[Finding]:
    """Decode a tiny video with each decoder."""
    from racing_vpt.video.decode import DECODERS, INSTALL, _probe_failure, choose_decoder

    findings, works = [], 0
    for name in DECODERS:
        failure = _probe_failure(name, "cpu")
        works += failure is None
        findings.append(
            Finding("amber" if failure else "green", f"decoder {name}", failure or "decodes on the CPU", INSTALL[name])
        )
    if not works:
        return [*findings, Finding("red", "decoders", "none works", INSTALL["pyav"])]
    name, where = choose_decoder("auto", "auto")
    return [*findings, Finding("green", "decoder that auto takes", f"{name} on the {where}")]


def check_gpu() -> list[Finding]:
    """Look for CUDA, and for video decoding on it."""
    import torch

    if not torch.cuda.is_available():
        return [Finding("amber", "GPU", f"none that torch {torch.__version__} can use", "train small sizes on the CPU")]
    from racing_vpt.video.decode import _probe_failure

    free, total = torch.cuda.mem_get_info()
    found = [Finding("green", "GPU", f"{torch.cuda.get_device_name()}, {free >> 30} of {total >> 30} GiB free")]
    failures = {name: _probe_failure(name, "cuda") for name in ("decord", "torchcodec")}
    works = [name for name, failure in failures.items() if failure is None]
    why = "; ".join(f"{name}: {failure}" for name, failure in failures.items())
    advice = "pip install 'racing-vpt[gpu]'; in a container set NVIDIA_DRIVER_CAPABILITIES=compute,video,utility"
    return [*found, Finding("green" if works else "amber", "NVDEC", ", ".join(works) or f"not usable ({why})", advice)]


def check_environment() -> list[Finding]:
    """Take a step in each CarRacing, and in an Atari game if these are installed."""
    from racing_vpt.envs.atari import INSTALL
    from racing_vpt.envs.make import make_env
    from racing_vpt.seeds import FIRST_VALIDATION_SEED

    findings = []
    for name in ("racing_vpt/CarRacingFast-v3", "CarRacing-v3", "ALE/Breakout-v5"):
        if name.startswith("ALE/") and importlib.util.find_spec("ale_py") is None:
            findings.append(Finding("amber", "Atari's games", "not installed", INSTALL))
            continue
        env = make_env(name)
        frame, _ = env.reset(seed=FIRST_VALIDATION_SEED)
        env.step(env.action_space.sample() * 0)
        env.close()
        findings.append(Finding("green", f"environment {name}", f"a step, frames of {frame.shape[1]}x{frame.shape[0]}"))
    return findings


def check_window() -> list[Finding]:
    """Whether a window can be opened."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return [Finding("amber", "window", "no display", "write films with --video FILE.mp4 instead of --render human")]
    return [Finding("green", "window", "there is a display")]


def check_screen(seconds: float, frames_per_second: float) -> list[Finding]:
    """Press keys at random in the calibration window, and compare what was read with what its pictures show."""
    from racing_vpt.screen.installed import check_installed, check_programs

    check_installed()
    check_programs("Xvfb")
    from racing_vpt.screen.calibration import measure_timing
    from racing_vpt.screen.own_display import OwnDisplay

    with OwnDisplay(320, 240) as own:
        timing = measure_timing(own.name, seconds, frames_per_second, press=True)
    level: Level = "green" if timing.within_one >= 0.99 else "amber"
    advice = "end other programs, or record at a lower rate: racing-vpt record --rate 20"
    return [Finding(level, "screen", str(timing), advice)]


def check_runs(runs: Path) -> list[Finding]:
    """Write, sync and rename in the folder of the runs."""
    from racing_vpt.files import published

    there = next(folder for folder in (runs.absolute(), *runs.absolute().parents) if folder.is_dir())
    path = there / f".doctor-{os.getpid()}"
    try:
        with published(path) as temporary:
            temporary.write_bytes(bytes(1 << 20))
        path.unlink()
    except OSError as error:
        return [Finding("red", "run folder", f"{there}: {error}", "give write permission, or choose another --runs")]
    return [Finding("green", "run folder", f"{there}: write, sync and rename work")]


def check_temporary(runs: Path) -> list[Finding]:
    """Look at the temporary folder: its file system and free space."""
    folder = Path(tempfile.gettempdir())
    there = next(place for place in (runs.absolute(), *runs.absolute().parents) if place.is_dir())
    other = ", another file system than the runs, which does no harm here" if _other_disk(folder, there) else ""
    free = shutil.disk_usage(folder).free / 2**30
    level: Level = "green" if free >= 1 else "amber"
    return [
        Finding(level, "temporary folder", f"{folder}, {free:.1f} GiB free{other}", "export TMPDIR=/a/larger/folder")
    ]


def check_resources(runs: Path) -> list[Finding]:
    """Look at free memory and disk, and count cores."""
    there = next(place for place in (runs.absolute(), *runs.absolute().parents) if place.is_dir())
    disk = shutil.disk_usage(there).free / 2**30
    level: Level = "green" if disk >= LEAST_DISK_GIB else "red" if disk < 0.5 else "amber"
    advice = f"free {LEAST_DISK_GIB:g} GiB: videos and checkpoints need it"
    findings = [Finding(level, "disk", f"{disk:.1f} GiB free in {there}", advice)]
    try:
        pages = {name: os.sysconf(name) for name in ("SC_AVPHYS_PAGES", "SC_PAGE_SIZE")}
        memory = pages["SC_AVPHYS_PAGES"] * pages["SC_PAGE_SIZE"] / 2**30
        enough: Level = "green" if memory >= LEAST_MEMORY_GIB else "amber"
        findings.append(Finding(enough, "memory", f"{memory:.1f} GiB free", "give --data.reading.cache_gib 0"))
    except (ValueError, OSError):
        findings.append(Finding("amber", "memory", "this system does not say", ""))
    return [*findings, check_cores()]


def check_cores() -> Finding:
    """Watch for half a second how many cores other programs leave free."""
    from racing_vpt.free_cores import free_cores, num_cores, threads_for

    cores, free = num_cores(), free_cores(seconds=0.5)
    threads = threads_for(free)
    advice = f"end other programs, or they share: a run started now computes with {threads} of {cores} threads"
    return Finding("green" if threads == cores else "amber", "cores", f"{cores}, {free:.1f} of them free", advice)


def _other_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev != other.stat().st_dev
