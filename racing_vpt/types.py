"""Types shared by several packages, with their shapes.

Legend, used in every docstring: B batch, T frames, H W height and width in pixels, C channels, K tokens per frame,
D width of a layer, N environments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:  # keeps the import of torch out of the verbs' help
    from torch import Tensor

Frame = np.ndarray  # uint8 [H, W, 3], RGB
Controls = dict[str, float]  # values of one frame's controls, by name
Fit = Literal["stretch", "crop", "letterbox"]
Resize = Literal["area", "linear"]


Rectangle = tuple[float, float, float, float]  # top, left, height, width, as shares of a picture's height and width


@dataclass(frozen=True)
class FrameSpec:
    """A model's input frames. Data, agents and environments prepare them with `frames.py`.

    Args:
        height: pixels.
        width: pixels.
        fit: how a picture of another aspect ratio is fitted: `stretch` it, `crop` its middle, or `letterbox` it.
        resize: how a picture is made smaller: by the mean over each pixel's `area`, or `linear` between the four
            nearest pixels, which skips thin lines; OpenAI's checkpoints were trained with the latter.
        hide: rectangles to black out, each [top, left, height, width] as shares of the picture that the model
            sees (0.5 is the middle). Displays of the controls must be hidden: a model that infers controls would read
            its labels there.
        grey: one luminance channel, repeated, instead of colours.
        frames_per_second: rate of the video; other videos are resampled by time stamp.
        stride: the model sees every stride-th of those frames; an agent repeats its controls in between.
        crop_bottom: share of the height that is cut off at the bottom before anything else. World Models sees
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
            raise ValueError(f"height and width must be at least 1, but {self.height} and {self.width} were given")
        object.__setattr__(self, "hide", tuple(rectangle(given) for given in self.hide))  # JSON and YAML give lists
        if not 0 <= self.crop_bottom < 1:
            raise ValueError(f"crop_bottom must lie in [0, 1), but {self.crop_bottom} was given")
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
        hide: rectangles [top, left, height, width] to black out, as shares of the picture.
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
    """Complete frame specification of a model.

    Args:
        given: all settings, or those that differ from `base`; a checkpoint's configuration as well.
        base: the game's frames; None: the defaults of `FrameSpec`.
    """
    if isinstance(given, FrameSpec):
        return given
    fields = vars(given) if isinstance(given, FrameChanges) else given
    return replace(base or FrameSpec(), **{name: value for name, value in fields.items() if value is not None})


def rectangle(given: Sequence[float]) -> Rectangle:
    """A rectangle from its four numbers; ValueError if it is not within the picture."""
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
        weight: float32 [B, T], confidence of the labels (the IDM's; 1 for recorded controls).
        rewards: float32 [B, T], or None where no environment produced the recording.
        ids: clip of each row (`EPISODE:FIRST_FRAME`).
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
    """A driver. It is called once per frame; one that decides every k frames repeats its controls itself."""

    def reset(self) -> None:
        """Start a new episode."""

    def act(self, frame: Frame) -> Controls:
        """Controls for one frame uint8 [H, W, 3] of one environment."""

    def act_batch(self, frames: np.ndarray, first: np.ndarray) -> list[Controls]:
        """Controls for frames uint8 [N, H, W, 3] of N environments; `first` bool [N] marks those that just reset."""


@dataclass(frozen=True)
class FrameRecord:
    """One line of NAME.jsonl: observation, action and reward. Frame i is seen before action i; reward i follows it.

    Of labels also `confidence`, from 0 to 1, and `expected_error` of each axis, the model's own estimate.
    """

    frame: int
    timestamp: float
    action: Mapping[str, float]
    observation: Mapping[str, float | str | None] = field(default_factory=dict)
    reward: float | None = None
    first: bool | None = None
    perturbed: bool = False
    intended: Mapping[str, float] | None = None
    confidence: float | None = None
    expected_error: Mapping[str, float] | None = None


@dataclass
class LaneStep:
    """One decision of N environments (lanes).

    With gymnasium's next-step autoreset the step after an end sees the episode's last frame, its action is ignored,
    and `valid` is false; the step after that has `first` true. A truncated episode bootstraps from that last frame.
    Where an environment resets at once and does not give the last frame, the transition into a truncation is not used.

    Args:
        frames: uint8 [N, H, W] or [N, H, W, 3], prepared for the model: the frame before the action.
        actions: int64 [N], or float32 [N, A].
        rewards: float32 [N], for the actions.
        terminated: bool [N], whether the action terminated the episode.
        truncated: bool [N], whether a limit ended it.
        first: bool [N], whether the frame is the first of an episode.
        valid: bool [N], false where autoreset ignored the action.
        shown: int64 [N], the action of a teacher or demonstrator; -1, or None for all: unknown.
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
    """B n-step transitions drawn from a replay buffer, to learn action values from.

    Args:
        observation: uint8 [B, S, H, W] (colour: [B, S, H, W, 3]), the last S frames seen, oldest first.
        action: int64 [B], or float32 [B, A] of continuous controls: the action taken.
        reward: float32 [B], the discounted sum of up to n rewards.
        discount: float32 [B], factor on the value of `next_observation`: gamma to the power of the number of rewards
            summed, or 0 where the episode terminated. Truncation bootstraps.
        next_observation: uint8, as `observation`, after the last of those rewards; undefined where `discount` is 0.
        index: int64 [B], position in the replay buffer, for `update_priorities`.
        weight: float32 [B], importance weights, the largest of a batch is 1.
        demonstration: bool [B], whether the transition is a demonstration.
        shown: int64 [B], the discrete action of a demonstrator or teacher; -1: unknown.
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
class PolicyBatch:
    """B sequences of T consecutive decisions of a policy that learns from what it just did.

    Args:
        seen: uint8 [B, T, H, W, C], the frames that the network sees at once, stacked as channels; or float32
            [B, T, E], what its frozen convolutions made of them.
        first: bool [B, T], true where an episode starts.
        valid: bool [B, T], false where the action was ignored.
        classes: int64 [B, T] by head, the action taken.
        log_prob: float32 [B, T], its log-probability when it was taken.
        advantage: float32 [B, T], normalized over the rollout.
        returns: float32 [B, T], discounted returns in the unit of the rewards.
        anchor: log-probabilities float32 [B, T, classes] of the frozen clone by head; empty: there is none.
        memory: memory of the network before each sequence; None: it has none.
        iteration: number of the rollout, from 0.
    """

    seen: Tensor
    first: Tensor
    valid: Tensor
    classes: dict[str, Tensor]
    log_prob: Tensor
    advantage: Tensor
    returns: Tensor
    anchor: dict[str, Tensor] = field(default_factory=dict)
    memory: Any = None
    iteration: int = 0


@dataclass
class Segments:
    """B segments of T consecutive steps of one environment each, for a world model.

    A segment may run from one episode into the next (`first`). The last frame of an episode, which has no action, is
    included with `valid` false.

    Args:
        frames: uint8 [B, T, H, W] or [B, T, H, W, 3].
        actions: int64 [B, T] or float32 [B, T, A], taken at each frame.
        rewards: float32 [B, T], for the actions.
        first: bool [B, T], true where an episode starts.
        terminated: bool [B, T], true where the action terminated the episode.
        truncated: bool [B, T], true where a limit ended it.
        valid: bool [B, T], false where action, reward and the following frame are undefined.
        index: int64 [B, T], a unique number of each frame in the data, or None.
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
    """The data needed for one update of a model with several parts.

    Args:
        part: which part learns.
        rows: number of segments, B; 0: the part is not trained yet.
        frames: frames per segment, T.
    """

    part: str
    rows: int
    frames: int


@dataclass
class PartBatch:
    """The data of one update of a model with several parts.

    Args:
        part: which part learns.
        segments: segments of recordings, of experience, or both; none: the part is not trained yet.
    """

    part: str
    segments: list[Segments] = field(default_factory=list)
