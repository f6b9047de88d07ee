"""Import of episodes: each becomes a recording, once, with a record of where it came from and what was changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from tqdm import tqdm

from racing_vpt.data.columns import Columns
from racing_vpt.data.item_errors import concerns_all, reason
from racing_vpt.data.lines import write_lines
from racing_vpt.data.opening import FORMAT
from racing_vpt.data.origin import carried, keeps
from racing_vpt.data.recording import Recording, RecordingWriter
from racing_vpt.exchange.check import check_columns
from racing_vpt.exchange.footage import Footage, one_encoding, save_video, whole_file
from racing_vpt.exchange.lag import LagMeter
from racing_vpt.files import Draft, json_text, plain_name, publish_together, read_json, sha256_of
from racing_vpt.games.game import Game
from racing_vpt.known_files import known_sha256
from racing_vpt.outputs import check_no_inputs, sole_writer
from racing_vpt.types import FrameRecord


@dataclass(frozen=True)
class Episode:
    """An episode that was read from another format.

    Args:
        footage: its frames.
        columns: controls, rewards and flags; one row per frame.
        frames_per_second: rate; the mean of an uneven one.
        times: float64 [T], seconds from the first frame on, of an uneven rate; None: even.
        meta: further fields of the recording's meta file.
        remarks: what was changed while it was read.
    """

    footage: Footage
    columns: Columns
    frames_per_second: float
    times: np.ndarray | None = None
    meta: Mapping[str, object] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


class Incoming(Protocol):
    """An episode to import, not yet read."""

    @property
    def name(self) -> str:
        """Name of the new recording."""

    @property
    def files(self) -> Sequence[Path]:
        """Files that it is read from."""

    @property
    def how(self) -> Mapping[str, object]:
        """Options that the result depends on, JSON values."""

    def write(self, out: Path, origin: Mapping[str, object], replaced: Sequence[Path]) -> tuple[int, list[str]]:
        """Read the episode and write the recording, with `origin` in its meta file; returns frames and remarks."""


@dataclass(frozen=True)
class IncomingEpisode:
    """An episode to import in a format that is read as an `Episode`.

    Args:
        name: name of the new recording.
        files: files that it is read from.
        how: options that the result depends on, JSON values; `crf` and `pictures` are among them.
        read: reads it; ValueError says what is wrong with it.
        game: game whose controls are expected; None: any.
        stated: licence and author of an episode that states none, and what imports it.
    """

    name: str
    files: Sequence[Path]
    how: Mapping[str, object]
    read: Callable[[], Episode]
    game: Game | None = None
    stated: Mapping[str, object] = field(default_factory=dict)

    def write(self, out: Path, origin: Mapping[str, object], replaced: Sequence[Path]) -> tuple[int, list[str]]:
        """Read the episode and write the recording, with `origin` in its meta file; returns frames and remarks."""
        episode = self.read()
        rate, frames = episode.frames_per_second, episode.footage.num_frames
        remarks = [*episode.remarks, *check_columns(episode.columns, frames, rate, self.game)]
        remarks += keeps(episode.meta, self.stated)
        meta = {"agent": None, "scheme": self.game.name if self.game else None, **episode.meta, **origin}
        meta |= carried(episode.meta, self.stated)
        meta |= {"uneven": True} if episode.times is not None else {}
        if not self.how["pictures"] and _keeps_encoding(episode.footage):
            _write_copy(out, self.name, episode, meta, remarks, replaced)
            return frames, remarks
        labelled = bool(episode.columns.controls)
        if episode.footage.stretches():
            remarks.append(f"its video is encoded again, at crf {self.how['crf']}")
        with RecordingWriter(
            out, self.name, frames_per_second=rate, meta={**meta, "remarks": remarks},
            video=not self.how["pictures"], actions=labelled, crf=int(str(self.how["crf"])), replaced=replaced,
        ) as writer:  # fmt: skip
            for frame, record in zip(episode.footage.frames(), records_of(episode), strict=True):
                writer.add(frame, record)
        return frames, remarks


def import_all(
    episodes: Sequence[Incoming],
    out: Path,
    on_error: Literal["raise", "skip"],
    what: str,
    lags: LagMeter | None = None,
) -> dict[str, int]:
    """Import episodes that are not in `out` yet, with progress; prints what was changed.

    Args:
        episodes: what to import.
        out: folder for the recordings.
        on_error: stop at an episode that cannot be read, or report it and go on.
        what: the episodes' name in messages, in the plural.
        lags: looks at the new recordings and says at the end whether controls are shifted in time; None: not looked at.

    Returns:
        Numbers of recordings `done`, `passed_over` and `failed`, and of `frames`.
    """
    counts = {"done": 0, "passed_over": 0, "failed": 0, "frames": 0}
    check_no_inputs(out, (file for episode in episodes for file in episode.files), what)
    with sole_writer(out), tqdm(episodes, unit="recording", desc=out.name) as bar:
        for episode in bar:
            try:
                origin = {"source_sha256": [known_sha256(file) for file in episode.files], "import": {**episode.how}}
                earlier = _earlier(out, episode.name)
                if earlier and all(read_json(earlier[-1]).get(key) == value for key, value in origin.items()):
                    counts["passed_over"] += 1
                    continue
                frames, remarks = episode.write(out, origin, earlier)
                counts["done"] += 1
                counts["frames"] += frames
                if lags is not None:
                    lags.add(Recording.open(out / f"{episode.name}.meta.json"))
                if remarks:
                    bar.write(f"{episode.name}: {'; '.join(remarks)}")
            except Exception as error:  # whatever is wrong with one recording is no reason to pass over the others
                if on_error == "raise" or concerns_all(error):
                    raise
                counts["failed"] += 1
                bar.write(f"passed over {episode.name}: {reason(error)}")
    if lags is not None and (sentence := lags.sentence()):
        print(sentence)
    print(f"{out}: " + ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in counts.items()))
    if counts["failed"] and not counts["done"] and not counts["passed_over"]:
        raise ValueError(f"none of the {counts['failed']} recordings could be imported; the reasons stand above")
    return counts


def records_of(episode: Episode) -> Iterator[FrameRecord]:
    """One record per frame of an episode; controls are the shortest decimals that restore the float32."""
    columns = episode.columns
    times = np.arange(len(columns)) / episode.frames_per_second if episode.times is None else episode.times
    for index, time in enumerate(times.tolist()):
        controls = {name: _decimal(column[index]) for name, column in columns.controls.items()}
        perturbed = columns.perturbed is not None and bool(columns.perturbed[index])
        wanted = {name: _decimal(column[index]) for name, column in (columns.intended or {}).items()}
        yield FrameRecord(
            index,
            time,
            controls,
            reward=None if columns.reward is None else _decimal(columns.reward[index]),
            first=bool(columns.first[index]),
            perturbed=perturbed,
            intended=wanted if perturbed else None,
            confidence=None if columns.confidence is None else _decimal(columns.confidence[index]),
        )


def recording_name(path: Path, folder: Path) -> str:
    """Name of the recording that is made from a file in a folder."""
    relative = path.relative_to(folder)
    return str(relative.with_suffix("") if path.is_file() else relative).replace(".", "_").replace("/", "_")


def _keeps_encoding(footage: Footage) -> bool:
    """Whether the frames can be stored without encoding them again."""
    if whole_file(footage) is not None:
        return True
    stretches = footage.stretches()
    return bool(stretches) and one_encoding(stretches) is not None


def _write_copy(
    out: Path, name: str, episode: Episode, meta: dict[str, object], remarks: list[str], replaced: Sequence[Path]
) -> None:
    """Publish a recording whose video is copied, and thereby keeps every pixel."""
    whole = whole_file(episode.footage)
    video = Draft(out / f"{name}{whole.suffix if whole is not None else '.mp4'}")
    lines, about = Draft(out / f"{name}.jsonl"), Draft(out / f"{name}.meta.json")
    try:
        save_video(episode.footage, video.temporary, episode.frames_per_second, crf=0)
        labelled = bool(episode.columns.controls)
        if labelled:
            write_lines(lines.temporary, records_of(episode))
        meta = {
            "format": FORMAT,
            "name": name,
            "kind": "recording",
            "environment": None,
            "seed": None,
            "frames_per_second": episode.frames_per_second,
            "num_frames": episode.footage.num_frames,
            "video": video.path.name,
            "video_sha256": sha256_of(video.temporary),
            "actions": labelled,
            "versions": {},
            **meta,
            "remarks": remarks,
        }
        about.temporary.write_text(json_text(meta))
        publish_together([*([lines] if labelled else []), video, about], replaced)
    finally:
        for draft in (lines, video, about):
            draft.discard()


def _earlier(out: Path, name: str) -> list[Path]:
    """The files of an earlier import of this name, which the new one replaces; the last is the meta file.

    Raises:
        ValueError: its meta file is damaged.
    """
    meta_file = out / f"{name}.meta.json"
    if not meta_file.is_file():
        return []
    meta = read_json(meta_file)
    if "import" not in meta:
        return []
    video = meta.get("video")
    names = [f"{name}.jsonl", *([str(video)] if plain_name(video) and Path(str(video)).stem == name else [])]
    return [*(file for each in names if (file := out / each).is_file()), meta_file]


def _decimal(number: np.floating) -> float:
    return float(str(number))
