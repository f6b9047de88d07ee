"""Export to a Minari dataset (https://minari.farama.org): episodes with rewards, for offline reinforcement learning.

Each episode is first a file of its own in `unfinished/`, which tells a later run what is done; at the end they are
joined in `data/main_data.hdf5`, and `data/metadata.json`, without which there is no dataset, comes last. Frames are
written one after the other, so that no episode has to fit into memory.

Minari wants an observation after the last action, which recordings do not have: the last frame is repeated.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from racing_vpt.data.columns import Columns
from racing_vpt.data.lines import RANGES
from racing_vpt.data.origin import origin_of_all
from racing_vpt.exchange.outgoing import Outgoing
from racing_vpt.files import published, read_json, remove_leftovers, write_json
from racing_vpt.types import Frame

if TYPE_CHECKING:
    from types import ModuleType

    import h5py

PLAN = "racing_vpt.json"  # what this dataset is made of
PARTS = "unfinished"
MAIN, ABOUT = Path("data/main_data.hdf5"), Path("data/metadata.json")
NAMES = "episode_names"  # our field of the metadata: recording of each episode
VERSIONED = re.compile(r".+-v\d+")


class MinariExport:
    """Writes a dataset (`exporting.Exporter`).

    Args:
        out: folder of the dataset, whose name is the dataset's; `-v0` is added if it has no version.
        episodes: all that will be exported.

    Raises:
        ValueError: minari is not installed.
    """

    def __init__(self, out: Path, episodes: Sequence[Outgoing]) -> None:
        self._minari, self._h5py = minari_of("--format minari")
        self.out, self.episodes = out, episodes
        told = json.dumps([[episode.name, episode.origin] for episode in episodes], sort_keys=True)
        self._plan = hashlib.sha256(told.encode()).hexdigest()[:16]
        self._alike: dict[str, object] = {}  # what all episodes share
        self._joined: set[str] = set()

    def begin(self) -> None:
        """Read what an earlier run finished; ValueError if the folder holds another dataset."""
        plan = self.out / PLAN
        about = read_json(plan) if plan.is_file() else {}
        if about.get("plan") != self._plan and (about or (self.out / MAIN.parent).exists()):
            raise ValueError(f"{self.out} already holds another dataset; remove it, or choose another --out")
        if not about:
            write_json(plan, {"kind": "minari", "plan": self._plan})
        self._alike = about.get("alike") or {}
        for folder in (self.out / PARTS, self.out / MAIN.parent):
            if folder.is_dir():
                remove_leftovers(folder)
        if (self.out / ABOUT).is_file():
            self._joined = {*read_json(self.out / ABOUT)[NAMES]}
            self._remove_parts()

    def is_done(self, episode: Outgoing) -> bool:
        """Whether the episode is in the dataset, or waits to be joined."""
        return episode.name in self._joined or self._part(episode).is_file()

    def write(self, episode: Outgoing) -> str:
        """Write an episode to a file of its own; returns what was changed.

        Raises:
            ValueError: it has no rewards or controls, or its size, rate or controls differ from the episodes before.
        """
        columns, footage = episode.columns(), episode.footage()
        columns.check(footage.num_frames)
        if columns.reward is None or not columns.controls:
            lacking = "rewards" if columns.controls else "controls"
            raise ValueError(f"{episode.name} has no {lacking}, which a Minari dataset needs; leave it out")
        if episode.times() is not None:
            raise ValueError(
                f"{episode.name} has frames at uneven distances in time; make it even: racing-vpt renditions"
            )
        bounds = [0, *(np.flatnonzero(columns.first[1:]) + 1).tolist(), len(columns)]
        frames = footage.frames()
        with published(self._part(episode)) as path, self._h5py.File(path, "w", track_order=True) as file:
            for number, (start, stop) in enumerate(pairwise(bounds)):
                group = file.create_group(f"episode_{number}")
                size = _write_frames(group, frames, stop - start)
                lap = stop == len(columns) and episode.about.get("lap_finished") is True
                _write_columns(group, columns[start:stop], terminated=lap)
                _write_about(group, {**episode.about, "name": episode.name, "first_frame": start})
                self._check(episode, columns, size)
        count = len(bounds) - 1
        return f"divided into {count} episodes, where `first` is true" if count > 1 else ""

    def close(self) -> None:
        """Join the episodes and describe the dataset."""
        written = [episode for episode in self.episodes if self._part(episode).is_file()]
        if not written:
            return
        names: list[str] = []
        steps = 0
        controls = self._alike["controls"]
        assert isinstance(controls, list)
        low, high = np.full(len(controls), np.inf), np.full(len(controls), -np.inf)
        with published(self.out / MAIN) as path, self._h5py.File(path, "w", track_order=True) as file:
            for episode in written:
                with self._h5py.File(self._part(episode), "r") as part:
                    for number in range(len(part)):
                        group = part[f"episode_{number}"]
                        file.copy(group, file, name=f"episode_{len(names)}")
                        file[f"episode_{len(names)}"].attrs["id"] = len(names)
                        actions = group["actions"][()]
                        low, high = np.minimum(low, actions.min(0)), np.maximum(high, actions.max(0))
                        names.append(episode.name)
                        steps += len(actions)
        self._describe(written, names, steps, low, high)
        self._remove_parts()

    def abort(self) -> None:
        """Nothing is unfinished between two episodes."""

    def _part(self, episode: Outgoing) -> Path:
        return self.out / PARTS / f"{episode.name}.hdf5"

    def _remove_parts(self) -> None:
        for episode in self.episodes:
            self._part(episode).unlink(missing_ok=True)
        if (self.out / PARTS).is_dir() and not any((self.out / PARTS).iterdir()):
            (self.out / PARTS).rmdir()

    def _check(self, episode: Outgoing, columns: Columns, size: tuple[int, int]) -> None:
        """Keep what the first episode is like; ValueError where another differs."""
        alike = {"controls": [*columns.controls], "size": list(size), "frames_per_second": episode.frames_per_second}
        if not self._alike:
            self._alike = alike
            write_json(self.out / PLAN, {"kind": "minari", "plan": self._plan, "alike": alike})
        for key, value in alike.items():
            if value != self._alike[key]:
                raise ValueError(
                    f"{episode.name} has {key.replace('_', ' ')} {value}, the episodes before {self._alike[key]}; "
                    "those of a Minari dataset are alike; export them into two folders"
                )

    def _describe(
        self, written: Sequence[Outgoing], names: list[str], steps: int, low: np.ndarray, high: np.ndarray
    ) -> None:
        """Write the metadata; actions have the ranges of their names, [0, 1] if they lie in it, or none."""
        from gymnasium.spaces import Box
        from minari.serialization import serialize_space

        controls, size = self._alike["controls"], self._alike["size"]
        assert isinstance(controls, list)
        assert isinstance(size, list)
        held = (low >= 0) & (high <= 1)
        unknown = [(0.0, 1.0) if inside else (-np.inf, np.inf) for inside in held]
        bounds = np.array([RANGES.get(name, unknown[at]) for at, name in enumerate(controls)], np.float32)
        known: dict[str, list[str]] = {}
        for key in ("author", "environment", "agent"):
            values = {str(episode.about[key]) for episode in written if episode.about.get(key)}
            known |= {key: sorted(values)} if values else {}
        origin = origin_of_all(episode.about for episode in written)
        name = self.out.resolve().name
        write_json(
            self.out / ABOUT,
            {
                "dataset_id": name if VERSIONED.fullmatch(name) else f"{name}-v0",
                "minari_version": self._minari.__version__,
                "data_format": "hdf5",
                "jpeg_encoding": False,  # or minari expects observations as JPEG
                "total_episodes": len(names),
                "total_steps": steps,
                "observation_space": serialize_space(Box(0, 255, (*size, 3), np.uint8)),
                "action_space": serialize_space(Box(bounds[:, 0], bounds[:, 1], dtype=np.float32)),
                "action_names": controls,
                "frames_per_second": self._alike["frames_per_second"],
                "description": "Driving recorded by racing-vpt. The last observation of an episode repeats the one "
                "before: recordings have no frame after the last action. Episodes end by truncation, unless a lap was "
                "finished.",
                **({"author": known["author"]} if "author" in known else {}),
                **{key: ", ".join(values) for key, values in known.items() if key != "author"},
                **{key: text for key, text in origin.items() if key != "author" and text is not None},
                "dataset_size": round((self.out / MAIN).stat().st_size / 1e6, 1),
                NAMES: names,
            },
        )


def minari_of(what: str) -> tuple[ModuleType, ModuleType]:
    """The modules minari and h5py; ValueError if they are not installed."""
    try:
        import h5py
        import minari
    except ImportError as error:
        raise ValueError(f"{what} needs the package {error.name}: pip install 'racing-vpt[minari]'") from error
    return minari, h5py


def _write_frames(group: h5py.Group, frames: Iterator[Frame], count: int) -> tuple[int, int]:
    """Write `count` frames as observations, uint8 [count + 1, H, W, 3], the last one twice; returns height, width."""
    stored = None
    for index, frame in enumerate(islice(frames, count)):
        if stored is None:
            shape = frame.shape
            stored = group.create_dataset(
                "observations", (count + 1, *shape), np.uint8, chunks=(1, *shape), compression="gzip",
                compression_opts=1,
            )  # fmt: skip
        stored[index] = frame
        if index == count - 1:
            stored[count] = frame
    assert stored is not None, "a recording has at least one frame"
    return shape[0], shape[1]


def _write_columns(group: h5py.Group, columns: Columns, terminated: bool) -> None:
    """Write actions float32 [T, N], rewards float64 [T], and how the episode ended."""
    last = np.arange(len(columns)) == len(columns) - 1
    assert columns.reward is not None
    group["actions"] = np.stack(list(columns.controls.values()), 1).astype(np.float32)
    group["rewards"] = columns.reward.astype(np.float64)
    group["terminations"] = last & terminated
    group["truncations"] = last & (not terminated)
    group.attrs["total_steps"] = len(columns)


def _write_about(group: h5py.Group, about: Mapping[str, object]) -> None:
    """Write what is known of an episode as attributes."""
    for key, value in about.items():
        if value is not None:
            group.attrs[key] = value if isinstance(value, str | int | float) else json.dumps(value)
