"""`racing-vpt record`: record a window of the screen, with the keys that are held."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from racing_vpt.play.screen_recorded import Recorded


def record(
    game: str,
    out: Path,
    window: str | None = None,
    region: str | None = None,
    rate: float | None = None,
    max_seconds: float | None = None,
    start_key: str = "f9",
    stop_key: str = "f10",
    at_once: bool = False,
    video_only: bool = False,
    wait: float = 0.0,
    license: str | None = None,
    author: str | None = None,
) -> Recorded:
    """Record a window of the screen and the keys held in each frame: `racing-vpt record --game mine.yaml --out mine`.

    F9 starts, pauses and goes on, F10 ends, also while the game has the keyboard. What is recorded before a pause, a
    covered or closed window, or a disk that fills, is kept; each part is a recording of its own. X11 only.

    Args:
        game: name or YAML file of the game: its keys, its rate, and under `screen` its window.
        out: folder for the recordings, which are named GAME-NNNN.
        window: title of the window, or a part of it. Default: the game file's.
        region: part of the screen instead, in pixels: LEFT,TOP,WIDTH,HEIGHT.
        rate: frames per second. Default: the game's.
        max_seconds: end after so many seconds of recording.
        start_key: key that starts, pauses and goes on.
        stop_key: key that ends.
        at_once: start without waiting for the key.
        video_only: record the video without controls, for an IDM to label.
        wait: seconds to wait for the window to open.
        license: licence of the recordings, such as CC-BY-4.0, which goes along wherever they go.
        author: who made them, as you want to be named.

    Returns:
        The recordings, and what happened meanwhile.
    """
    from dataclasses import replace

    from racing_vpt.games.read import load_game
    from racing_vpt.screen.installed import check_installed, display_name

    check_installed()
    found = load_game(game)
    if not found.keys and not video_only:
        raise ValueError(
            f"the file of the game {found.name} names no keys, so that no controls can be recorded; add keys such as "
            "`keys: {left: [left, a]}`, or give --video_only"
        )
    if window is not None and region is not None:
        raise ValueError("--window and --region were given, but one place can be recorded at a time")
    display = display_name()

    from racing_vpt.data.origin import origin_of
    from racing_vpt.games.screen import Screen
    from racing_vpt.outputs import sole_writer
    from racing_vpt.play.screen_recorder import RecordOptions, ScreenRecorder

    screen = found.screen or Screen()
    if window is not None:
        screen = replace(screen, window=window, region=())
    if region is not None:
        screen = replace(screen, window="", region=region_of(region))
    if not screen.window and not screen.region:
        raise ValueError(
            f"the file of the game {found.name} names no window; give --window TITLE or --region LEFT,TOP,WIDTH,HEIGHT"
        )
    rate = rate or found.frames.frames_per_second
    origin = origin_of("record", license, author)
    options = RecordOptions(rate, max_seconds, start_key, stop_key, at_once, video_only, wait, origin)
    with sole_writer(out), ScreenRecorder(found, screen, display, options) as recorder:
        recorded = recorder.run(out)
    for path in recorded.paths:
        print(f"recording: {path}")
    print(f"{recorded.ended}; {recorded.summary}")
    if recorded.paths:
        print(f"look at it with: racing-vpt view {recorded.paths[-1]}")
    return recorded


def region_of(text: str) -> tuple[int, ...]:
    """Four whole numbers, of which the last two are at least 16."""
    parts = text.split(",")
    if len(parts) == 4 and all(part.strip().lstrip("-").isdigit() for part in parts) and min(map(int, parts[2:])) >= 16:
        return tuple(int(part) for part in parts)
    raise ValueError(
        f"--region is {text!r}; expected LEFT,TOP,WIDTH,HEIGHT in pixels, such as 0,0,640,480, and at least 16 of both"
    )
