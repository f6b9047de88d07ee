"""Options of the inverse dynamics model (`idm.py`), in the groups in which YAML nests them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from racing_vpt.frames import pixels_of
from racing_vpt.games.game import Game
from racing_vpt.nn.sizes import NetSize
from racing_vpt.types import FrameSpec

MOST_CONVOLUTIONS = 64  # one after the other; a file that asks for more would fill the memory with a list of them


@dataclass(frozen=True)
class View:
    """A part of the frame that is seen in full resolution.

    Args:
        top: first row, in pixels of the frame that the model sees.
        left: first column.
        height: rows; 0: the view is the rectangle of the game's car, and there is none in a game without a car.
        width: columns.
        features: features computed from it for each frame.
        channels: channels of its first convolution; the second has twice as many.
        noise: standard deviation of noise added to its pixels in training (pixels are normalized to deviation 1).
        points: features whose places in the view are followed from frame to frame (`nn/points.py`), for a car that
            moves in the picture; `features` and `noise` then have no effect. 0: none, the view's pixels are looked at.
        contrast: points see how much each pixel differs from the median of its frame's view, for a ground of one colour
            whose shade is the time of the day, darker than the car or brighter.
    """

    top: int = 0
    left: int = 0
    height: int = 0
    width: int = 0
    features: int = 64
    channels: int = 12
    noise: float = 0.0
    points: int = 0
    contrast: bool = False

    def __post_init__(self) -> None:
        least = min(self.top, self.left, self.height, self.width, self.noise, self.points)
        wrong = least < 0 or min(self.features, self.channels) < 1
        if wrong or bool(self.height) != bool(self.width):
            raise ValueError(
                "a view needs features and channels of 1 or more, all else of 0 or more, height and width together; "
                f"given: {self}"
            )

    def of_car(self, game: Game, frames: FrameSpec) -> View | None:
        """The view with the rectangle of the game's car where it has none of its own; None where there is no car."""
        if self.height:
            return self
        if game.car is None:
            return None
        rows, columns = pixels_of(game.car.place, frames.height, frames.width)
        return replace(
            self, top=rows.start, left=columns.start, height=rows.stop - rows.start, width=columns.stop - columns.start
        )


@dataclass(frozen=True)
class IDMConfig:
    """Network of an inverse dynamics model.

    Args:
        size: `tiny`, `small`, `4x`, or all settings of VPT's network.
        cnn: process the whole frame with VPT's CNN; without it only view and motion are used, which is faster.
        view: part of the frame that is also seen in full resolution, such as the car; None: none.
        motion: also measure the motion of the whole picture, without the view and the hidden parts of the frame.
        motion_finest: halvings of the picture at the finest level of motion: 0 tells more about the pedals, 1 costs
            half the time.
        motion_remembered: largest number of pairs of frames whose motion is measured once and kept in memory (200 bytes
            each), which makes training on minutes of labels several times as fast on a CPU; 0: none. A resumed run
            then equals an uninterrupted one to rounding only.
        over_time: kernel length of the convolutions over time, in frames, odd.
        convolutions: number of consecutive convolutions over time.
        close_heads: heads that see the view alone, over `over_time` frames: `[steering]` where wheels show it. A model
            that sees where the car goes learns the drivers' habits at each place, and fails on one with others.
            None: those that the game's car shows.
        close_convolutions: number of consecutive convolutions over time in this branch.
        close_channels: channels between them; few, because a driver's previous controls soon predict more than the
            wheels do.
        reach: frames to either side that attention sees in each block; None: the whole window.
        dropout: share of features dropped in training.
        scheme: one of the game's control schemes, such as `products` of a console's games; None: its controls.
    """

    size: str | NetSize = "small"
    cnn: bool = True
    view: View | None = None
    motion: bool = False
    motion_finest: int = 0
    motion_remembered: int = 0
    over_time: int = 9
    convolutions: int = 2
    close_heads: tuple[str, ...] | None = ()
    close_convolutions: int = 1
    close_channels: int = 128
    reach: int | None = None
    dropout: float = 0.0
    scheme: str | None = None

    def __post_init__(self) -> None:
        if self.close_heads is not None:
            object.__setattr__(self, "close_heads", tuple(self.close_heads))  # YAML and JSON give lists
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), but {self.dropout} was given")
        if not (1 <= self.convolutions <= MOST_CONVOLUTIONS and 1 <= self.close_convolutions <= MOST_CONVOLUTIONS):
            raise ValueError(
                f"convolutions and close_convolutions are 1 to {MOST_CONVOLUTIONS}, but {self.convolutions} and "
                f"{self.close_convolutions} were given"
            )
        if self.reach is not None and self.reach < 1:
            raise ValueError(f"attention must reach 1 frame to either side or more, but reach {self.reach} was given")
        if not (self.cnn or self.motion or self.view is not None):
            raise ValueError("without cnn, view and motion the model would see nothing; turn one of them on")
        if self.close_heads and self.view is None:
            raise ValueError(f"close_heads {list(self.close_heads)} need a view; give --model.network.view")

    def of_game(self, game: Game, frames: FrameSpec) -> IDMConfig:
        """With the view and the close heads that the game's car has, where they are left to the game."""
        view = None if self.view is None else self.view.of_car(game, frames)
        shown = game.car.shows if game.car is not None and view is not None else ()
        return replace(self, view=view, close_heads=shown if self.close_heads is None else self.close_heads)

    @property
    def has_senses(self) -> bool:
        """Whether anything beside VPT's CNN looks at the frames."""
        return self.motion or self.view is not None


@dataclass(frozen=True)
class IDMLossConfig:
    """Training loss of an inverse dynamics model.

    Args:
        mean_weight: weight of the error of the axes' means, beside the cross entropy of their distributions.
        label_smoothing: share of the target that is spread over all classes.
        class_weighting: p in class weight = frequency^-p, against the rarity of braking; 0 weights all alike.
        min_class_count: number of frames as which rarer classes count in `class_weighting`.
    """

    mean_weight: float = 0.0
    label_smoothing: float = 0.0
    class_weighting: float = 0.0
    min_class_count: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1), but {self.label_smoothing} was given")
