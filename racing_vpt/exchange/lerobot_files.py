"""Names and layout of a LeRobotDataset v3.0 (https://huggingface.co/docs/lerobot/lerobot-dataset-v3).

`meta/info.json` describes the features; `data/` has one row per frame, `videos/KEY/` the frames, both of many episodes
per file; `meta/episodes/` says where each episode lies. Tasks are a parquet file (the documentation says tasks.jsonl),
which pandas reads with the task as its index.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from racing_vpt.exchange.table_rows import pyarrow_of

VERSION = "v3.0"
CAMERA = "observation.image"  # key of the video
INFO, STATS, TASKS = Path("meta/info.json"), Path("meta/stats.json"), Path("meta/tasks.parquet")
EPISODES = Path("meta/episodes")
CHUNK = 1000  # files per folder
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
LONGEST = 1700.0  # seconds of one file: float32 tells times apart to 1e-4 s, lerobot's tolerance, up to 2,048 s
NAME, ABOUT = "racing_vpt/name", "racing_vpt/about"  # our columns of meta/episodes
WHOLE = {"shape": [1], "names": None}
FIGURES = ("min", "max", "mean", "std", "count")
COUNTS = {name: {"dtype": "int64", **WHOLE} for name in ("frame_index", "episode_index", "index", "task_index")}


def file_of(folder: Path, pattern: str, number: int, key: str = CAMERA) -> Path:
    """Path of the file with a number that counts through all chunks."""
    return folder / pattern.format(video_key=key, chunk_index=number // CHUNK, file_index=number % CHUNK)


def episodes_file(folder: Path, number: int) -> Path:
    """Path of the file of `meta/episodes` with this number."""
    return folder / EPISODES / f"chunk-{number // CHUNK:03d}" / f"file-{number % CHUNK:03d}.parquet"


def write_tasks(path: Path, tasks: list[str]) -> None:
    """Write the tasks as pandas writes a table whose index they are."""
    arrow, parquet = pyarrow_of("LeRobot")
    index = "__index_level_0__"
    columns = [
        {"name": name, "field_name": field, "pandas_type": kind, "numpy_type": stored, "metadata": None}
        for name, field, kind, stored in (
            ("task_index", "task_index", "int64", "int64"),
            (None, index, "unicode", "object"),
        )
    ]
    about = {"index_columns": [index], "column_indexes": [], "columns": columns, "creator": {"library": "pyarrow"}}
    table = arrow.table({"task_index": np.arange(len(tasks)), index: tasks})
    pandas = json.dumps({**about, "pandas_version": "2.0.0"})
    parquet.write_table(table.replace_schema_metadata({"pandas": pandas}), path)


def stats_of(column: np.ndarray) -> dict[str, list]:
    """Minimum, maximum, mean and deviation of rows [T, ...], and their number, as LeRobot keeps them."""
    rows = column.astype(np.float64)
    figures = {"min": rows.min(0), "max": rows.max(0), "mean": rows.mean(0), "std": rows.std(0)}
    return {name: np.atleast_1d(figure).tolist() for name, figure in figures.items()} | {"count": [len(rows)]}


def picture_stats(frames: np.ndarray) -> dict[str, list]:
    """As `stats_of`, of frames uint8 [N, H, W, 3]: figures of each channel, in [0, 1] and of shape [3, 1, 1]."""
    figures = stats_of(frames.reshape(-1, 3) / 255)
    return {name: [[[value]] for value in figures[name]] for name in FIGURES[:-1]} | {"count": [len(frames)]}


def joined_stats(parts: list[dict[str, list]]) -> dict[str, list]:
    """Figures of all rows from those of parts of them."""
    count = np.array([part["count"][0] for part in parts], np.float64)
    weight = count / count.sum()
    mean, std = (np.array([part[name] for part in parts], np.float64) for name in ("mean", "std"))
    whole = np.tensordot(weight, mean, 1)
    variance = np.tensordot(weight, std**2 + (mean - whole) ** 2, 1)
    least, most = (np.array([part[name] for part in parts]) for name in ("min", "max"))
    figures = {"min": least.min(0), "max": most.max(0), "mean": whole, "std": np.sqrt(variance)}
    return {name: figure.tolist() for name, figure in figures.items()} | {"count": [int(count.sum())]}
