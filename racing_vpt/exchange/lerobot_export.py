"""Export to a LeRobotDataset v3.0: many episodes per file, their videos joined packet by packet.

Each file of `meta/episodes` is written after the data and the video that it describes, so that it tells a later run
what is done; `meta/info.json`, without which there is no dataset, comes last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from racing_vpt.data.columns import Columns
from racing_vpt.data.origin import origin_of_all
from racing_vpt.exchange.footage import Footage, Stretch, encode_video, one_encoding
from racing_vpt.exchange.lerobot_files import (
    ABOUT,
    CAMERA,
    CHUNK,
    COUNTS,
    DATA_PATH,
    FIGURES,
    INFO,
    LONGEST,
    NAME,
    STATS,
    TASKS,
    VERSION,
    VIDEO_PATH,
    WHOLE,
    episodes_file,
    file_of,
    joined_stats,
    picture_stats,
    stats_of,
    write_tasks,
)
from racing_vpt.exchange.outgoing import Outgoing
from racing_vpt.exchange.table_rows import Table, pyarrow_of
from racing_vpt.files import TEMPORARY, Draft, published, read_json, remove_leftovers, write_json
from racing_vpt.video.packets import Encoding, PacketSource, PacketWriter

PLAN = Path("meta/racing_vpt.json")  # what this dataset is made of


class LeRobotExport:
    """Writes a dataset (`exporting.Exporter`).

    Args:
        out: folder of the dataset.
        episodes: all that will be exported.
        task: the task in words, which every episode has.
        crf: quality of videos that have to be encoded again.
        file_mib: size in MiB above which a video file is closed.

    Raises:
        ValueError: pyarrow is not installed, or the episodes have different rates.
    """

    def __init__(self, out: Path, episodes: Sequence[Outgoing], task: str, crf: int, file_mib: float) -> None:
        self._arrow, self._parquet = pyarrow_of("--format lerobot")
        self.out, self.task, self.crf, self.file_mib = out, task, crf, file_mib
        self.rate = episodes[0].frames_per_second
        for episode in episodes:
            if episode.frames_per_second != self.rate:
                raise ValueError(
                    f"{episodes[0].name} has {self.rate:g} frames/s, {episode.name} {episode.frames_per_second:g}; a "
                    "LeRobot dataset has one rate; export them into two folders, or make both one rate with: "
                    "racing-vpt renditions"
                )
        origin = [[episode.name, episode.origin] for episode in episodes]
        told = json.dumps([origin, task, crf, file_mib], sort_keys=True)
        self._plan = hashlib.sha256(told.encode()).hexdigest()[:16]
        longest = max(episode.num_frames for episode in episodes) / self.rate
        self._times = np.dtype(np.float32 if longest < LONGEST else np.float64)
        self._done: list[dict] = []  # rows of meta/episodes that are on disk
        self._number, self._rows, self._tables = 0, list[dict](), list[Table]()
        self._draft: Draft | None = None
        self._video: PacketWriter | None = None
        self._features: dict[str, dict] = {}

    def begin(self) -> None:
        """Read what an interrupted run finished, and remove what it did not.

        Raises:
            ValueError: the folder holds another dataset.
        """
        plan = self.out / PLAN
        other = read_json(plan).get("plan") != self._plan if plan.is_file() else (self.out / "meta").exists()
        if other:
            raise ValueError(f"{self.out} already holds another dataset; remove it, or choose another --out")
        if not plan.is_file():
            write_json(plan, {"kind": "lerobot", "plan": self._plan})
        for folder in {file.parent for file in self.out.rglob(f"{TEMPORARY}*")}:
            remove_leftovers(folder)
        while (file := episodes_file(self.out, self._number)).is_file():
            self._done += self._parquet.read_table(file).to_pylist()
            self._number += 1
        if self._done:
            self._features = read_json(plan)["features"]

    def is_done(self, episode: Outgoing) -> bool:
        """Whether the episode is in a finished file."""
        return any(row[NAME] == episode.name for row in self._done)

    def write(self, episode: Outgoing) -> str:
        """Add an episode; returns what was changed.

        Raises:
            ValueError: its rate is uneven, or its size or columns differ from those of the episodes before.
        """
        if episode.times() is not None:
            raise ValueError(
                f"{episode.name} has frames at uneven distances in time, and a LeRobot dataset has one rate; make it "
                "even with: racing-vpt renditions"
            )
        columns, footage = episode.columns(), episode.footage()
        columns.check(footage.num_frames)
        stretches = footage.stretches()
        if stretches and one_encoding(stretches):
            self._add(episode, columns, footage, stretches)
            return ""
        again = Draft(self.out / "encoded-again.mp4")
        try:
            encode_video(footage, again.temporary, self.rate, self.crf)
            self._add(episode, columns, footage, [(PacketSource(again.temporary), 0, footage.num_frames)])
        finally:
            again.discard()
        return f"its video is encoded again, at crf {self.crf}"

    def close(self) -> None:
        """Write the last files, statistics, tasks and, last, `meta/info.json`."""
        self._close_file()
        if not self._done:
            return
        names = [name for name, feature in self._features.items() if f"stats/{name}/mean" in self._done[0]]
        stats = {
            name: joined_stats([{part: row[f"stats/{name}/{part}"] for part in FIGURES} for row in self._done])
            for name in names
        }
        write_json(self.out / STATS, stats)
        with published(self.out / TASKS) as path:
            write_tasks(path, [self.task])
        rate = int(self.rate) if float(self.rate).is_integer() else self.rate
        write_json(
            self.out / INFO,
            {
                "codebase_version": VERSION,
                "robot_type": None,
                "total_episodes": len(self._done),
                "total_frames": sum(row["length"] for row in self._done),
                "total_tasks": 1,
                "chunks_size": CHUNK,
                "data_files_size_in_mb": 100,
                "video_files_size_in_mb": max(1, round(self.file_mib)),
                "fps": rate,
                "splits": {"train": f"0:{len(self._done)}"},
                "data_path": DATA_PATH,
                "video_path": VIDEO_PATH,
                "features": self._features,
                **origin_of_all(json.loads(row[ABOUT]) for row in self._done),
            },
        )

    def abort(self) -> None:
        """Remove the unfinished files."""
        if self._video is not None:
            self._video.close()
        if self._draft is not None:
            self._draft.discard()

    def _add(self, episode: Outgoing, columns: Columns, footage: Footage, stretches: list[Stretch]) -> None:
        """Append an episode to the open files."""
        encoding = one_encoding(stretches)
        assert encoding is not None
        table = self._table(columns)
        self._check(episode.name, columns, encoding)
        if self._video is not None and self._is_full(encoding, len(columns)):
            self._close_file()
        if self._video is None or self._draft is None:
            self._draft = Draft(file_of(self.out, VIDEO_PATH, self._number))
            self._video = PacketWriter(self._draft.temporary, self.rate)
        begin = self._video.num_frames
        for stretch in stretches:
            self._video.add(*stretch)
        index, first = len(self._done) + len(self._rows), sum(row["length"] for row in (*self._done, *self._rows))
        count = len(columns)
        table |= {
            "timestamp": (np.arange(count) / self.rate).astype(self._times),
            "frame_index": np.arange(count),
            "episode_index": np.full(count, index),
            "index": np.arange(first, first + count),
            "task_index": np.zeros(count, np.int64),
        }
        place = {"chunk_index": self._number // CHUNK, "file_index": self._number % CHUNK}
        row = {
            "episode_index": index,
            "tasks": [self.task],
            "length": count,
            "dataset_from_index": first,
            "dataset_to_index": first + count,
            **{f"data/{name}": value for name, value in place.items()},
            **{f"videos/{CAMERA}/{name}": value for name, value in place.items()},
            f"videos/{CAMERA}/from_timestamp": begin / self.rate,  # whole frames: sums of durations drift
            f"videos/{CAMERA}/to_timestamp": (begin + count) / self.rate,
            NAME: episode.name,
            ABOUT: json.dumps(episode.about),
        }
        figures_of = {
            CAMERA: picture_stats(footage.samples()),
            **{name: stats_of(each) for name, each in table.items()},
        }
        for name, figures in figures_of.items():
            row |= {f"stats/{name}/{figure}": value for figure, value in figures.items()}
        row |= {f"meta/episodes/{name}": value for name, value in place.items()}
        self._rows.append(row)
        self._tables.append(table)

    def _table(self, columns: Columns) -> Table:
        """Columns of data/ that an episode has: float32 [T, N] of its controls, float32 or bool [T] else."""
        table: Table = {}
        if columns.controls:
            table["action"] = np.stack(list(columns.controls.values()), 1).astype(np.float32)
        if columns.reward is not None:
            table["next.reward"] = columns.reward
        if columns.confidence is not None:
            table["confidence"] = columns.confidence
        return table | {"first": columns.first}

    def _check(self, name: str, columns: Columns, encoding: Encoding) -> None:
        """Keep the features of the first episode; ValueError where another has others."""
        table = self._table(columns)
        picture = {
            "video.height": encoding.height,
            "video.width": encoding.width,
            "video.codec": encoding.codec,
            "video.pix_fmt": encoding.pixel_format,
            "video.is_depth_map": False,
            "video.fps": round(self.rate),
            "video.channels": 3,
            "has_audio": False,
        }
        shape = {"shape": [encoding.height, encoding.width, 3], "names": ["height", "width", "channels"]}
        features: dict[str, dict] = {CAMERA: {"dtype": "video", **shape, "info": picture}}
        for key in table:
            features[key] = {"dtype": "bool" if key == "first" else "float32", **WHOLE}
        if "action" in features:
            features["action"] |= {"shape": [len(columns.controls)], "names": [*columns.controls]}
        features |= {"timestamp": {"dtype": self._times.name, **WHOLE}, **COUNTS}
        if not self._features:
            self._features = features
            write_json(self.out / PLAN, {"kind": "lerobot", "plan": self._plan, "features": features})
        for key in {*features, *self._features}:
            one, other = (
                {part: each.get(key, {}).get(part) for part in ("dtype", "shape", "names")}
                for each in (self._features, features)
            )
            if one != other:
                raise ValueError(
                    f"{name} has {key} {_said(other)}, the episodes before have {_said(one)}; those of a LeRobot "
                    "dataset are alike; export them into two folders"
                )

    def _is_full(self, encoding: Encoding, more: int) -> bool:
        assert self._video is not None
        assert self._draft is not None
        size = self._draft.temporary.stat().st_size
        long = (self._video.num_frames + more) / self.rate > LONGEST
        return long or encoding != self._video.encoding or size > self.file_mib * 2**20

    def _close_file(self) -> None:
        """Publish video and data, and then the rows of meta/episodes that list them."""
        if self._video is None or self._draft is None:
            return
        self._video.close()
        self._draft.publish()
        self._video = self._draft = None
        with published(file_of(self.out, DATA_PATH, self._number)) as path:
            joined = {name: np.concatenate([table[name] for table in self._tables]) for name in self._tables[0]}
            self._parquet.write_table(self._arrow.table({name: self._column(x) for name, x in joined.items()}), path)
        with published(episodes_file(self.out, self._number)) as path:
            self._parquet.write_table(self._arrow.Table.from_pylist(self._rows), path)
        self._done += self._rows
        self._number, self._rows, self._tables = self._number + 1, [], []

    def _column(self, column: np.ndarray) -> object:
        """A column as Arrow stores it: several numbers per row as lists of fixed size, one as itself."""
        if column.ndim == 1 or column.shape[1] == 1:
            return self._arrow.array(column.reshape(-1))
        return self._arrow.FixedSizeListArray.from_arrays(self._arrow.array(column.reshape(-1)), column.shape[1])


def _said(feature: dict) -> str:
    if feature["dtype"] is None:
        return "not at all"
    return f"of shape {feature['shape']}{' and names ' + str(feature['names']) if feature['names'] else ''}"
