"""Films: pictures as an mp4 that any player shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from racing_vpt.files import Draft
from racing_vpt.frames import resize
from racing_vpt.play.panel import Panel, captioned, enlarged, figures_of, progress_of, with_panel
from racing_vpt.types import Controls, Frame, FrameRecord
from racing_vpt.video.encode import VideoWriter

Beside = Callable[[Frame, Controls], list[tuple[str, Frame]]]
"""Pictures uint8 [H, W, 3] to be shown beside a frame that is answered with controls, each with its name."""
BESIDE_ROWS = 288  # to which a picture is enlarged at most where others stand beside it: they must fit a screen


class FilmWriter:
    """Writes pictures to an mp4, which has its name once it is closed. Players and browsers want yuv420p.

    Args:
        path: the mp4 file.
        frames_per_second: rate.
    """

    def __init__(self, path: Path, frames_per_second: float) -> None:
        self.path, self.frames_per_second = path, frames_per_second
        self.draft: Draft | None = None  # until it is published or given up
        self.video: VideoWriter | None = None

    def write(self, picture: Frame) -> None:
        """Append a picture uint8 [H, W, 3], both even; one of another size than the first is fitted into that."""
        if self.video is None:
            self.draft = Draft(self.path)
            rate, (height, width) = self.frames_per_second, picture.shape[:2]
            self.video = VideoWriter(self.draft.temporary, rate, height, width, crf=20, pixel_format="yuv420p")
        height, width = self.video.shape[:2]
        self.video.add(resize(picture, height, width, "letterbox"))

    def close(self) -> None:
        """Publish the film; nothing where there was no picture, or it was published or given up."""
        video, draft = self.video, self.draft
        self.video = self.draft = None
        if video is not None and draft is not None:
            try:
                video.close()
                draft.publish()
            finally:
                draft.discard()

    def abort(self) -> None:
        """Remove what is unfinished."""
        if self.draft is not None:
            self.draft.discard()
        self.video = self.draft = None


class EpisodeFilm(FilmWriter):
    """Films an episode as a rollout goes: an `EpisodeWriter`.

    Args:
        path: the mp4 file.
        title: first line of the panel, such as who drives.
        frames_per_second: rate of the environment.
        scale: how many times frames are enlarged; None: to 480 rows at most.
        beside: makes pictures that are shown between the frame and the panel.
        view: gives a sharper picture of the environment at this moment, or None. It is asked before the first frame
            and after each.
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
            raise ValueError(f"a film is enlarged a whole number of times from 1 on, but {scale} was given")
        super().__init__(path, frames_per_second)
        self.title, self.scale, self.beside, self.view = title, scale, beside, view
        self.meta: dict[str, object] = {}
        self.score = 0.0
        self.seen = view() if view else None

    def add(self, frame: Frame, record: FrameRecord) -> None:
        """Append a frame uint8 [H, W, 3] and what was done on seeing it."""
        self.write(self.draw(frame, record))
        self.score += record.reward or 0.0
        self.seen = self.view() if self.view else None

    def draw(self, frame: Frame, record: FrameRecord) -> Frame:
        """The frame with its panel, uint8 [H', W', 3], both even."""
        panel = Panel(self.title, figures_of(record, self.score), progress_of(record), record.action)
        if self.beside is None:
            shown = enlarged(frame, self.scale) if self.seen is None or self.scale else enlarged(self.seen)
            return with_panel([shown], panel)
        pictures = [("what the agent sees", frame), *self.beside(frame, dict(record.action))]
        return with_panel([captioned(enlarged(one, self.scale, BESIDE_ROWS), name) for name, one in pictures], panel)


def write_film(pictures: Iterable[Frame], frames_per_second: float, out: Path, total: int | None = None) -> None:
    """Write pictures to an mp4, whole or not at all, and show how far it is.

    Args:
        pictures: uint8 [H, W, 3], both even, at least one.
        frames_per_second: rate.
        out: the mp4.
        total: how many pictures there are, where that is known.
    """
    with closing(FilmWriter(out, frames_per_second)) as film:
        try:
            for picture in tqdm(pictures, total=total, unit="frame", desc=out.name):
                film.write(picture)
        except BaseException:
            film.abort()
            raise
