"""Stretches of videos to leave out of shards, as a person marked them in the page of `racing-vpt view --html`.

A JSON file lists them (data/README.md has the format). What is left of a recording is packed as episodes of their own,
so that no clip and no window crosses a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from racing_vpt.data.pairing import PairedRecording
from racing_vpt.files import read_json

FORMAT = 1
KIND = "excluded"
MADE_BY = "racing-vpt view FOLDER --html PAGE.html"
FIELDS = {"episode": str, "video_sha256": str | None, "num_frames": int, "start": int, "stop": int, "why": str}


@dataclass(frozen=True)
class Stretch:
    """Frames [start, stop) of a video that are left out.

    Args:
        episode: name of the episode.
        video_sha256: of its video; None where it was not known, so that the name decides.
        num_frames: length of the video in frames.
        start: first frame that is left out.
        stop: frame after the last one.
        why: what a person wrote about it.
    """

    episode: str
    video_sha256: str | None
    num_frames: int
    start: int
    stop: int
    why: str

    def is_of(self, episode: PairedRecording) -> bool:
        """Whether it is a stretch of this recording."""
        if self.video_sha256 is None:
            return self.episode == episode.name
        return self.video_sha256 == episode.recording.sha256


def read_stretches(file: Path) -> list[Stretch]:
    """Read a file of marks.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is no file of marks, or a stretch is not a part of its video.
    """
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {file}; mark stretches in the page of: {MADE_BY}")
    marks = read_json(file)
    if marks.get("kind") != KIND or marks.get("format") != FORMAT or not isinstance(marks.get("stretches"), list):
        raise ValueError(
            f'{file} is no list of marked stretches ("kind": "{KIND}", "format": {FORMAT}, "stretches": [...]); make '
            f"one in the page of: {MADE_BY}"
        )
    return [_stretch(given, f"{file}, stretch {number}") for number, given in enumerate(marks["stretches"], 1)]


def without(
    episodes: Sequence[PairedRecording], stretches: Sequence[Stretch], file: Path
) -> tuple[list[PairedRecording], dict[str, str]]:
    """What is left of recordings.

    Args:
        episodes: the recordings.
        stretches: what to leave out; they may overlap.
        file: where they were read from, for messages.

    Returns:
        The recordings without a stretch as they are, the others in parts NAME-fromFRAME; and by name why a recording
        of which nothing is left is not there.

    Raises:
        ValueError: a stretch is of no recording, or of one with another number of frames.
    """
    for stretch in stretches:
        owner = next((episode for episode in episodes if stretch.is_of(episode)), None)
        if owner is None:
            raise ValueError(
                f"{file} leaves out frames of {stretch.episode!r}, which is none of the {len(episodes)} recordings "
                "that are packed; give the folder in which it was marked, or remove that stretch from the file"
            )
        if owner.recording.num_frames != stretch.num_frames:
            raise ValueError(
                f"{file} counts {stretch.num_frames} frames of {stretch.episode!r}, but {owner.recording.video} has "
                f"{owner.recording.num_frames}: it was marked at another rate; mark it in the page of these recordings"
            )
    left: list[PairedRecording] = []
    gone: dict[str, str] = {}
    for episode in episodes:
        own = [(stretch.start, stretch.stop) for stretch in stretches if stretch.is_of(episode)]
        spans = _rest(own, episode.recording.num_frames)
        if not own:
            left.append(episode)
        elif spans:
            left += [
                replace(episode, name=f"{episode.name}-from{start:07d}", part_of=episode.name, span=(start, stop))
                for start, stop in spans
            ]
        else:
            gone[episode.name] = f"all of its frames are left out by {file.name}"
    names = [episode.name for episode in left]
    if len({*names}) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"a part of a recording would be called {twice}, as another recording is; rename that one")
    return left, gone


def described(stretches: Sequence[Stretch]) -> list[dict[str, object]]:
    """Plain values for a manifest."""
    return [asdict(stretch) for stretch in stretches]


def _stretch(given: object, where: str) -> Stretch:
    if not isinstance(given, dict):
        raise ValueError(f"{where} should be an object with {', '.join(FIELDS)}")
    for name, kind in FIELDS.items():
        if not isinstance(given.get(name), kind) or isinstance(given.get(name), bool):
            raise ValueError(f"{where}: {name} is {str(given.get(name))[:40]!r}; a {_called(kind)} is expected")
    stretch = Stretch(**{name: given[name] for name in FIELDS})
    if not 0 <= stretch.start < stretch.stop <= stretch.num_frames:
        raise ValueError(
            f"{where}: frames {stretch.start} to {stretch.stop} are no part of a video with {stretch.num_frames} "
            "frames; start counts from 0, and stop is the frame after the last one"
        )
    return stretch


def _called(kind: object) -> str:
    return "number of frames" if kind is int else "text"


def _rest(spans: Sequence[tuple[int, int]], num_frames: int) -> list[tuple[int, int]]:
    """The spans between the given ones."""
    rest, at = [], 0
    for start, stop in sorted(spans):
        if start > at:
            rest.append((at, start))
        at = max(at, stop)
    return [*rest, (at, num_frames)] if at < num_frames else rest
