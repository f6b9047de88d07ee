"""`racing-vpt view`: look at labels, beside the video and beside the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def view(
    video: Path,
    *,
    labels: Path | None = None,
    truth: Path | None = None,
    out: Path | None = None,
    first_frame: int = 0,
    num_frames: int | None = None,
    tolerance: float = 0.1,
    speed: float = 1.0,
    html: Path | None = None,
    films: Literal["auto", "inside", "beside"] = "auto",
    camera: str | None = None,
    workers: int = 1,
) -> Path | None:
    """Show a video with its labels, frame by frame: steering wheel, pedals and gear, or gamepad, or keys and mouse.

    With --html, write a page instead that any browser opens from disk: every episode of a folder (recordings, videos
    with --labels, shards, a LeRobot dataset) with film, controls, labels beside truth, confidence and rewards over
    time, its least confident and most wrong moments, and marks of what to leave out for `racing-vpt pack --exclude`.

    Colours are weaker where the labels are uncertain. Below, a time line shows label (blue) and truth (white). Where
    the truth is known, what agrees is edged green, what does not red, with the share that was right so far. In the
    window `h` shows the keys: space stops and goes on, n and b jump to the next and the last disagreement, left and
    right step a frame, page up and page down a second, up and down change the speed, Escape ends.

    Args:
        video: a video, or a recording (its mp4, meta file or folder of PNG frames); with --html also a folder of many,
            of shards, or a LeRobot dataset.
        labels: NAME.jsonl that an IDM wrote for it, or the folder that holds it; the recording's own controls if not
            given.
        truth: NAME.jsonl of what was really done, or its folder; the recording's own controls if it has some.
        out: mp4 to write instead of opening a window. Without a display and without it: NAME.view.mp4 in this folder.
        first_frame: where the film starts.
        num_frames: frames of the film; all that follow if not given.
        tolerance: by which steering, throttle and brake may be off and still count as right. The camera of Minecraft
            must fall in the same of VPT's 11 classes, buttons and gear changes must be equal.
        speed: how many times as fast as it was; an mp4's rate changes with it.
        html: page to write instead, one file that needs no server.
        films: where the page has its films: inside it, beside it in the folder PAGE-films, or auto: inside up to
            24 MiB.
        camera: key of the video of a LeRobot dataset that has several.
        workers: processes that encode films for the page.

    Returns:
        The mp4 or the page, or None where a window was shown.
    """
    if html is not None:
        from racing_vpt.page.sources import sources_of
        from racing_vpt.page.viewer import write_viewer

        if out is not None:
            raise ValueError(f"--html {html} and --out {out}: write the page or the film, one at a time")
        sources = sources_of(video, labels, truth, camera)
        title = f"{video.resolve().name}: {len(sources)} episodes"
        page, beside = write_viewer(sources, title, html, films=films, tolerance=tolerance, workers=workers)
        size = page.stat().st_size / 2**20
        where = "films inside" if beside is None else f"films in {beside}, which belongs beside it"
        print(f"page: {page} ({size:.1f} MiB, {where}); open it in a browser")
        return page
    if video.is_dir() and not any(video.glob("*.png")):
        raise ValueError(
            f"{video} is a folder; name one of its videos, or write a page of all of them: racing-vpt view {video} "
            f"--html view.html"
        )
    from racing_vpt.envs.make import has_display
    from racing_vpt.outputs import check_own_film, sole_writer_of
    from racing_vpt.play.film import write_film
    from racing_vpt.play.labelled_files import open_film
    from racing_vpt.play.screen import show
    from racing_vpt.play.viewer import Viewer

    film = open_film(video, labels, truth, tolerance)
    stop = len(film) if num_frames is None else first_frame + num_frames
    if not 0 <= first_frame < stop <= len(film) or not 0 < speed <= 16:
        raise ValueError(
            f"--first_frame {first_frame} and --num_frames {num_frames} of a video with {len(film)} frames, --speed "
            f"{speed}: give frames that are there, and a speed above 0 and up to 16"
        )
    if out is None and has_display():
        show(Viewer(film, speed, first_frame), f"racing-vpt view: {film.title}")
        return None
    out = out or Path(f"{film.title}.view.mp4")
    check_own_film(out)
    pictures = (film.picture(index) for index in range(first_frame, stop))
    with sole_writer_of(out):
        write_film(pictures, film.frames_per_second * speed, out, stop - first_frame)
    if film.true is not None:
        last = {control or "every control at once": shares[-1] for control, shares in film.running.items()}
        print("right: " + ", ".join(f"{control} {share:.1%}" for control, share in last.items()))
    print(f"film: {out}")
    return out
