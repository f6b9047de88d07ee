"""Records an episode as ordinary tools would: several encodings of it, written while it is driven."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from racing_vpt.data.label_files import earlier_labels, write_labels
from racing_vpt.data.lines import check_controls, write_lines
from racing_vpt.data.rendered import about_rendition, records_at
from racing_vpt.data.renditions import Rendition, RenditionWriter, shown_frames
from racing_vpt.files import Draft, check_free, json_text, publish_together, sha256_of
from racing_vpt.types import Frame, FrameRecord

PLANNED = 4096  # frames of an episode of which times are planned at first


class RenditionRecordingWriter:
    """Writes a recording `NAME-RENDITION.mkv` per rendition; a rollout's `EpisodeWriter`.

    Args:
        folder: folder for the recordings.
        name: name of the episode.
        renditions: encodings.
        frames_per_second: rate of the frames that are added.
        meta: further fields of the meta files, JSON values.
        actions: write `NAME-RENDITION.jsonl`; otherwise the recordings are videos without controls.
        truth_folder: folder for the lines (kind `truth`) if `actions` is false; for scoring.
        seed: seed of the intervals of a variable rate, and of drawn colours.

    Raises:
        FileExistsError: a file of one of their names exists.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        renditions: Sequence[Rendition],
        *,
        frames_per_second: float,
        meta: Mapping[str, object],
        actions: bool = True,
        truth_folder: Path | None = None,
        seed: int = 0,
    ) -> None:
        self.meta, self.actions, self.truth_folder = dict(meta), actions, truth_folder
        self.frames_per_second, self.seed, self.episode = frames_per_second, seed, f"{name}@{frames_per_second:g}"
        self._records: list[FrameRecord] = []
        self._shape = (0, 0, 3)
        self._drafts: list[Draft] = []
        self._tracks: list[_Track] = []
        for rendition in renditions:
            video = folder / f"{name}-{rendition.name}.mkv"
            for path in (video, video.with_suffix(".meta.json"), *([video.with_suffix(".jsonl")] if actions else [])):
                check_free(path)
            if truth_folder is not None and not actions:
                earlier_labels(truth_folder / f"{video.stem}.jsonl", "truth")
            self._tracks.append(_Track(video, rendition, frames_per_second, seed))

    def add(self, frame: Frame, record: FrameRecord) -> None:
        """Append a frame uint8 [H, W, 3] and its record."""
        check_controls(record.action, f"{self.episode}, frame {record.frame}")
        for track in self._tracks:
            track.add(frame, len(self._records))
        self._records.append(record)
        self._shape = frame.shape

    def close(self) -> None:
        """Publish the recordings together, after their truth.

        Raises:
            ValueError: there are no frames.
            FileExistsError: another program wrote a file of one of their names in the meantime.
        """
        try:
            if not self._records:
                raise ValueError(f"{self.episode}: a recording needs at least one frame")
            for track in self._tracks:
                track.close()
                self._finish(track)
            publish_together(self._drafts)
        finally:
            self.abort()

    def _finish(self, track: _Track) -> None:
        rendition, path = track.rendition, track.draft.path
        shown, times = track.shown[: track.num_frames], track.times[: track.num_frames]
        records = list(records_at(self._records, shown, times))
        size = rendition.height or self._shape[0], rendition.width or self._shape[1]
        meta = {
            **about_rendition(path, rendition, times, self.frames_per_second, size, self.meta),
            "video_sha256": sha256_of(track.draft.temporary),
            "actions": self.actions,
            "rendition": {**rendition.settings, "seed": self.seed},
            "rendition_of": self.episode,
        }
        if self.actions:
            lines = Draft(path.with_suffix(".jsonl"))
            self._drafts.append(lines)
            write_lines(lines.temporary, records)
        elif self.truth_folder is not None:
            truth = self.truth_folder / f"{path.stem}.jsonl"
            write_labels(truth, records, {**meta, "kind": "truth", "actions": True})
        about = Draft(path.with_suffix(".meta.json"))
        about.temporary.write_text(json_text(meta))
        self._drafts += [track.draft, about]

    def abort(self) -> None:
        """Remove what is not published."""
        for track in self._tracks:
            with suppress(Exception):  # of an encoder whose file is thrown away
                track.close()
            track.draft.discard()
        for draft in self._drafts:
            draft.discard()


class _Track:
    """One rendition that is being written.

    Args:
        path: the video.
        rendition: encoding.
        frames_per_second: rate of the frames that are added.
        seed: seed of the intervals of a variable rate, and of drawn colours.
    """

    def __init__(self, path: Path, rendition: Rendition, frames_per_second: float, seed: int) -> None:
        self.rendition, self.draft, self.num_frames = rendition, Draft(path), 0
        self._writer: RenditionWriter | None = RenditionWriter(self.draft.temporary, rendition)
        self._rate, self._seed = frames_per_second, seed
        self._changed = rendition.picture.drawn(seed)
        self._plan(PLANNED)

    def _plan(self, num_frames: int) -> None:
        self.planned = num_frames
        self.shown, self.times = shown_frames(self.rendition, num_frames, self._rate, self._seed)

    def add(self, frame: Frame, number: int) -> None:
        """Write the frames of the rendition that show frame `number` of the episode."""
        if 2 * number >= self.planned:  # long before the end of what is planned, which may lack a frame
            self._plan(2 * self.planned)
        stop = int(np.searchsorted(self.shown, number, side="right"))
        for place in range(self.num_frames, stop):
            assert self._writer is not None, f"{self.draft.path} is closed"
            self._writer.add(self._changed(frame), float(self.times[place]))
        self.num_frames = max(self.num_frames, stop)

    def close(self) -> None:
        """Finish the file, if it is not finished yet."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
