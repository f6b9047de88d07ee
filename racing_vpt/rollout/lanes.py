"""Lanes of online learning: environments stepped in a worker process.

As in gymnasium's next-step autoreset, the action after an end is ignored, and the frame after that is a new episode's
first. Frames and everything else are exchanged in shared memory.
"""

from __future__ import annotations

import copy
import math
import multiprocessing
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import RawArray

import gymnasium
import numpy as np

from racing_vpt.agents.action_expert import ActionExpert
from racing_vpt.envs.make import CARRACING_IDS, FAST_ID, make_env
from racing_vpt.envs.offers import Step, step_controls
from racing_vpt.frames import prepare
from racing_vpt.rollout.episodes import in_one_gear
from racing_vpt.rollout.progress import LapProgress
from racing_vpt.seeds import FIRST_TRAINING_SEED
from racing_vpt.types import FrameSpec

Memory = dict[str, RawArray]  # type: ignore[valid-type] # it is a function


@dataclass
class LaneStates:
    """State of N lanes after a decision: arrays [N, ...], of which each process fills its rows.

    Args:
        frames: uint8 [N, H, W] (colour: [N, H, W, 3]), the current frame.
        rewards: float32, raw, summed over the frames for which the action was held.
        terminated: bool, whether the episode terminated.
        truncated: bool, whether a limit ended it.
        first: bool, whether the frame is the first of an episode.
        valid: bool, false where the action was ignored: the episode had ended, or the process died.
        lap: bool, whether every tile was touched.
        missed: bool, whether a tile was passed without touching it.
        cut_off: bool, whether the episode was cut off for lack of progress.
        elapsed: int64, frames of the episode so far.
        episodes: int64, episodes begun in the lane.
        shown: int64 [N], index of the teacher's next action; -1: no teacher, or the episode has ended.
        actions: int64 [N], or float32 [N, A] of controls: the next action.
    """

    frames: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    first: np.ndarray
    valid: np.ndarray
    lap: np.ndarray
    missed: np.ndarray
    cut_off: np.ndarray
    elapsed: np.ndarray
    episodes: np.ndarray
    shown: np.ndarray
    actions: np.ndarray

    def copy(self) -> LaneStates:
        """A copy outside the shared memory."""
        return LaneStates(**{field.name: getattr(self, field.name).copy() for field in fields(self)})


@dataclass(frozen=True)
class LaneSpec:
    """Settings of every lane.

    Args:
        table: float64 [A, 3], steering, throttle and brake of each discrete action; None: actions are `controls`.
        frames: how frames are prepared; an action is held for `frames.stride` frames.
        env: environment id.
        first_seed: seed of the first track; lane i of N drives first_seed + i, then first_seed + i + N, ...
        seeds_apart: distance between the seeds of a lane's episodes; None: the number of lanes N.
        max_frames: maximum length of an episode in frames; None: the environment's own.
        patience: frames without a new tile after which an episode is cut off; also cut off is an episode with missed
            tiles and none left ahead. A cut-off is a truncation, whose value is bootstrapped: as a termination, being
            lost would look like the end of all costs. None: never.
        controls: names of an action's numbers if there is no table.
        teacher: an `ActionExpert` with the actions of the table; its choice is recorded at each decision.
    """

    table: np.ndarray | None
    frames: FrameSpec
    env: str = FAST_ID
    first_seed: int = FIRST_TRAINING_SEED
    max_frames: int | None = None
    patience: int | None = None
    controls: tuple[str, ...] = ()
    teacher: ActionExpert | None = None
    seeds_apart: int | None = None

    @property
    def held_frames(self) -> int:
        """Steps for which a lane itself holds an action; CarRacing's environments skip frames by themselves."""
        return 1 if self.env in CARRACING_IDS else self.frames.stride

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """(H, W), or (H, W, 3) for colour."""
        size = (self.frames.height, self.frames.width)
        return size if self.frames.grey else (*size, 3)

    @property
    def action_shape(self) -> tuple[int, ...]:
        """() for the index of an action, (A,) for controls."""
        return (len(self.controls),) if self.table is None else ()


@dataclass
class Lane:
    """One environment and its row in the shared arrays."""

    env: gymnasium.Env
    lane_spec: LaneSpec
    now: LaneStates
    row: int
    ended: bool = True
    progress: LapProgress | None = None
    teacher: ActionExpert | None = None
    decisions: int = 0

    def advance(self) -> None:
        """Execute the next action, or begin a new episode if the last one ended."""
        now, row = self.now, self.row
        now.valid[row], now.first[row], now.cut_off[row], now.missed[row] = not self.ended, self.ended, False, False
        if self.ended:
            before = int(now.episodes[row]) * (self.lane_spec.seeds_apart or len(now.episodes))
            frame, info = self.env.reset(seed=self.lane_spec.first_seed + row + before)
            reward, terminated, truncated = 0.0, False, False
            self.progress = LapProgress(self.env)
            if self.teacher is not None:
                self.teacher.reset()
                self.teacher.attach(self.env)
            now.episodes[row] += 1
        else:
            assert self.progress is not None
            frame, earned, terminated, truncated, info = self.take(now.actions[row])
            reward, now.missed[row] = float(earned), self.progress.advance()
            now.cut_off[row] = self.hopeless() and not (terminated or truncated)
            truncated = truncated or bool(now.cut_off[row])
        picture = prepare(frame, self.lane_spec.frames)
        now.frames[row] = picture[..., 0] if self.lane_spec.frames.grey else picture
        now.rewards[row], now.terminated[row], now.truncated[row] = reward, terminated, truncated
        now.lap[row] = bool(info.get("lap_finished", False))
        self.decisions = 0 if now.first[row] else self.decisions + 1
        limited = self.env.has_wrapper_attr("_elapsed_steps")  # without that wrapper, a frame is a decision
        now.elapsed[row] = self.env.get_wrapper_attr("_elapsed_steps") if limited else self.decisions
        self.ended = bool(terminated or truncated)
        now.shown[row] = -1 if self.ended or self.teacher is None else self.teacher.decide()

    def take(self, action: np.ndarray) -> Step:
        """Step the environment with an action: an index into the table, or controls [A]."""
        if self.lane_spec.table is not None:
            return self.env.step(self.lane_spec.table[action])
        controls = in_one_gear(
            dict(zip(self.lane_spec.controls, action.tolist(), strict=True)), self.lane_spec.controls
        )
        earned = 0.0
        for _ in range(self.lane_spec.held_frames):
            frame, reward, terminated, truncated, info = step_controls(self.env, controls)
            earned += float(reward)
            if terminated or truncated:
                break
        return frame, earned, terminated, truncated, info

    def drive_again(self, actions: np.ndarray) -> None:
        """Restore an unfinished episode by replaying its actions [T, ...] from its seed."""
        self.now.episodes[self.row] -= 1
        self.ended = True
        self.advance()
        for action in actions:
            self.now.actions[self.row] = action
            self.advance()

    def hopeless(self) -> bool:
        """Whether the episode is to be cut off: no new tile for `patience` frames, or none left ahead."""
        patience, progress = self.lane_spec.patience, self.progress
        if patience is None or progress is None:
            return False
        return progress.since * self.lane_spec.frames.stride >= patience or progress.over


def shared_memory(lanes: int, lane_spec: LaneSpec) -> Memory:
    """Shared memory for `LaneStates`."""
    context, shapes = multiprocessing.get_context("spawn"), lane_shapes(lanes, lane_spec)
    return {name: context.RawArray("b", math.prod(shape) * dtype.itemsize) for name, (shape, dtype) in shapes.items()}


def lanes_in(memory: Memory, lane_spec: LaneSpec) -> LaneStates:
    """The arrays in shared memory."""
    shapes = lane_shapes(len(memory["valid"]), lane_spec)  # type: ignore[arg-type]
    arrays = {name: np.frombuffer(memory[name], dtype).reshape(shape) for name, (shape, dtype) in shapes.items()}  # type: ignore[call-overload]
    return LaneStates(**arrays)


def lane_shapes(lanes: int, lane_spec: LaneSpec) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and dtype of each array of `LaneStates`."""
    more = {"frames": lane_spec.frame_shape, "actions": lane_spec.action_shape}
    dtypes = {"frames": np.uint8, "rewards": np.float32, "elapsed": np.int64, "episodes": np.int64, "shown": np.int64,
              "actions": np.int64 if lane_spec.table is not None else np.float32}  # fmt: skip
    return {
        field.name: ((lanes, *more.get(field.name, ())), np.dtype(dtypes.get(field.name, np.bool_)))
        for field in fields(LaneStates)
    }


def serve_lanes(
    lane_spec: LaneSpec, memory: Memory, rows: Sequence[int], running: Sequence[np.ndarray | None],
    connection: Connection,
) -> None:  # fmt: skip
    """Main loop of a worker process: steps its lanes at each message until the connection closes.

    Args:
        lane_spec: settings of every lane.
        memory: shared memory of all lanes.
        rows: rows of this process' lanes.
        running: actions [T, ...] so far of each lane's unfinished episode; None: it begins a new one.
        connection: connection to the parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    try:
        now = lanes_in(memory, lane_spec)
        lanes = [Lane(lane_env(lane_spec), lane_spec, now, row, teacher=copy.copy(lane_spec.teacher)) for row in rows]
        for lane, actions in zip(lanes, running, strict=True):
            lane.advance() if actions is None else lane.drive_again(actions)
        while True:
            connection.send(None)
            connection.recv_bytes()
            for lane in lanes:
                lane.advance()
    except (EOFError, OSError):
        return  # the parent has gone
    except Exception as error:
        with suppress(OSError):
            connection.send(error)


def lane_env(lane_spec: LaneSpec) -> gymnasium.Env:
    """A lane's environment."""
    skipped = lane_spec.frames.stride // lane_spec.held_frames
    return make_env(lane_spec.env, frame_skip=skipped, max_episode_steps=lane_spec.max_frames)
