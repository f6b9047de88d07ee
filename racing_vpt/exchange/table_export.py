"""Export of each episode as a video, or a folder of pictures, and a table of one row per frame."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from racing_vpt.exchange.footage import PictureFootage, save_video, whole_file
from racing_vpt.exchange.mapping import ACTION
from racing_vpt.exchange.options import Rows
from racing_vpt.exchange.outgoing import Outgoing
from racing_vpt.exchange.table_rows import Table, write_table
from racing_vpt.files import Draft, DraftFolder, json_text, plain_name, publish_together, read_json

KIND = "table"  # in the meta file of what is exported


@dataclass(frozen=True)
class TableExport:
    """Writes NAME.mp4 (or a folder NAME of pictures), NAME.csv and NAME.meta.json (`exporting.Exporter`).

    Args:
        out: folder to write.
        rows: format of the table.
        crf: quality of videos that have to be encoded again.
    """

    out: Path
    rows: Rows
    crf: int

    def begin(self) -> None:
        """Nothing is read before the first episode."""

    def is_done(self, episode: Outgoing) -> bool:
        """Whether this content was exported before in the same way."""
        meta_file = self.out / f"{episode.name}.meta.json"
        return meta_file.is_file() and read_json(meta_file).get("export") == self._origin(episode)

    def write(self, episode: Outgoing) -> str:
        """Write an episode; returns what was changed.

        Raises:
            FileExistsError: a file of one of the names is not an earlier export.
        """
        footage, name = episode.footage(), episode.name
        pictures = isinstance(footage, PictureFootage) and bool(footage.files)
        whole = whole_file(footage)
        shown: Draft | DraftFolder
        shown = (
            DraftFolder(self.out / name) if pictures else Draft(self.out / f"{name}{whole.suffix if whole else '.mp4'}")
        )
        table, meta = Draft(self.out / f"{name}.{self.rows}"), Draft(self.out / f"{name}.meta.json")
        try:
            kept = True
            if isinstance(footage, PictureFootage) and pictures:
                for file in footage.files:
                    shutil.copyfile(file, shown.temporary / file.name)
            else:
                kept = save_video(footage, shown.temporary, episode.frames_per_second, self.crf)
            write_table(table.temporary, table_of(episode), self.rows)
            about = {
                "kind": KIND,
                "name": name,
                "frames_per_second": episode.frames_per_second,
                "num_frames": episode.num_frames,
                "files": [shown.path.name, table.path.name],
                **episode.about,
                "export": self._origin(episode),
            }
            meta.temporary.write_text(json_text(about))
            publish_together([table, shown, meta], self._earlier(name))
        finally:
            for draft in (table, shown, meta):
                draft.discard()
        return "" if kept else f"its video is encoded again, at crf {self.crf}"

    def close(self) -> None:
        """Nothing is left to write."""

    def abort(self) -> None:
        """Nothing is unfinished between two episodes."""

    def _origin(self, episode: Outgoing) -> dict[str, object]:
        return {**episode.origin, "rows": self.rows, "crf": self.crf}

    def _earlier(self, name: str) -> Sequence[Path]:
        """Files of an earlier export of this episode, which give way; a folder of pictures is not replaced."""
        meta_file = self.out / f"{name}.meta.json"
        if not meta_file.is_file():
            return []
        meta = read_json(meta_file)
        files = meta.get("files") if meta.get("kind") == KIND else None
        if not isinstance(files, list):
            return []
        listed = [self.out / file for file in files if plain_name(file) and Path(file).stem == name]
        return [*(file for file in listed if file.is_file()), meta_file]


def table_of(episode: Outgoing) -> Table:
    """An episode's columns: frame, timestamp, `action.NAME` of each control, and what is known of reward, first and
    confidence."""
    columns, times = episode.columns(), episode.times()
    even = np.arange(len(columns)) / episode.frames_per_second
    table: Table = {"frame": np.arange(len(columns)), "timestamp": np.round(even if times is None else times, 6)}
    table |= {f"{ACTION}{name}": column for name, column in columns.controls.items()}
    for name, column in {"reward": columns.reward, "first": columns.first, "confidence": columns.confidence}.items():
        if column is not None:
            table[name] = column
    return table
