"""Records what a player sees and does, as a recording that can be trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

from racing_vpt.data.origin import origin_of
from racing_vpt.data.recording import RecordingWriter
from racing_vpt.files import TEMPORARY, remove_leftovers
from racing_vpt.types import Controls, Frame, FrameRecord

PERSON = "keyboard"  # name of the person in the meta file


class Take:
    """Records one episode, or a part of it, to `KIND-NNNN.mp4`, `.jsonl` and `.meta.json`.

    The meta file names the driver (`agent`: the keyboard, a checkpoint, or both) and the frames in which a person drove
    (`by_hand`: [[start, stop], ...]).

    Args:
        folder: folder of the files; created if it does not exist.
        kind: first part of their name; the number is the first unused one.
        frames_per_second: frame rate.
        meta: further fields of the meta file, such as `environment` and `seed`, or `dream`.
        agent: name of the agent.
        actions: write the controls; otherwise the recording is a video alone.
    """

    def __init__(
        self,
        folder: Path,
        kind: str,
        frames_per_second: float,
        meta: Mapping[str, object],
        agent: str,
        actions: bool = True,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        self.reserved = reserve(folder, kind)
        name = self.reserved.name.removeprefix(TEMPORARY)
        self.path = folder / f"{name}.mp4"
        self.agent, self.by_hand = agent, list[bool]()
        meta = {**origin_of("play"), **meta}
        self.writer = RecordingWriter(folder, name, frames_per_second=frames_per_second, meta=meta, actions=actions)

    def __len__(self) -> int:
        return len(self.by_hand)

    def add(
        self,
        frame: Frame,
        controls: Controls,
        reward: float | None,
        first: bool,
        by_hand: bool,
        observation: Mapping[str, float | str | None] | None = None,
        timestamp: float | None = None,
    ) -> None:
        """Add a step.

        Args:
            frame: the frame, uint8 [H, W, 3].
            controls: controls executed at the frame.
            reward: reward of the step; None: unknown.
            first: whether the frame is the first of an episode.
            by_hand: whether a person drove.
            observation: state of the car, as far as known.
            timestamp: seconds since the first frame; None: as the frame rate says.
        """
        index = len(self)
        self.writer.add(
            frame,
            FrameRecord(
                frame=index,
                timestamp=index / self.writer.frames_per_second if timestamp is None else timestamp,
                action=controls,
                observation=observation or {},
                reward=reward,
                first=first,
            ),
        )
        self.by_hand.append(by_hand)

    def close(self, lap_finished: bool = False) -> Path | None:
        """Finish the recording; returns the path of its video, or None if it has no frames."""
        if not self.by_hand:
            self.abort()
            return None
        drivers = [PERSON] * any(self.by_hand) + [self.agent] * (not all(self.by_hand))
        self.writer.meta |= {
            "agent": " and ".join(drivers),
            "by_hand": spans(self.by_hand),
            "lap_finished": lap_finished,
        }
        try:
            self.writer.close()
        except BaseException:
            self.abort()
            raise
        self.reserved.unlink()
        return self.path

    def abort(self) -> None:
        """Discard the recording."""
        self.writer.abort()
        self.reserved.unlink(missing_ok=True)


def spans(flags: Sequence[bool]) -> list[list[int]]:
    """[start, stop) of each run of true flags."""
    edges = [place for place in range(len(flags) + 1) if _at(flags, place) != _at(flags, place - 1)]
    return [[start, stop] for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def reserve(folder: Path, kind: str) -> Path:
    """Reserve the first unused name KIND-NNNN with an empty file, so that no other process takes it."""
    for number in count(1):
        name = f"{kind}-{number:04d}"
        reserved = folder / f"{TEMPORARY}{name}"
        if any((folder / f"{name}{suffix}").exists() for suffix in ("", ".mp4", ".jsonl", ".meta.json", ".npz")):
            continue
        try:
            reserved.touch(exist_ok=False)
        except FileExistsError:
            continue
        return reserved
    raise AssertionError("counting has no end")


def _at(flags: Sequence[bool], place: int) -> bool:
    return 0 <= place < len(flags) and flags[place]
