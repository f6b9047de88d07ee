"""Control schemes: the controls of a game, and their conversion to classes.

A scheme is a list of heads (`heads.py`), each a categorical distribution. `encode` turns controls into class indices,
`decode` turns indices back, `expect` turns probabilities into the mean control.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor

from racing_vpt.games.heads import Axis, Choice, Head
from racing_vpt.games.minecraft import JointButtons


class ControlScheme:
    """The controls of a game as named categorical distributions.

    Args:
        name: name of the game, or `GAME:SCHEME`; used in errors and labels.
        heads: the distributions; a control belongs to one of them.
        packs: heads with equally many classes that share one layer of a network, by the layer's name.
    """

    def __init__(self, name: str, heads: Sequence[Head], packs: Mapping[str, Sequence[str]] | None = None) -> None:
        self.name = name
        self.packs = {pack: tuple(names) for pack, names in (packs or {}).items()}
        self.heads = {head.name: head for head in heads}
        self.controls = tuple(control for head in heads for control in head.controls)
        if len(set(self.controls)) != len(self.controls) or len(self.heads) != len(heads):
            raise ValueError(f"{name} has two heads for one control: {self.controls}")

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
        """ValueError unless every control of the scheme is given, finite and within its limits."""
        for head in self.heads.values():
            for control in head.controls:
                if control not in controls:
                    raise ValueError(
                        f"controls {sorted(controls)} lack {control}, which {self.name} needs ({self.controls})"
                    )
                value, (low, high) = float(controls[control]), self.limits[control]
                if not low - 1e-6 <= value <= high + 1e-6:  # NaN fails this too
                    raise ValueError(f"{control} is {value}; {self.name} allows {low:g} to {high:g}")
                if isinstance(head, Choice) and min(abs(value - allowed) for allowed in head.values) > 1e-6:
                    raise ValueError(f"{control} is {value}; {self.name} allows one of {head.values}")

    def encode(self, controls: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Class indices int64 [...] by head, each the nearest class, from controls float32 [...] by name."""
        return {name: head.encode(controls) for name, head in self.heads.items()}

    def relevant(self, classes: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Mask bool [...] by head of the frames in which its class has an effect, from all classes int64 [...].

        Heads that are absent always have one. Minecraft's camera has one if the class of the buttons moves it.
        """
        joint = next((head for head in self.heads.values() if isinstance(head, JointButtons)), None)
        if joint is None or "camera" not in self.heads:
            return {}
        return {"camera": joint.camera_moves.to(classes[joint.name].device)[classes[joint.name]]}

    def is_null(self, controls: Mapping[str, Tensor]) -> Tensor:
        """Mask bool [...] of the frames without any control: the class of every head is that of zero."""
        rest = self.encode({name: torch.zeros_like(controls[name]) for name in self.controls})
        classes = self.encode(controls)
        return torch.stack([classes[name] == rest[name] for name in classes]).all(0)

    def encode_soft(self, controls: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Targets float32 [..., classes] by head: two-hot on an axis, which `expect` inverts, otherwise one-hot."""
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
        """Controls float32 [...] by name from class indices int64 [...] by head."""
        controls = {
            control: head.table[:, column].to(classes[name].device)[classes[name]]
            for name, head in self.heads.items()
            for column, control in enumerate(head.controls)
        }
        for name, head in self.heads.items():
            if isinstance(head, JointButtons):
                controls = head.rest_camera(controls, classes[name])
        return controls

    def expect(
        self, probabilities: Mapping[str, Tensor], classes: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Controls float32 [...] from probabilities [..., classes]: mean of an axis, most likely class of other heads.

        Args:
            probabilities: class probabilities by head.
            classes: int64 [...] by head, used instead of the most likely ones; ignored on axes.
        """
        likeliest = {name: probabilities[name].argmax(-1) for name in self.heads}
        controls = self.decode(likeliest | dict(classes or {}))
        for name, head in self.heads.items():
            if isinstance(head, Axis):
                likely = probabilities[name].float()
                controls[name] = (likely * head.table[:, 0].to(likely.device)).sum(-1)
        return controls


def effective_limits(
    limits: Mapping[str, tuple[float, float]], stops: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    """Smallest and largest effective value by control: its limits, clipped at its stop if it has one."""
    return {
        name: (max(low, -stops.get(name, -low)), min(high, stops.get(name, high)))
        for name, (low, high) in limits.items()
    }
