"""How an IDM labels the recordings of several drivers, encoded again in one way: a rung of the ladder.

What the figures need of each frame is kept on disk, so that a stopped ladder continues and every figure can be computed
again without labelling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from racing_vpt.data.pairing import PairedRecording, pair_recordings
from racing_vpt.data.recording import Recording
from racing_vpt.data.recordings import find_recordings
from racing_vpt.data.rendered import RenditionTask
from racing_vpt.data.renditions import Rendition
from racing_vpt.files import read_json, write_json
from racing_vpt.models.idm import IDM
from racing_vpt.models.idm_metrics import confidence
from racing_vpt.models.idm_protocol import Episode, episodes_of
from racing_vpt.models.idm_trust import expected_error
from racing_vpt.outputs import check_own_report
from racing_vpt.studies.labelling import label_recording

DIGITS = 6  # of the numbers that are kept
PARTS = ("labels", "truth", "confidence", "right")


@dataclass(frozen=True)
class Judged:
    """A driver's recordings on a rung, labelled.

    Args:
        episodes: labels beside the true controls, one episode a recording.
        likeness: mean likeness of the videos to the training data; None: the model does not tell it.
        confidence: mean confidence, as `predict` writes it.
        expected: mean expected error by axis, in the control's unit.
    """

    episodes: list[Episode]
    likeness: float | None
    confidence: float
    expected: dict[str, float]

    @property
    def frames(self) -> int:
        """Number of frames."""
        return sum(len(episode.frames) for episode in self.episodes)


def drivers_in(folder: Path, most: int | None = None) -> dict[str, list[PairedRecording]]:
    """Recordings by driver: those of each folder in `folder`, or of `folder` itself if its folders hold none.

    Args:
        folder: of one driver, or of a folder for each driver.
        most: number of recordings of each driver, the first by name; None: all.

    Raises:
        FileNotFoundError: there are no recordings.
        ValueError: a recording has no controls to compare labels with.
    """
    inner = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    of_drivers = [path for path in inner if list(path.glob("*.meta.json")) and find_recordings(path)]
    found = {path.name: pair_recordings(path)[:most] for path in of_drivers or [folder]}
    for pair in (pair for pairs in found.values() for pair in pairs):
        if not pair.recording.has_actions:
            raise ValueError(f"{pair.recording.video} has no controls, with which an IDM's labels could be compared")
    return found


def tasks_of(
    drivers: Mapping[str, Sequence[PairedRecording]], rung: Rendition, folder: Path, seed: int
) -> dict[str, list[RenditionTask]]:
    """What has to be encoded for a rung, by driver, each in a folder of its own within `folder`."""
    return {
        driver: [RenditionTask(pair, rung, folder / driver, seed + number) for number, pair in enumerate(pairs)]
        for driver, pairs in drivers.items()
    }


def judged(module: IDM, renditions: Mapping[str, Recording], file: Path) -> Judged:
    """A driver's renditions, labelled now, or read from `file` if the same model labelled the same videos before.

    Args:
        module: the IDM.
        renditions: by name.
        file: JSON file for what is kept.

    Raises:
        FileExistsError: `file` is not one of ours.
        ValueError: the controls are not those of the model's game.
    """
    videos = {name: rendition.meta["video_sha256"] for name, rendition in renditions.items()}
    made_of = {"checkpoint": module.fingerprint(), "label": module.label, "videos": videos}
    check_own_report(file)
    if file.is_file():
        kept = read_json(file)
        if {key: kept.get(key) for key in made_of} == made_of:
            return _from_json(kept)
    whole = {**made_of, **_to_json(label_all(module, list(renditions.values())))}
    write_json(file, whole)
    return _from_json(read_json(file))


def label_all(module: IDM, recordings: Sequence[Recording]) -> Judged:
    """Label recordings that have controls."""
    scheme, episodes, alike, sure = module.scheme, [], [], []
    doubts: dict[str, list[np.ndarray]] = {}
    for number, recording in enumerate(recordings):
        controls = recording.controls()
        if missing := [name for name in scheme.controls if name not in controls]:
            raise ValueError(
                f"{recording.video} lacks {', '.join(missing)}, controls of the game {module.game.name} that the model "
                f"labels; it has {', '.join(controls) or 'none'}"
            )
        truth = {name: torch.from_numpy(np.asarray(controls[name], np.float32)) for name in scheme.controls}
        said = label_recording(module, recording)
        labels = module.labels({name: each.to(module.device) for name, each in said.probabilities.items()})
        labels = {name: each.cpu() for name, each in labels.items()}
        places = torch.stack([torch.full((recording.num_frames,), number), torch.arange(recording.num_frames)], 1)
        episodes += episodes_of(scheme, said.probabilities, labels, truth, places)
        for name, error in expected_error(scheme, said.probabilities, labels, module.stops).items():
            doubts.setdefault(name, []).append(error.numpy())
        sure.append(confidence(said.probabilities).numpy() * (1 if said.likeness is None else said.likeness))
        alike += [] if said.likeness is None else [said.likeness]
    expected = {name: float(np.concatenate(each).mean()) for name, each in doubts.items()}
    return Judged(episodes, float(np.mean(alike)) if alike else None, float(np.concatenate(sure).mean()), expected)


def _to_json(found: Judged) -> dict[str, object]:
    episodes = [
        {
            "frames": each.frames.tolist(),
            **{
                part: {name: [_short(x) for x in column.tolist()] for name, column in getattr(each, part).items()}
                for part in PARTS
            },
        }
        for each in found.episodes
    ]
    return {
        "likeness": found.likeness,
        "confidence": found.confidence,
        "expected_error": found.expected,
        "episodes": episodes,
    }


def _short(value: float | bool) -> float | int:
    return int(value) if isinstance(value, bool) else float(f"{value:.{DIGITS}g}")


def _from_json(kept: Mapping) -> Judged:
    episodes = []
    for each in kept["episodes"]:
        columns = {part: {name: np.array(column, float) for name, column in each[part].items()} for part in PARTS}
        columns["right"] = {name: column.astype(bool) for name, column in columns["right"].items()}
        episodes.append(Episode(np.array(each["frames"], np.int64), **columns))
    return Judged(episodes, kept["likeness"], kept["confidence"], kept["expected_error"])
