"""What happens in the lanes of online learning, each an environment, in the process where they step.

As in gymnasium's next-step autoreset, the action after an end is ignored, and the frame after that is a new episode's
first. Frames and all else cross in memory that the processes share.
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
from racing_vpt.envs.make import FAST_ID, make_env
from racing_vpt.envs.offers import Step, step_controls
from racing_vpt.frames import prepare
from racing_vpt.rollout.progress import LapProgress
from racing_vpt.seeds import FIRST_TRAINING_SEED
from racing_vpt.types import FrameSpec

Memory = dict[str, RawArray]  # type: ignore[valid-type] # it is a function


@dataclass
class LaneStates:
    """What N lanes say after a decision, each an array [N, ...] of which the processes fill their rows.

    Args:
        frames: uint8 [N, H, W], or [N, H, W, 3] of colours: what is seen now.
        rewards: float32, raw, summed over the frames that the action was held.
        terminated: bool, the episode is over for good.
        truncated: bool, a limit ended it.
        first: bool, the frame is an episode's first.
        valid: bool, false where the action was ignored: the episode had ended, or the process died.
        lap: bool, every tile was touched.
        missed: bool, a tile was left behind untouched.
        cut_off: bool, the episode was ended as hopeless.
        elapsed: int64, frames of the episode so far.
        episodes: int64, episodes that the lane has begun.
        shown: int64 [N], the action of the table that the teacher would take next; -1: there is none, or an end.
        actions: int64 [N], or float32 [N, A] of controls: what is to be done next.
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
        """The same, which no process changes."""
        return LaneStates(**{field.name: getattr(self, field.name).copy() for field in fields(self)})


@dataclass(frozen=True)
class LaneSpec:
    """What is done in every lane.

    Args:
        table: float64 [A, 3], steering, throttle and brake of each action; None: actions are those of `controls`.
        frames: how frames are prepared; an action is held for `frames.stride` frames.
        env: environment.
        first_seed: of the tracks; lane i of N drives first_seed + i, then first_seed + i + N, ...
        max_frames: end episodes after so many frames; None leaves it to the environment.
        patience: frames without a new tile after which an episode is cut off as hopeless, which is a truncation:
            what the state is worth is still estimated, so that being lost is not made to look like the end of all
            costs, or once no tile is left ahead and some were missed. None: never.
        controls: names of an action's numbers where there is no table.
        teacher: an `ActionExpert` with the actions of the table, who is asked at each decision what it would do.
    """

    table: np.ndarray | None
    frames: FrameSpec
    env: str = FAST_ID
    first_seed: int = FIRST_TRAINING_SEED
    max_frames: int | None = None
    patience: int | None = None
    controls: tuple[str, ...] = ()
    teacher: ActionExpert | None = None

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """(H, W), or (H, W, 3) of colours."""
        return (
            (self.frames.height, self.frames.width) if self.frames.grey else (self.frames.height, self.frames.width, 3)
        )

    @property
    def action_shape(self) -> tuple[int, ...]:
        """() of the number of an action, (A,) of controls."""
        return (len(self.controls),) if self.table is None else ()


@dataclass
class Lane:
    """One environment in a process, and where it writes."""

    env: gymnasium.Env
    lane_spec: LaneSpec
    now: LaneStates
    row: int
    ended: bool = True
    progress: LapProgress | None = None
    teacher: ActionExpert | None = None
    decisions: int = 0

    def advance(self) -> None:
        """Take the decision that is asked for, or begin an episode where the last one ended."""
        now, row = self.now, self.row
        now.valid[row], now.first[row], now.cut_off[row], now.missed[row] = not self.ended, self.ended, False, False
        if self.ended:
            seed = self.lane_spec.first_seed + row + int(now.episodes[row]) * len(now.episodes)
            frame, info = self.env.reset(seed=seed)
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
        limited = self.env.has_wrapper_attr("_elapsed_steps")  # else an environment's frames are its decisions
        now.elapsed[row] = self.env.get_wrapper_attr("_elapsed_steps") if limited else self.decisions
        self.ended = bool(terminated or truncated)
        now.shown[row] = -1 if self.ended or self.teacher is None else self.teacher.decide()

    def take(self, action: np.ndarray) -> Step:
        """Step the environment with an action of a table's number, or of controls [A]."""
        if self.lane_spec.table is not None:
            return self.env.step(self.lane_spec.table[action])
        return step_controls(self.env, dict(zip(self.lane_spec.controls, action.tolist(), strict=True)))

    def drive_again(self, actions: np.ndarray) -> None:
        """Come to where the running episode was after these actions [T, ...]: its seed and they decide where."""
        self.now.episodes[self.row] -= 1
        self.ended = True
        self.advance()
        for action in actions:
            self.now.actions[self.row] = action
            self.advance()

    def hopeless(self) -> bool:
        """Whether no tile was touched for so long, or none is left, that the episode is cut off."""
        patience, progress = self.lane_spec.patience, self.progress
        if patience is None or progress is None:
            return False
        return progress.since * self.lane_spec.frames.stride >= patience or progress.over


def shared_memory(lanes: int, lane_spec: LaneSpec) -> Memory:
    """Memory for `LaneStates` that processes share."""
    context, shapes = multiprocessing.get_context("spawn"), lane_shapes(lanes, lane_spec)
    return {name: context.RawArray("b", math.prod(shape) * dtype.itemsize) for name, (shape, dtype) in shapes.items()}


def lanes_in(memory: Memory, lane_spec: LaneSpec) -> LaneStates:
    """The arrays that lie in shared memory."""
    shapes = lane_shapes(len(memory["valid"]), lane_spec)  # type: ignore[arg-type]
    return LaneStates(**{
        name: np.frombuffer(memory[name], dtype).reshape(shape)  # type: ignore[call-overload]
        for name, (shape, dtype) in shapes.items()
    })  # fmt: skip


def lane_shapes(lanes: int, lane_spec: LaneSpec) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and type of each array of `LaneStates`."""
    more = {"frames": lane_spec.frame_shape, "actions": lane_spec.action_shape}
    dtypes = {"frames": np.uint8, "rewards": np.float32, "elapsed": np.int64, "episodes": np.int64, "shown": np.int64,
              "actions": np.int64 if lane_spec.table is not None else np.float32}  # fmt: skip
    return {
        field.name: ((lanes, *more.get(field.name, ())), np.dtype(dtypes.get(field.name, np.bool_)))
        for field in fields(LaneStates)
    }


def serve_lanes(
    lane_spec: LaneSpec,
    memory: Memory,
    rows: Sequence[int],
    running: Sequence[np.ndarray | None],
    connection: Connection,
) -> None:  # fmt: skip
    """Step the lanes of these rows whenever the connection says so, until it is closed.

    Args:
        lane_spec: what is done in each.
        memory: where they write.
        rows: their numbers.
        running: the actions [T, ...] so far of an episode that each goes on with; None: it begins one.
        connection: to whom asks.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
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
        return  # nobody wants the experience of an orphan
    except Exception as error:
        with suppress(OSError):
            connection.send(error)


def lane_env(lane_spec: LaneSpec) -> gymnasium.Env:
    """The environment that a lane drives in."""
    return make_env(lane_spec.env, frame_skip=lane_spec.frames.stride, max_episode_steps=lane_spec.max_frames)
