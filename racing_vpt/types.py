"""The nouns that cross rooms, with their shapes.

Legend, used in every docstring: B batch, T frames, H W height and width in pixels, C channels, K tokens a frame,
D width of a layer, N environments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:  # so that the help of tools need not wait for torch
    from torch import Tensor

Frame = np.ndarray  # uint8 [H, W, 3], RGB
Controls = dict[str, float]  # what a driver does in one frame, by name
Fit = Literal["stretch", "crop", "letterbox"]
Resize = Literal["area", "linear"]


Rectangle = tuple[float, float, float, float]  # top, left, height, width, as shares of a picture's height and width


@dataclass(frozen=True)
class FrameSpec:
    """The frames that a model takes. Data, agents and environments prepare them with `frames.py`.

    Args:
        height: pixels.
        width: pixels.
        fit: how a picture of another aspect ratio is fitted: `stretch` it, `crop` its middle, or `letterbox` it.
        resize: how a picture is made smaller: by the mean over each pixel's `area`, or `linear` between the four
            nearest pixels, which skips thin lines; OpenAI's checkpoints were trained with the latter.
        hide: rectangles that are blacked out, each [top, left, height, width] as shares of the picture that the model
            sees (0.5 is the middle). What shows the controls must be hidden: a model that infers controls would read
            its label there.
        grey: one luminance channel, repeated, instead of colours.
        frames_per_second: rate of the video; other videos are resampled by time stamp.
        stride: the model sees every stride-th of those frames; an agent repeats its controls in between.
        crop_bottom: share of the height, from the bottom, that is cut off before anything else. World Models sees
            the top 84 of CarRacing's 96 rows.
        every_frame: frames of other rates are not resampled: the model gets each frame once, with its time
            (`Batch.times`).
    """

    height: int = 96
    width: int = 96
    fit: Fit = "stretch"
    resize: Resize = "area"
    hide: tuple[Rectangle, ...] = ()
    grey: bool = False
    frames_per_second: float = 50.0
    stride: int = 1
    crop_bottom: float = 0.0
    every_frame: bool = False

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"a frame of {self.height}x{self.width} pixels was asked for; both must be at least 1")
        object.__setattr__(self, "hide", tuple(rectangle(given) for given in self.hide))  # JSON and YAML have lists
        if not 0 <= self.crop_bottom < 1:
            raise ValueError(f"crop_bottom is a share of the height in [0, 1), but {self.crop_bottom} was given")
        if not 0 < self.frames_per_second < 1000:
            raise ValueError(f"frames_per_second must be between 0 and 1000, but {self.frames_per_second} was given")
        if self.stride < 1:
            raise ValueError(f"stride must be at least 1, but {self.stride} was given")


@dataclass(frozen=True)
class FrameChanges:
    """How the frames of a model differ from those of its game; None: as in the game file.

    Args:
        height: pixels.
        width: pixels.
        fit: `stretch`, `crop` or `letterbox` a picture of another aspect ratio.
        resize: `area` (mean) or `linear`.
        hide: rectangles [top, left, height, width] that are blacked out, as shares of the picture.
        grey: luminance instead of colours.
        frames_per_second: rate of the video.
        stride: the model sees every stride-th of those frames.
        crop_bottom: share of the height that is cut off at the bottom.
        every_frame: frames with their own times instead of frames resampled to a rate; for models that take times.
    """

    height: int | None = None
    width: int | None = None
    fit: Fit | None = None
    resize: Resize | None = None
    hide: tuple[Rectangle, ...] | None = None
    grey: bool | None = None
    frames_per_second: float | None = None
    stride: int | None = None
    crop_bottom: float | None = None
    every_frame: bool | None = None


def frame_spec(given: FrameSpec | FrameChanges | Mapping[str, Any], base: FrameSpec | None = None) -> FrameSpec:
    """The frames of a model.

    Args:
        given: all of them, or what differs from `base`, also as a checkpoint's configuration has it.
        base: of the game; None: the defaults of `FrameSpec`.
    """
    if isinstance(given, FrameSpec):
        return given
    fields = vars(given) if isinstance(given, FrameChanges) else given
    return replace(base or FrameSpec(), **{name: value for name, value in fields.items() if value is not None})


def rectangle(given: Sequence[float]) -> Rectangle:
    """A rectangle from its four numbers; ValueError where it does not lie within the picture."""
    if len(given) == 4:
        top, left, height, width = (float(share) for share in given)
        fits = min(top, left) >= 0 and min(height, width) > 0 and max(top + height, left + width) <= 1 + 1e-6
        if fits:
            return top, left, height, width
    raise ValueError(
        f"{list(given)} is not a rectangle within the picture; expected [top, left, height, width] as shares, "
        "such as [0.875, 0, 0.125, 1] for its bottom eighth"
    )


@dataclass
class Batch:
    """B clips of T consecutive frames.

    Args:
        frames: uint8 [B, T, H, W, 3], RGB.
        controls: float32 [B, T] by name, as stored; empty for unlabelled video. A module encodes them itself.
        first: bool [B, T], true where an episode starts.
        valid: bool [B, T], false where a clip is padded.
        weight: float32 [B, T], how much a label is to be trusted (the IDM's confidence; 1 for recorded controls).
        rewards: float32 [B, T], or None where no environment produced the recording.
        ids: which clip each row is (`EPISODE:FIRST_FRAME`).
        codes: float32 [B, T, D] in place of frames, for a model that learns from codes (`data/codes.py`).
        times: float32 [B, T], seconds since the row's first frame, rising in the padding too; None: an even rate.
    """

    frames: Tensor
    controls: dict[str, Tensor]
    first: Tensor
    valid: Tensor
    weight: Tensor
    rewards: Tensor | None = None
    ids: list[str] = field(default_factory=list)
    codes: Tensor | None = None
    times: Tensor | None = None


@runtime_checkable
class Agent(Protocol):
    """Whoever drives. One call a frame, so an agent that decides every k frames repeats by itself."""

    def reset(self) -> None:
        """Forget the last episode."""

    def act(self, frame: Frame) -> Controls:
        """Controls for one frame uint8 [H, W, 3] of one environment."""

    def act_batch(self, frames: np.ndarray, first: np.ndarray) -> list[Controls]:
        """Controls for frames uint8 [N, H, W, 3] of N environments; `first` bool [N] marks those that just reset."""


@dataclass(frozen=True)
class FrameRecord:
    """One line of NAME.jsonl: what was seen, done and earned. Frame i is seen before action i, reward i follows it."""

    frame: int
    timestamp: float
    action: Mapping[str, float]
    observation: Mapping[str, float | str | None] = field(default_factory=dict)
    reward: float | None = None
    first: bool | None = None
    perturbed: bool = False
    intended: Mapping[str, float] | None = None
    confidence: float | None = None


@dataclass
class LaneStep:
    """What N environments (lanes) did in one decision.

    With gymnasium's next-step autoreset the step after an end sees the episode's last frame, its action is ignored,
    and `valid` is false; the step after that has `first` true. That last frame is what a truncated episode bootstraps
    from. Where an environment resets at once, so that the last frame is not given, the transition into a truncation is
    not learnt from.

    Args:
        frames: uint8 [N, H, W] or [N, H, W, 3], as prepared for the model: what each lane saw.
        actions: int64 [N], or float32 [N, A]: what it did.
        rewards: float32 [N], that followed.
        terminated: bool [N], whether the action ended the episode for good.
        truncated: bool [N], whether a limit ended it.
        first: bool [N], whether the frame is the first of an episode.
        valid: bool [N], false where the transition means nothing (ignored by autoreset).
        shown: int64 [N], the action that somebody who can drive would have taken; -1, or None for all: nobody said.
    """

    frames: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    first: np.ndarray
    valid: np.ndarray
    shown: np.ndarray | None = None


@dataclass
class Transitions:
    """B transitions of n steps, drawn from what was experienced, for a model that learns values of discrete actions.

    Args:
        observation: uint8 [B, S, H, W] (colour: [B, S, H, W, 3]), the last S frames seen, oldest first.
        action: int64 [B], or float32 [B, A] of continuous controls: what was done on seeing them.
        reward: float32 [B], the discounted sum of up to n rewards.
        discount: float32 [B], what the value of `next_observation` counts: gamma to the power of the rewards summed, or
            0 where the episode terminated. Truncation bootstraps.
        next_observation: uint8, as `observation`, after the last of those rewards; means nothing where `discount` is 0.
        index: int64 [B], where each lies in the replay buffer, for `update_priorities`.
        weight: float32 [B], importance weights, the largest of a batch is 1.
        demonstration: bool [B], true for what a demonstrator did.
        shown: int64 [B], the discrete action that a demonstrator took, or a teacher would have taken; -1: nobody said.
    """

    observation: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor
    next_observation: Tensor
    index: Tensor
    weight: Tensor
    demonstration: Tensor
    shown: Tensor


@dataclass
class Segments:
    """B segments of T consecutive steps of one environment each, for a model of the world.

    A segment may run from one episode into the next; `first` says where. The last frame of an episode, which nobody
    acted upon, is there with `valid` false.

    Args:
        frames: uint8 [B, T, H, W] or [B, T, H, W, 3].
        actions: int64 [B, T] or float32 [B, T, A], done on seeing each frame.
        rewards: float32 [B, T], that followed.
        first: bool [B, T], true where an episode starts.
        terminated: bool [B, T], true where the action ended the episode.
        truncated: bool [B, T], true where a limit did.
        valid: bool [B, T], false where action, reward and what follows mean nothing.
        index: int64 [B, T], a number of each frame that no other frame of the data has, or None.
        codes: float32 [B, T, D] in place of frames, for a model that learns from codes (`data/codes.py`).
    """

    frames: Tensor
    actions: Tensor
    rewards: Tensor
    first: Tensor
    terminated: Tensor
    truncated: Tensor
    valid: Tensor
    index: Tensor | None = None
    codes: Tensor | None = None


class PartRequest(NamedTuple):
    """What one update of a model that has several parts is to learn from.

    Args:
        part: which part learns.
        rows: segments, B; 0: the part does not learn yet.
        frames: of a segment, T.
    """

    part: str
    rows: int
    frames: int


@dataclass
class PartBatch:
    """What one update of a model that has several parts learns from.

    Args:
        part: which part learns.
        segments: those of recordings, those of experience, or both; none: the part does not learn yet.
    """

    part: str
    segments: list[Segments] = field(default_factory=list)
