"""Export of each episode as a video, or a folder of pictures, and a table of one row per frame."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from racing_vpt.exchange.episode_files import EpisodeFiles, FileExporter
from racing_vpt.exchange.footage import PictureFootage, save_video, whole_file
from racing_vpt.exchange.mapping import ACTION
from racing_vpt.exchange.options import Rows
from racing_vpt.exchange.outgoing import Outgoing
from racing_vpt.exchange.table_rows import Table, write_table
from racing_vpt.files import Draft, DraftFolder

KIND = "table"  # in the meta file of what is exported


@dataclass(frozen=True)
class TableExport(FileExporter):
    """Writes NAME.mp4 (or a folder NAME of pictures), NAME.csv and NAME.meta.json (`exporting.Exporter`).

    Args:
        out: folder to write.
        rows: format of the table.
        crf: quality of videos that have to be encoded again.
        pictures: write every frame as a PNG file, without loss, instead of a video.
    """

    out: Path
    rows: Rows
    crf: int
    pictures: bool = False

    @property
    def _files(self) -> EpisodeFiles:
        return EpisodeFiles(
            self.out, KIND, {"rows": self.rows, "crf": self.crf, **({"pictures": True} if self.pictures else {})}
        )

    def write(self, episode: Outgoing) -> str:
        """Write an episode; returns what was changed.

        Raises:
            FileExistsError: a file of one of the names is not an earlier export.
        """
        footage, name = episode.footage(), episode.name
        copied = isinstance(footage, PictureFootage) and bool(footage.files)
        whole = whole_file(footage)
        shown: Draft | DraftFolder
        if copied or self.pictures:
            shown = DraftFolder(self.out / name)
        else:
            shown = Draft(self.out / f"{name}{whole.suffix if whole else '.mp4'}")
        table, kept = Draft(self.out / f"{name}.{self.rows}"), True

        def fill() -> None:
            nonlocal kept
            if isinstance(footage, PictureFootage) and copied:
                for file in footage.files:
                    shutil.copyfile(file, shown.temporary / file.name)
            elif self.pictures:
                for index, frame in enumerate(footage.frames()):
                    cv2.imwrite(str(shown.temporary / f"{index:06d}.png"), np.ascontiguousarray(frame[..., ::-1]))
            else:
                kept = save_video(footage, shown.temporary, episode.frames_per_second, self.crf)
            write_table(table.temporary, table_of(episode), self.rows)

        self._files.write(episode, [table, shown], fill)
        return "" if kept else f"its video is encoded again, at crf {self.crf}"


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
