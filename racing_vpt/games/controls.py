"""Control schemes: which controls a game has, and how each becomes classes.

A scheme is a list of heads. Each head is one categorical distribution that a model predicts: an `Axis` (a pedal, a
steering wheel), a `Choice` (a gear change), a `Button`, or a `Joint` of several controls at once; Minecraft's are in
`minecraft.py`. `encode` turns controls into class indices, `decode` turns indices back, `expect` turns probabilities
into the mean control.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from racing_vpt.games.atari import JOYSTICK, MINIMAL, POSITIONS, rows_of, scheme_of
from racing_vpt.games.minecraft import BUTTONS, CAMERA, CameraAxis, JointButtons, JointCamera, named


@dataclass(frozen=True)
class Axis:
    """A continuous control cut into bins; neighbouring bins share a value that lies between them (two-hot).

    Args:
        name: the control.
        low: smallest value.
        high: largest value.
        bins: number of classes.
        mu: mu-law constant; larger means finer bins around zero. None: bins of equal width.
    """

    name: str
    low: float
    high: float
    bins: int
    mu: float | None = None

    def __post_init__(self) -> None:
        if self.bins < 2 or not self.low < self.high:
            raise ValueError(f"axis {self.name} needs low < high and 2 bins or more, but has {self}")

    @property
    def controls(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def num_classes(self) -> int:
        return self.bins

    @cached_property
    def table(self) -> Tensor:
        """The value at the centre of each class, float32 [classes, 1]."""
        unit = torch.linspace(-1, 1, self.bins, dtype=torch.float64)
        if self.mu is not None:
            unit = unit.sign() * ((1 + self.mu) ** unit.abs() - 1) / self.mu
        return (self.low + (unit + 1) / 2 * (self.high - self.low)).float().unsqueeze(1)

    def encode(self, controls: Mapping[str, Tensor]) -> Tensor:
        """The nearest class int64 [...] of the control."""
        return _nearest(self, controls)


@dataclass(frozen=True)
class Choice:
    """One of a few values, such as a gear change of -1, 0 or 1.

    Args:
        name: of the head, and of the control if that has no name of its own.
        values: rising.
        control: name of the control.
    """

    name: str
    values: tuple[float, ...]
    control: str | None = None

    def __post_init__(self) -> None:
        if len(self.values) < 2 or list(self.values) != sorted(set(self.values)):
            raise ValueError(f"choice {self.name} needs 2 rising values or more, but has {self.values}")

    @property
    def controls(self) -> tuple[str, ...]:
        return (self.control or self.name,)

    @property
    def num_classes(self) -> int:
        return len(self.values)

    @cached_property
    def table(self) -> Tensor:
        return torch.tensor(self.values, dtype=torch.float32).unsqueeze(1)

    def encode(self, controls: Mapping[str, Tensor]) -> Tensor:
        """The nearest class int64 [...] of the control."""
        return _nearest(self, controls)


def Button(name: str) -> Choice:  # noqa: N802 - reads as the class of controls that it makes
    """A button: class 0 is released, class 1 is pressed. A head's name has no dot, which divides names of weights."""
    return Choice(name.replace(".", "_"), (0.0, 1.0), name)


@dataclass(frozen=True)
class Joint:
    """Several controls that are chosen together: class i is row i. The nearest row stands for what is between rows."""

    name: str
    controls: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]

    @property
    def num_classes(self) -> int:
        return len(self.rows)

    @cached_property
    def table(self) -> Tensor:
        return torch.tensor(self.rows, dtype=torch.float32)

    def encode(self, controls: Mapping[str, Tensor]) -> Tensor:
        """The nearest class int64 [...] of the controls."""
        values = torch.stack([column.float() for column in named(controls, self.controls, self.name).values()], -1)
        return torch.linalg.vector_norm(values.unsqueeze(-2) - self.table.to(values), ord=1, dim=-1).argmin(-1)


Head = Axis | Choice | Joint | JointButtons | JointCamera | CameraAxis


class ControlScheme:
    """The controls of a game as named categorical distributions.

    Args:
        name: name of the scheme, which checkpoints and errors give.
        heads: the distributions; no control may stand in two of them.
        packs: heads with equally many classes that share one layer of a network, by the layer's name.
    """

    def __init__(self, name: str, heads: Sequence[Head], packs: Mapping[str, Sequence[str]] | None = None) -> None:
        self.name = name
        self.packs = {pack: tuple(names) for pack, names in (packs or {}).items()}
        self.heads = {head.name: head for head in heads}
        self.controls = tuple(control for head in heads for control in head.controls)
        if len(set(self.controls)) != len(self.controls) or len(self.heads) != len(heads):
            raise ValueError(f"scheme {name} names a control or a head twice: {self.controls}")

    @property
    def num_classes(self) -> dict[str, int]:
        """Classes by head."""
        return {name: head.num_classes for name, head in self.heads.items()}

    @cached_property
    def limits(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest value by control."""
        return {
            control: (head.table[:, column].min().item(), head.table[:, column].max().item())
            for head in self.heads.values()
            for column, control in enumerate(head.controls)
        }

    def check(self, controls: Mapping[str, float]) -> None:
        """Raise ValueError unless every control of the scheme is given, finite and allowed."""
        for head in self.heads.values():
            for control in head.controls:
                if control not in controls:
                    raise ValueError(
                        f"controls {sorted(controls)} lack {control}, which scheme {self.name} needs ({self.controls})"
                    )
                value, (low, high) = float(controls[control]), self.limits[control]
                if not low - 1e-6 <= value <= high + 1e-6:  # NaN fails this too
                    raise ValueError(f"{control} is {value}; scheme {self.name} allows {low:g} to {high:g}")
                if isinstance(head, Choice) and min(abs(value - allowed) for allowed in head.values) > 1e-6:
                    raise ValueError(f"{control} is {value}; scheme {self.name} allows one of {head.values}")

    def encode(self, controls: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Class indices int64 [...] by head, the nearest class each, of controls float32 [...] by name."""
        return {name: head.encode(controls) for name, head in self.heads.items()}

    def relevant(self, classes: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Bool [...] by head: whether it counts beside the classes int64 [...] of the others; absent: it always does.

        Minecraft's camera counts where the class of the buttons says that the camera moves.
        """
        joint = next((head for head in self.heads.values() if isinstance(head, JointButtons)), None)
        if joint is None or "camera" not in self.heads:
            return {}
        return {"camera": joint.camera_moves.to(classes[joint.name].device)[classes[joint.name]]}

    def is_null(self, controls: Mapping[str, Tensor]) -> Tensor:
        """Where all controls are at rest, bool [...]: their class in each head is that of zero."""
        rest = self.encode({name: torch.zeros_like(controls[name]) for name in self.controls})
        classes = self.encode(controls)
        return torch.stack([classes[name] == rest[name] for name in classes]).all(0)

    def encode_soft(self, controls: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Target probabilities float32 [..., classes] by head: two-hot on an axis, which `expect` undoes exactly."""
        classes = self.encode(controls)
        targets = {}
        for name, head in self.heads.items():
            if isinstance(head, Axis):
                value = controls[name].float().clamp(head.low, head.high)
                centres = head.table[:, 0].to(value.device)
                above = torch.searchsorted(centres, value.contiguous()).clamp(1, head.bins - 1)
                share = (value - centres[above - 1]) / (centres[above] - centres[above - 1])
                targets[name] = torch.zeros(*value.shape, head.bins, device=value.device)
                targets[name].scatter_(-1, above.unsqueeze(-1), share.unsqueeze(-1))
                targets[name].scatter_(-1, (above - 1).unsqueeze(-1), 1 - share.unsqueeze(-1))
            else:
                targets[name] = torch.nn.functional.one_hot(classes[name], head.num_classes).float()
        return targets

    def decode(self, classes: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Controls float32 [...] by name of class indices int64 [...] by head."""
        controls = {
            control: head.table[:, column].to(classes[name].device)[classes[name]]
            for name, head in self.heads.items()
            for column, control in enumerate(head.controls)
        }
        for name, head in self.heads.items():
            if isinstance(head, JointButtons):
                controls = head.settle(controls, classes[name])
        return controls

    def expect(
        self, probabilities: Mapping[str, Tensor], classes: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Controls float32 [...] of probabilities [..., classes]: the mean on an axis, the likeliest class else.

        Args:
            probabilities: by head.
            classes: int64 [...] of heads that are no axes, to be taken instead of the likeliest.
        """
        likeliest = {name: probabilities[name].argmax(-1) for name in self.heads}
        controls = self.decode(likeliest | dict(classes or {}))
        for name, head in self.heads.items():
            if isinstance(head, Axis):
                likely = probabilities[name].float()
                controls[name] = (likely * head.table[:, 0].to(likely.device)).sum(-1)
        return controls


def _nearest(head: Axis | Choice, controls: Mapping[str, Tensor]) -> Tensor:
    values = named(controls, head.controls, head.name)[head.controls[0]].float()
    centres = head.table[:, 0].to(values.device)
    above = torch.searchsorted(centres, values.contiguous()).clamp(1, len(centres) - 1)
    return torch.where(values - centres[above - 1] <= centres[above] - values, above - 1, above)


CARRACING_CONTROLS = ("steering", "throttle", "brake")  # in the order of the environment's own actions
CARRACING_ACTIONS = ((0.0, 0.0, 0.0), (0.6, 0.0, 0.0), (-0.6, 0.0, 0.0), (0.0, 0.2, 0.0), (0.0, 0.0, 0.8))
PEDALS = ((1.0, 0.0), (0.5, 0.0), (0.25, 0.0), (0.0, 0.0), (0.0, 0.2), (0.0, 0.8))
NES_BUTTONS = ("up", "down", "left", "right", "a", "b", "start", "select")


def control_scheme(name: str) -> ControlScheme:
    """The preset of that name: `car`, `carracing`, `carracing-discrete`, `buttons-nes`, `minecraft` or that factored,
    `atari` or that of a game.

    `car` steers finely around zero (CarRacing's joint saturates at 0.4, so that is where commands differ). `carracing`
    is for those who learn by trying: few classes, no gears, and never throttle and brake at once. `minecraft` and
    `minecraft-factored` are the same controls, chosen together by a policy and apart by an inverse dynamics model.
    `atari` has the joystick's 18 positions, `atari-enduro` and `atari-breakout` the 9 and 4 that those games are played
    with by agents whose scores are published: there is less to explore.
    """
    presets: dict[str, Sequence[Head]] = {
        "car": (
            Axis("steering", -1.0, 1.0, bins=31, mu=10.0),
            Axis("throttle", 0.0, 1.0, bins=11),
            Axis("brake", 0.0, 1.0, bins=11),
            Choice("gear_change", (-1.0, 0.0, 1.0)),
        ),
        "carracing": (Axis("steering", -1.0, 1.0, bins=11, mu=10.0), Joint("pedals", ("throttle", "brake"), PEDALS)),
        "carracing-discrete": (Joint("action", CARRACING_CONTROLS, CARRACING_ACTIONS),),
        "buttons-nes": tuple(Button(name) for name in NES_BUTTONS),
        "atari": (Joint("action", JOYSTICK, rows_of(POSITIONS)),),
        **{scheme_of(game): (Joint("action", JOYSTICK, rows_of(names)),) for game, names in MINIMAL.items()},
        "minecraft": (JointButtons(), JointCamera()),
        "minecraft-factored": (*(Button(name) for name in BUTTONS), *(CameraAxis(name) for name in CAMERA)),
    }
    buttons = [Button(name).name for name in BUTTONS]
    packs = {"minecraft-factored": {"buttons": buttons, "camera": CAMERA}}  # as in OpenAI's files
    if name not in presets:
        raise ValueError(f"there is no control scheme {name!r}; there are {', '.join(presets)}")
    return ControlScheme(name, presets[name], packs.get(name))
