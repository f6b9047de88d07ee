"""Films: mp4 files that every video player shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from racing_vpt.files import Draft
from racing_vpt.frames import resize
from racing_vpt.outputs import FILM_COMMENT
from racing_vpt.play.panel import Panel, captioned, enlarged, figures_of, progress_of, with_panel
from racing_vpt.types import Controls, Frame, FrameRecord
from racing_vpt.video.encode import VideoWriter

Beside = Callable[[Frame, Controls], list[tuple[str, Frame]]]
"""Returns pictures uint8 [H, W, 3] with captions, to show beside a frame; takes the frame and its controls."""
BESIDE_ROWS = 288  # maximum height of each of several pictures side by side, which must fit a screen


class FilmWriter:
    """Writes pictures to an mp4 (yuv420p, as players and browsers need it), which is published by `close`.

    Args:
        path: the mp4 file.
        frames_per_second: rate.
    """

    def __init__(self, path: Path, frames_per_second: float) -> None:
        self.path, self.frames_per_second = path, frames_per_second
        self.draft: Draft | None = None  # None after close() or abort()
        self.video: VideoWriter | None = None

    def write(self, picture: Frame) -> None:
        """Append a picture uint8 [H, W, 3], both even; one of another size than the first is fitted into it."""
        if self.video is None:
            self.draft = Draft(self.path)
            rate, (height, width) = self.frames_per_second, picture.shape[:2]
            self.video = VideoWriter(
                self.draft.temporary, rate, height, width, crf=20, pixel_format="yuv420p", comment=FILM_COMMENT
            )
        height, width = self.video.shape[:2]
        self.video.add(resize(picture, height, width, "letterbox"))

    def close(self) -> None:
        """Publish the film, unless it is empty or already closed."""
        video, draft = self.video, self.draft
        self.video = self.draft = None
        if video is not None and draft is not None:
            try:
                video.close()
                draft.publish()
            finally:
                draft.discard()

    def abort(self) -> None:
        """Remove the unfinished film."""
        if self.draft is not None:
            self.draft.discard()
        self.video = self.draft = None


class EpisodeFilm(FilmWriter):
    """`EpisodeWriter` that films an episode during a rollout.

    Args:
        path: the mp4 file.
        title: first line of the panel, such as the driver's name.
        frames_per_second: frame rate of the environment.
        scale: integer factor by which frames are enlarged; None: to 480 rows at most.
        beside: returns pictures to show between the frame and the panel.
        view: returns a sharper picture of the environment, or None; called before the first frame and after each.
    """

    def __init__(
        self,
        path: Path,
        title: str,
        frames_per_second: float = 50.0,
        scale: int | None = None,
        beside: Beside | None = None,
        view: Callable[[], Frame | None] | None = None,
    ) -> None:
        if scale is not None and scale < 1:
            raise ValueError(f"the scale of a film must be at least 1, but {scale} was given")
        super().__init__(path, frames_per_second)
        self.title, self.scale, self.beside, self.view = title, scale, beside, view
        self.meta: dict[str, object] = {}
        self.score = 0.0
        self.seen = view() if view else None

    def add(self, frame: Frame, record: FrameRecord) -> None:
        """Append a frame uint8 [H, W, 3] and its record."""
        self.write(self.draw(frame, record))
        self.score += record.reward or 0.0
        self.seen = self.view() if self.view else None

    def draw(self, frame: Frame, record: FrameRecord) -> Frame:
        """The frame with its panel, uint8 [H', W', 3], both even."""
        panel = Panel(self.title, figures_of(record, self.score), progress_of(record), record.action)
        if self.beside is None:
            shown = enlarged(frame, self.scale) if self.seen is None or self.scale else enlarged(self.seen)
            return with_panel([shown], panel)
        pictures = [("the agent's input", frame), *self.beside(frame, dict(record.action))]
        return with_panel([captioned(enlarged(one, self.scale, BESIDE_ROWS), name) for name, one in pictures], panel)


def write_film(pictures: Iterable[Frame], frames_per_second: float, out: Path, total: int | None = None) -> None:
    """Write pictures to an mp4 atomically, with a progress bar.

    Args:
        pictures: uint8 [H, W, 3], both even; at least one.
        frames_per_second: rate.
        out: the mp4.
        total: number of pictures, if known.
    """
    with closing(FilmWriter(out, frames_per_second)) as film:
        try:
            for picture in tqdm(pictures, total=total, unit="frame", desc=out.name):
                film.write(picture)
        except BaseException:
            film.abort()
            raise
